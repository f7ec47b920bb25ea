//! A registry somewhere else: manifests and blobs over HTTPS.
//!
//! Rules that keep a hostile or broken registry from doing harm: every wait has a deadline, every body a cap, content
//! is verified by digest; credentials go to the registry the image names and to the token service it points to, and
//! never follow a redirect; foreign layer URLs in manifests are not followed.

mod challenge;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use base64::Engine as _;
use bytes::Bytes;
use http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION, USER_AGENT, WWW_AUTHENTICATE,
};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use tokio::time::timeout;
use url::{Host, Url};

use self::challenge::Challenge;
use crate::blob::{BlobWriter, Blobs};
use crate::digest::Digest;
use crate::error::ImageError;
use crate::image::Credentials;
use crate::manifest::{ACCEPTED, Descriptor, MAX_DOCUMENT};

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// Longest wait for the head of an answer, and between two pieces of its body.
const SILENCE: Duration = Duration::from_secs(30);

/// After this long a download must have been faster than [`SLOWEST`] on average.
const GRACE: Duration = Duration::from_secs(60);

/// Bytes per second below which a registry counts as hanging.
const SLOWEST: u64 = 1_024;

/// Redirects followed for one request.
const MAX_REDIRECTS: usize = 5;

/// Largest answer of a token service, and largest error body looked at.
const MAX_SMALL_BODY: usize = 64 << 10;

/// One repository of a registry, for the length of one pull.
pub(crate) struct Remote {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    base: Url,
    registry: String,
    repository: String,
    credentials: Option<Credentials>,
    authorization: tokio::sync::Mutex<Option<HeaderValue>>,
}

