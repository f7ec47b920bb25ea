//! Sends a request on to an upstream and brings the response back, byte for byte as it comes.

mod expect;
mod splice;

use std::sync::Arc;

use http::header::{CONNECTION, HOST, HeaderValue, UPGRADE};
use http::uri::{Authority, Parts, PathAndQuery, Scheme};
use http::{Request, Response, StatusCode, Uri, Version};
use hyper::upgrade::OnUpgrade;

use crate::body::Body;
use crate::headers::{requested_upgrade, strip_hop_by_hop};
use crate::pool::{Protocol, SendError, Upstream};

pub use splice::Splice;

/// What came back from the upstream.
pub struct Forwarded {
    pub response: Response<Body>,
    /// Set when the upstream switched protocols: run it for as long as the connection may live.
    pub splice: Option<Splice>,
}

/// A request made ready for the next hop.
pub struct Outgoing {
    request: Request<Body>,
    protocol: Protocol,
    upgrade: Option<OnUpgrade>,
    asked: Option<expect::Asked>,
}

/// A request that got no response.
pub struct Failed {
    pub error: SendError,
    /// The request, if the upstream has certainly seen nothing of it: it may be sent to another.
    pub unsent: Option<Box<Outgoing>>,
}

impl Outgoing {
    /// Removes what concerned the last hop and frames the request for the next one.
    ///
    /// An upgrade goes by HTTP/1.1 whatever `protocol` says: HTTP/2 has no `Upgrade`.
    pub fn new(mut request: Request<Body>, protocol: Protocol) -> Self {
        let upgrade = match request.version() {
            Version::HTTP_11 => requested_upgrade(request.headers()),
            _ => None,
        };
        let on_upgrade = upgrade.as_ref().map(|_| hyper::upgrade::on(&mut request));
        let protocol = if upgrade.is_some() {
            Protocol::Http1
        } else {
            protocol
        };

        let asked = match protocol {
            Protocol::Http1 => expect::hold_body_until_asked(&mut request),
            Protocol::H2c => None,
        };
        strip_hop_by_hop(request.headers_mut());
        if let Some(upgrade) = upgrade {
            request
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("upgrade"));
            request.headers_mut().insert(UPGRADE, upgrade);
        }
        address(&mut request, protocol);
        Self {
            request,
            protocol,
            upgrade: on_upgrade,
            asked,
        }
    }

    /// The headers that the next hop will see.
    pub fn headers_mut(&mut self) -> &mut http::HeaderMap {
        self.request.headers_mut()
    }

    /// Sends the request to `upstream`.
    ///
    /// # Errors
    /// [`Failed`] gives the request back if it may be sent to another upstream.
    pub async fn send(self, upstream: &Arc<Upstream>) -> Result<Forwarded, Failed> {
        let Self {
            request,
            protocol,
            upgrade,
            asked,
        } = self;
        match upstream.send(request, protocol).await {
            Ok(response) => {
                // An upstream that answers without asking may still want to read.
                if let Some(asked) = asked {
                    asked.open();
                }
                Ok(received(response, upgrade))
            }
            Err(unanswered) => Err(Failed {
                error: unanswered.error,
                unsent: unanswered.unsent.map(|request| {
                    Box::new(Self {
                        request: *request,
                        protocol,
                        upgrade,
                        asked,
                    })
                }),
            }),
        }
    }
}

fn received(mut response: Response<Body>, client: Option<OnUpgrade>) -> Forwarded {
    // The server side chooses its own version for the client's connection.
    *response.version_mut() = Version::HTTP_11;
    match client {
        Some(client) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
            let upstream = hyper::upgrade::on(&mut response);
            let upgrade = response.headers().get(UPGRADE).cloned();
            strip_hop_by_hop(response.headers_mut());
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("upgrade"));
            if let Some(upgrade) = upgrade {
                response.headers_mut().insert(UPGRADE, upgrade);
            }
            Forwarded {
                response,
                splice: Some(Splice::new(client, upstream)),
            }
        }
        _ => {
            strip_hop_by_hop(response.headers_mut());
            Forwarded {
                response,
                splice: None,
            }
        }
    }
}

/// Puts the authority where the protocol wants it: the Host header in HTTP/1.1, the URI in HTTP/2.
fn address(request: &mut Request<Body>, protocol: Protocol) {
    let path = request
        .uri()
        .path_and_query()
        .cloned()
        .unwrap_or_else(|| PathAndQuery::from_static("/"));
    let host = request.headers().get(HOST).cloned();
    let mut parts = Parts::default();
    match protocol {
        Protocol::Http1 => {
            if host.is_none()
                && let Some(authority) = request.uri().authority()
                && let Ok(value) = HeaderValue::from_str(authority.as_str())
            {
                request.headers_mut().insert(HOST, value);
            }
            *request.version_mut() = Version::HTTP_11;
        }
        Protocol::H2c => {
            let authority = host
                .and_then(|host| Authority::try_from(host.as_bytes()).ok())
                .or_else(|| request.uri().authority().cloned())
                .unwrap_or_else(|| Authority::from_static("localhost"));
            request.headers_mut().remove(HOST);
            parts.scheme = Some(Scheme::HTTP);
            parts.authority = Some(authority);
            *request.version_mut() = Version::HTTP_2;
        }
    }
    parts.path_and_query = Some(path);
    // Every part was valid in the URI it came from; the root is only reached for an empty path with a scheme.
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authority_moves_between_header_and_uri() {
        let cases = [
            (
                Protocol::Http1,
                "http://a.example/x?y",
                None,
                "/x?y",
                Some("a.example"),
            ),
            (Protocol::Http1, "/x", Some("b.example"), "/x", Some("b.example")),
            (
                Protocol::H2c,
                "/x",
                Some("b.example:80"),
                "http://b.example:80/x",
                None,
            ),
            (
                Protocol::H2c,
                "http://a.example/",
                None,
                "http://a.example/",
                None,
            ),
        ];
        for (protocol, uri, host, expected_uri, expected_host) in cases {
            let mut request = Request::builder().uri(uri).body(Body::empty()).unwrap();
            if let Some(host) = host {
                request.headers_mut().insert(HOST, HeaderValue::from_static(host));
            }
            address(&mut request, protocol);
            assert_eq!(request.uri().to_string(), expected_uri);
            assert_eq!(
                request.headers().get(HOST).map(|host| host.to_str().unwrap()),
                expected_host
            );
        }
    }
}
