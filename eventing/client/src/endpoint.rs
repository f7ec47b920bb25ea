//! URLs that events are sent to, and what those of one host and port share.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use http::Uri;
use http::header::HeaderValue;
use http::uri::{PathAndQuery, Scheme};
use rustls_pki_types::ServerName;

use super::circuit::Circuit;
use super::credential::Credential;
use super::pool::Idle;
use super::{Client, tls};

#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    #[error("{url:?} is no URL: {reason}")]
    Syntax { url: String, reason: String },
    #[error("{url:?}: events are sent to http:// and https:// addresses only")]
    Scheme { url: String },
    #[error("{url:?} names no host")]
    NoHost { url: String },
    #[error("{url:?} has a user or a password, which are not sent")]
    UserInfo { url: String },
    #[error("the CA certificates of {url:?} cannot be used: {reason}")]
    CaCerts { url: String, reason: String },
}

/// A URL that events are sent to. Cheap to clone.
#[derive(Clone)]
pub struct Endpoint(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) client: Client,
    pub(super) target: Arc<Target>,
    pub(super) path: Uri,
    pub(super) host: HeaderValue,
    /// What is shown to the receiver.
    pub(super) credential: Option<Arc<dyn Credential>>,
    url: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct TargetKey {
    https: bool,
    host: String,
    port: u16,
    ca_certs: Option<String>,
}

/// What the endpoints of one scheme, host, port and trust share.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) host: Host,
    pub(super) port: u16,
    pub(super) tls: Option<tls::Settings>,
    pub(super) idle: Idle,
    pub(super) circuit: Circuit,
}

#[derive(Debug)]
pub(super) enum Host {
    Address(IpAddr),
    Name(String),
}

impl Endpoint {
    pub(super) fn new(
        client: &Client,
        url: &str,
        ca_certs: Option<&str>,
        credential: Option<Arc<dyn Credential>>,
    ) -> Result<Self, EndpointError> {
        let owned = || url.to_owned();
        let uri: Uri = url
            .parse()
            .map_err(|error: http::uri::InvalidUri| EndpointError::Syntax {
                url: owned(),
                reason: error.to_string(),
            })?;
        let https = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            _ => return Err(EndpointError::Scheme { url: owned() }),
        };
        let authority = uri
            .authority()
            .ok_or_else(|| EndpointError::NoHost { url: owned() })?;
        if authority.as_str().contains('@') {
            return Err(EndpointError::UserInfo { url: owned() });
        }
        let host = authority.host();
        if host.is_empty() {
            return Err(EndpointError::NoHost { url: owned() });
        }
        let default_port = if https { 443 } else { 80 };
        let port = authority.port_u16().unwrap_or(default_port);
        let shown = match port == default_port {
            true => host.to_owned(),
            false => format!("{host}:{port}"),
        };
        let syntax = |reason: String| EndpointError::Syntax { url: owned(), reason };
        let header = HeaderValue::try_from(shown).map_err(|error| syntax(error.to_string()))?;
        let path = uri
            .path_and_query()
            .cloned()
            .unwrap_or(PathAndQuery::from_static("/"));
        let key = TargetKey {
            https,
            host: host.trim_matches(['[', ']']).to_ascii_lowercase(),
            port,
            ca_certs: ca_certs
                .filter(|pem| https && !pem.trim().is_empty())
                .map(str::to_owned),
        };
        Ok(Self(Arc::new(Inner {
            client: client.clone(),
            target: target(client, key, url)?,
            path: Uri::from(path),
            host: header,
            credential,
            url: url.to_owned(),
        })))
    }

    /// The URL as it was given.
    pub fn url(&self) -> &str {
        &self.0.url
    }

    pub fn circuit(&self) -> &Circuit {
        &self.0.target.circuit
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Endpoint").field(&self.0.url).finish()
    }
}

/// The shared target, made by the first endpoint that needs it.
fn target(client: &Client, key: TargetKey, url: &str) -> Result<Arc<Target>, EndpointError> {
    let mut targets = client.0.targets.lock();
    if let Some(target) = targets.get(&key).and_then(std::sync::Weak::upgrade) {
        return Ok(target);
    }
    let unusable = |reason: String| EndpointError::CaCerts {
        url: url.to_owned(),
        reason,
    };
    let tls = match key.https {
        false => None,
        true => {
            let name = ServerName::try_from(key.host.clone()).map_err(|error| EndpointError::Syntax {
                url: url.to_owned(),
                reason: error.to_string(),
            })?;
            let settings = tls::Settings::new(&client.0.tls, name, key.ca_certs.clone());
            Some(settings.map_err(unusable)?)
        }
    };
    let target = Arc::new(Target {
        host: match key.host.parse() {
            Ok(address) => Host::Address(address),
            Err(_) => Host::Name(key.host.clone()),
        },
        port: key.port,
        tls,
        idle: Idle::default(),
        circuit: Circuit::default(),
    });
    targets.insert(key, Arc::downgrade(&target));
    Ok(target)
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    #[test]
    fn urls_become_host_headers_paths_and_ports() {
        let client = Client::new(Config::default());
        let rows = [
            ("http://a.b.svc.cluster.local", "a.b.svc.cluster.local", "/", 80),
            ("http://a:80/x?y=1", "a", "/x?y=1", 80),
            ("http://a:8080/x", "a:8080", "/x", 8080),
            ("https://a", "a", "/", 443),
            ("https://a:80", "a:80", "/", 80),
            ("http://[::1]:9000/", "[::1]:9000", "/", 9000),
            ("http://10.0.0.1", "10.0.0.1", "/", 80),
        ];
        for (url, host, path, port) in rows {
            let endpoint = client.endpoint(url, None).unwrap().0;
            assert_eq!(endpoint.host, host, "{url}");
            assert_eq!(endpoint.path.to_string(), path, "{url}");
            assert_eq!(endpoint.target.port, port, "{url}");
        }
    }

    #[test]
    fn other_urls_are_refused() {
        let client = Client::new(Config::default());
        for url in [
            "",
            "a",
            "/x",
            "ftp://a",
            "http://",
            "http://user:pw@a/",
            "http://:80/",
            "file:///etc/passwd",
        ] {
            assert!(client.endpoint(url, None).is_err(), "{url}");
        }
        assert!(client.endpoint("https://a", Some("nonsense")).is_err());
    }

    #[test]
    fn endpoints_of_one_host_share_a_target() {
        let client = Client::new(Config::default());
        let [a, b, c] =
            ["http://a/1", "http://A:80/2", "http://a:81/"].map(|url| client.endpoint(url, None).unwrap());
        assert!(Arc::ptr_eq(&a.0.target, &b.0.target));
        assert!(!Arc::ptr_eq(&a.0.target, &c.0.target));
        drop((a, b, c));
        client.expire_idle();
        assert!(
            client.0.targets.lock().is_empty(),
            "targets without endpoints are forgotten"
        );
    }
}