impl Remote {
    pub(crate) fn new(
        registry: &str,
        repository: &str,
        credentials: Option<Credentials>,
    ) -> Result<Self, ImageError> {
        let failed = |detail: String| ImageError::Registry {
            registry: registry.into(),
            detail,
        };
        let scheme = if is_loopback(registry) { "http" } else { "https" };
        let base = Url::parse(&format!("{scheme}://{registry}/v2/{repository}/"))
            .map_err(|error| failed(format!("is no valid host: {error}")))?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT));
        let tls = hyper_rustls::HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::ring::default_provider())
            .map_err(|error| {
                failed(format!(
                    "cannot be asked: no root certificates on this machine ({error}); install ca-certificates"
                ))
            })?
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(4)
            .build(tls);
        Ok(Self {
            client,
            base,
            registry: registry.into(),
            repository: repository.into(),
            credentials,
            authorization: tokio::sync::Mutex::new(None),
        })
    }

    /// Fetches a manifest or index by tag or digest: its bytes (verified when asked by digest) and media type.
    pub(crate) async fn manifest(&self, identifier: &str) -> Result<(Vec<u8>, Option<String>), ImageError> {
        let url = self.url(&format!("manifests/{identifier}"))?;
        let response = self.get(url, &ACCEPTED.join(", ")).await?;
        let media_type = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let bytes = self
            .small_body(
                response,
                MAX_DOCUMENT as usize,
                &format!("manifest `{identifier}`"),
            )
            .await?;
        if let Ok(expected) = identifier.parse::<Digest>() {
            let actual = Digest::of(&bytes);
            if actual != expected {
                return Err(ImageError::DigestMismatch { expected, actual });
            }
        }
        Ok((bytes, media_type))
    }

    /// Downloads a blob, telling `progress` how many bytes arrived.
    pub(crate) async fn blob(
        &self,
        descriptor: &Descriptor,
        blobs: &Blobs,
        progress: impl Fn(u64),
    ) -> Result<(), ImageError> {
        let url = self.url(&format!("blobs/{}", descriptor.digest))?;
        let mut body = self.get(url, "*/*").await?.into_body();
        let mut writer: BlobWriter = blobs.writer(descriptor.size)?;
        let began = Instant::now();
        loop {
            let frame = timeout(SILENCE, body.frame()).await.map_err(|_| {
                self.failed(format!(
                    "stopped sending blob {} for {} s",
                    descriptor.digest,
                    SILENCE.as_secs()
                ))
            })?;
            let Some(frame) = frame else { break };
            let frame = frame
                .map_err(|error| self.failed(format!("broke off blob {}: {error}", descriptor.digest)))?;
            let Ok(data) = frame.into_data() else { continue };
            writer.write(&data)?;
            progress(writer.size());
            if too_slow(began.elapsed(), writer.size()) {
                return Err(self.failed(format!(
                    "sends blob {} slower than {SLOWEST} bytes per second",
                    descriptor.digest
                )));
            }
        }
        if writer.size() != descriptor.size {
            return Err(self.failed(format!(
                "sent {} bytes of blob {}, which has {}",
                writer.size(),
                descriptor.digest,
                descriptor.size
            )));
        }
        let digest = descriptor.digest;
        tokio::task::spawn_blocking(move || writer.commit(Some(&digest)))
            .await
            .map_err(|_| ImageError::Cancelled)??;
        Ok(())
    }

    fn url(&self, path: &str) -> Result<Url, ImageError> {
        self.base
            .join(path)
            .map_err(|error| self.failed(format!("has no valid address for {path}: {error}")))
    }

    async fn get(&self, url: Url, accept: &str) -> Result<Response<Incoming>, ImageError> {
        let mut url = url;
        let mut asked_to_authenticate = false;
        let mut redirects = 0;
        loop {
            let own = same_origin(&url, &self.base);
            let authorization = if own {
                self.authorization.lock().await.clone()
            } else {
                None
            };
            let response = self.send(&url, accept, authorization).await?;
            let status = response.status();
            if status == StatusCode::UNAUTHORIZED && own && !asked_to_authenticate {
                asked_to_authenticate = true;
                let authorization = self.authenticate(&response).await?;
                *self.authorization.lock().await = Some(authorization);
            } else if let Some(next) = redirect(&response) {
                redirects += 1;
                if redirects > MAX_REDIRECTS {
                    return Err(self.failed(format!("redirects more than {MAX_REDIRECTS} times")));
                }
                let next = url
                    .join(next)
                    .map_err(|error| self.failed(format!("redirects nowhere: {error}")))?;
                allowed_redirect(&self.base, &next).map_err(|reason| self.failed(reason))?;
                url = next;
            } else if status.is_success() {
                return Ok(response);
            } else {
                return Err(self.refused(response).await);
            }
        }
    }

    async fn send(
        &self,
        url: &Url,
        accept: &str,
        authorization: Option<HeaderValue>,
    ) -> Result<Response<Incoming>, ImageError> {
        let mut request = Request::builder()
            .method(Method::GET)
            .uri(url.as_str())
            .header(USER_AGENT, concat!("spindrift/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, accept);
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request = request
            .body(Empty::new())
            .map_err(|error| self.failed(format!("cannot be asked for {url}: {error}")))?;
        let host = url.host_str().unwrap_or_default();
        let answer = timeout(SILENCE, self.client.request(request)).await;
        answer
            .map_err(|_| self.failed(format!("did not answer within {} s ({host})", SILENCE.as_secs())))?
            .map_err(|error| self.failed(format!("cannot be reached ({host}): {}", chain(&error))))
    }

    /// Answers a 401 of the registry itself.
    async fn authenticate(&self, response: &Response<Incoming>) -> Result<HeaderValue, ImageError> {
        let challenges = response.headers().get_all(WWW_AUTHENTICATE);
        let challenge = challenges
            .iter()
            .filter_map(|value| Challenge::parse(value.to_str().ok()?))
            .max_by_key(|challenge| matches!(challenge, Challenge::Bearer { .. }));
        match challenge {
            Some(Challenge::Basic) => match &self.credentials {
                Some(credentials) => self.basic(credentials),
                None => Err(self.denied("it wants a user name and password; add an image pull secret")),
            },
            Some(Challenge::Bearer {
                realm,
                service,
                scope,
            }) => self.token(&realm, service, scope).await,
            None => Err(self.denied("it wants an authentication that is neither Basic nor Bearer")),
        }
    }

    async fn token(
        &self,
        realm: &str,
        service: Option<String>,
        scope: Option<String>,
    ) -> Result<HeaderValue, ImageError> {
        let mut url = Url::parse(realm)
            .map_err(|error| self.failed(format!("names an invalid token service: {error}")))?;
        allowed_redirect(&self.base, &url).map_err(|reason| self.failed(reason))?;
        let scope = scope.unwrap_or_else(|| format!("repository:{}:pull", self.repository));
        {
            let mut query = url.query_pairs_mut();
            query.append_pair("scope", &scope);
            if let Some(service) = &service {
                query.append_pair("service", service);
            }
        }
        let authorization = self
            .credentials
            .as_ref()
            .map(|credentials| self.basic(credentials))
            .transpose()?;
        let response = self.send(&url, "application/json", authorization).await?;
        if !response.status().is_success() {
            return Err(match response.status() {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                    self.denied("its token service refused; check the image pull secret")
                }
                status => self.failed(format!("has a token service that answered {status}")),
            });
        }
        let body = self.small_body(response, MAX_SMALL_BODY, "token answer").await?;
        let answer: TokenAnswer = serde_json::from_slice(&body)
            .map_err(|error| self.failed(format!("has a token service with an invalid answer: {error}")))?;
        let token = answer.token.or(answer.access_token).unwrap_or_default();
        self.header(format!("Bearer {token}"))
    }

    fn basic(&self, credentials: &Credentials) -> Result<HeaderValue, ImageError> {
        let pair = format!("{}:{}", credentials.username, credentials.password);
        self.header(format!(
            "Basic {}",
            base64::engine::general_purpose::STANDARD.encode(pair)
        ))
    }

    fn header(&self, text: String) -> Result<HeaderValue, ImageError> {
        let mut value =
            HeaderValue::try_from(text).map_err(|_| self.failed("gave a token that is no header".into()))?;
        value.set_sensitive(true);
        Ok(value)
    }

    async fn small_body(
        &self,
        response: Response<Incoming>,
        limit: usize,
        what: &str,
    ) -> Result<Vec<u8>, ImageError> {
        let body = Limited::new(response.into_body(), limit);
        let collected = timeout(SILENCE, body.collect())
            .await
            .map_err(|_| self.failed(format!("did not send {what} within {} s", SILENCE.as_secs())))?;
        match collected {
            Ok(body) => Ok(body.to_bytes().to_vec()),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(ImageError::TooLarge {
                what: what.into(),
                limit: format!("{limit} bytes"),
            }),
            Err(error) => Err(self.failed(format!("broke off {what}: {error}"))),
        }
    }

    async fn refused(&self, response: Response<Incoming>) -> ImageError {
        let status = response.status();
        let body = self
            .small_body(response, MAX_SMALL_BODY, "error")
            .await
            .unwrap_or_default();
        let told = error_message(&body);
        match status {
            StatusCode::NOT_FOUND => ImageError::NotFound {
                reference: format!("{}/{}", self.registry, self.repository),
                detail: if told.is_empty() {
                    String::new()
                } else {
                    format!(": {told}")
                },
            },
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => self.denied(if told.is_empty() {
                "check its name and the image pull secret"
            } else {
                &told
            }),
            StatusCode::TOO_MANY_REQUESTS => self.failed(format!("limits the rate of requests: {told}")),
            _ => self.failed(format!(
                "answered {status}{}{told}",
                if told.is_empty() { "" } else { ": " }
            )),
        }
    }

    fn denied(&self, detail: &str) -> ImageError {
        ImageError::Denied {
            registry: self.registry.clone(),
            repository: self.repository.clone(),
            detail: detail.into(),
        }
    }

    fn failed(&self, detail: String) -> ImageError {
        ImageError::Registry {
            registry: self.registry.clone(),
            detail,
        }
    }
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
}

fn too_slow(elapsed: Duration, received: u64) -> bool {
    elapsed > GRACE && received < elapsed.as_secs() * SLOWEST
}

fn redirect(response: &Response<Incoming>) -> Option<&str> {
    if !response.status().is_redirection() {
        return None;
    }
    response.headers().get(LOCATION)?.to_str().ok()
}

fn same_origin(a: &Url, b: &Url) -> bool {
    a.scheme() == b.scheme()
        && a.host_str() == b.host_str()
        && a.port_or_known_default() == b.port_or_known_default()
}

/// A registry in the network must not send this machine to itself, to its link, or from TLS to plain text.
fn allowed_redirect(from: &Url, to: &Url) -> Result<(), String> {
    let local = |url: &Url| match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback() || ip.is_link_local() || ip.is_unspecified(),
        Some(Host::Ipv6(ip)) => {
            ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_unicast_link_local()
                || ip.to_ipv4_mapped().is_some()
        }
        None => true,
    };
    if !matches!(to.scheme(), "https" | "http") || (from.scheme() == "https" && to.scheme() != "https") {
        return Err(format!(
            "redirects to `{}:`, which is refused: only https is followed",
            to.scheme()
        ));
    }
    if local(to) && !local(from) {
        return Err(format!(
            "redirects to this machine ({}), which is refused",
            to.host_str().unwrap_or_default()
        ));
    }
    Ok(())
}

/// Whether a registry is on this machine, where plain HTTP is fine.
fn is_loopback(registry: &str) -> bool {
    let host = match registry.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => registry.rsplit_once(':').map_or(registry, |(host, _)| host),
    };
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The first message of a registry's error body, on one line and not too long.
fn error_message(body: &[u8]) -> String {
    let value: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let error = value.get("errors").and_then(|errors| errors.get(0));
    let message = error.and_then(|error| error.get("message").or_else(|| error.get("code")));
    let text = message.and_then(serde_json::Value::as_str).unwrap_or_default();
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine_only() {
        for registry in [
            "localhost",
            "localhost:5000",
            "127.0.0.1:80",
            "127.9.9.9",
            "[::1]:5000",
        ] {
            assert!(is_loopback(registry), "{registry}");
        }
        for registry in [
            "index.docker.io",
            "localhost.evil.com",
            "10.0.0.1:5000",
            "127.0.0.1.evil.com:80",
        ] {
            assert!(!is_loopback(registry), "{registry}");
        }
    }

    #[test]
    fn redirects_do_not_reach_inside() {
        let registry = Url::parse("https://registry.example/v2/x/").unwrap();
        let cases = [
            ("https://cdn.example/blob", true),
            ("http://cdn.example/blob", false),
            ("https://127.0.0.1/", false),
            ("https://localhost/", false),
            ("https://169.254.169.254/latest/meta-data", false),
            ("https://[::ffff:127.0.0.1]/", false),
            ("https://0.0.0.0/", false),
            ("file:///etc/passwd", false),
        ];
        for (to, expected) in cases {
            assert_eq!(
                allowed_redirect(&registry, &Url::parse(to).unwrap()).is_ok(),
                expected,
                "{to}"
            );
        }
        let local = Url::parse("http://localhost:5000/v2/x/").unwrap();
        assert!(allowed_redirect(&local, &Url::parse("http://127.0.0.1:5001/").unwrap()).is_ok());
    }

    #[test]
    fn a_trickle_counts_as_hanging() {
        assert!(!too_slow(Duration::from_secs(59), 0));
        assert!(too_slow(Duration::from_secs(61), 1_000));
        assert!(!too_slow(Duration::from_secs(61), 1 << 20));
    }

    #[test]
    fn error_bodies_are_told_in_one_line() {
        let body = br#"{"errors":[{"code":"DENIED","message":"requested access\nis denied"}]}"#;
        assert_eq!(error_message(body), "requested accessis denied");
        assert_eq!(error_message(b"<html>"), "");
    }
}
