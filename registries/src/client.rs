//! The questions asked of a registry, and how it is asked: credentials, redirects, a rate.

use std::net::IpAddr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use formats::image::ImageReference;
use http::header::{ACCEPT, AUTHORIZATION, LOCATION, USER_AGENT, WWW_AUTHENTICATE};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use parking_lot::Mutex;
use serde::Deserialize;
use thiserror::Error;
use tokio::time::Instant;
use url::Url;

use crate::challenge::{Challenge, parse};
use crate::keychain::Credentials;
use crate::lookup::{Lookup, Names};

/// Kinds of manifest that have a digest worth pinning; for several platforms it is that of the index.
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";
pub(crate) const AGENT: &str = concat!("knative/", env!("CARGO_PKG_VERSION"), " (serving)");
/// A token is a few kilobytes; more is no token.
const TOKEN_MAX: usize = 1 << 20;
/// Manifests and configurations are at most this long (the specification's advice to registries).
const DOCUMENT_MAX: usize = 4 << 20;
/// Registries send those who want a blob to where their blobs are.
pub(crate) const REDIRECTS: usize = 3;
/// Requests per second over all registries, and how many may come at once (upstream's).
const RATE: (f64, f64) = (10.0, 100.0);

/// Why a registry gave no answer that can be used.
#[derive(Debug, Error)]
pub enum RegistryError {
    #[error("{method} {url}")]
    Request {
        method: Method,
        url: String,
        #[source]
        source: hyper_util::client::legacy::Error,
    },
    #[error("{url} is not asked")]
    Forbidden {
        url: String,
        #[source]
        source: std::io::Error,
    },
    #[error("{method} {url}: unexpected status code {status}")]
    Status {
        method: Method,
        url: String,
        status: StatusCode,
    },
    #[error("the registry asks for authentication that is not supported: {0}")]
    Challenge(String),
    #[error("the token service of the registry must be reached by https: {0}")]
    InsecureRealm(String),
    #[error("the answer of the token service at {0} cannot be used")]
    Token(String),
    #[error("the registry told no digest for {0}")]
    NoDigest(String),
    #[error("the answer to GET {0} cannot be read to its end, or is too long")]
    Body(String),
    #[error("the answer to GET {url} cannot be used")]
    Document {
        url: String,
        #[source]
        source: serde_json::Error,
    },
    #[error("what is at {0} is no image that has a configuration")]
    NoImage(String),
    #[error("{0}: what came does not have the digest that was asked for")]
    WrongDigest(String),
    #[error("{url}: longer than the {limit} bytes that are allowed")]
    TooLong { url: String, limit: u64 },
    #[error("what was to be uploaded cannot be read")]
    Read(#[source] std::io::Error),
    #[error("what was downloaded cannot be written")]
    Write(#[source] std::io::Error),
    #[error("{method} {url}: status code {status}: {message}")]
    Refused {
        method: Method,
        url: String,
        status: StatusCode,
        message: String,
    },
    #[error("not a URL: {0}")]
    Url(String),
}

/// A document of a registry, and its digest.
pub(crate) struct Document {
    pub url: String,
    pub bytes: Bytes,
    /// As the registry tells it.
    pub digest: Option<String>,
}

/// A client of all registries.
pub struct Registry {
    client: Client<HttpsConnector<HttpConnector<Names>>, Full<Bytes>>,
    /// Asked for addresses too, which the connector does not look up.
    lookup: Option<Lookup>,
    tokens: Mutex<(f64, Instant)>,
    /// Registries that are spoken to in clear text though they are not on this machine.
    insecure: Vec<String>,
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl Registry {
    /// A client that trusts what the machine trusts.
    pub fn new() -> Self {
        Self::with(None)
    }

    /// A client that connects only to what `lookup` finds, for those who are told by others what to look at.
    pub fn looking_up(lookup: Lookup) -> Self {
        Self::with(Some(lookup))
    }

    fn with(lookup: Option<Lookup>) -> Self {
        let mut http = HttpConnector::new_with_resolver(Names(lookup.clone()));
        http.enforce_http(false);
        http.set_connect_timeout(Some(Duration::from_secs(5)));
        let https = match hyper_rustls::HttpsConnectorBuilder::new().with_native_roots() {
            Ok(builder) => builder.https_or_http().enable_http1().wrap_connector(http),
            Err(error) => {
                tracing::warn!(%error, "No root certificates found, registries can be reached by http only");
                let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
                let config = rustls::ClientConfig::builder_with_provider(provider)
                    .with_safe_default_protocol_versions();
                #[expect(clippy::expect_used, reason = "ring supports the default protocol versions")]
                let config = config
                    .expect("ring supports the default protocol versions")
                    .with_root_certificates(rustls::RootCertStore::empty())
                    .with_no_client_auth();
                HttpsConnector::from((http, config))
            }
        };
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .build(https);
        Self {
            client,
            lookup,
            tokens: Mutex::new((RATE.1, Instant::now())),
            insecure: Vec::new(),
        }
    }

    /// The same, which speaks http with these registries (`host:port`) too: somebody has said so explicitly.
    #[must_use]
    pub fn insecure(mut self, registries: impl IntoIterator<Item = String>) -> Self {
        self.insecure.extend(registries);
        self
    }

    /// How a registry is reached: those on this machine and the insecure ones by http, all others by https.
    pub(crate) fn base(&self, registry: &str) -> String {
        if self.insecure.iter().any(|insecure| insecure == registry) {
            return format!("http://{registry}");
        }
        base_url(registry)
    }

    /// The digest of the manifest that `image` names, `sha256:<hex>`.
    pub async fn digest(
        &self,
        image: &ImageReference,
        credentials: Option<&Credentials>,
    ) -> Result<String, RegistryError> {
        let path = format!("manifests/{}", image.identifier());
        let (_, response) = self.authorized(Method::HEAD, image, &path, credentials).await?;
        told_digest(&response).ok_or_else(|| RegistryError::NoDigest(image.to_string()))
    }

    /// What lies at `path` within the repository of `image`.
    pub(crate) async fn document(
        &self,
        image: &ImageReference,
        path: &str,
        credentials: Option<&Credentials>,
    ) -> Result<Document, RegistryError> {
        let (url, mut response) = self.authorized(Method::GET, image, path, credentials).await?;
        let digest = told_digest(&response);
        let mut at = url.clone();
        for _ in 0..REDIRECTS {
            let Some(place) = redirected(&at, &response)? else {
                break;
            };
            // Whoever it leads to has been told what it needs to know by the address; credentials are not for others.
            response = self.ask(Method::GET, &place, None).await?;
            at = place;
        }
        succeeded(Method::GET, &at, &response)?;
        let body = Limited::new(response.into_body(), DOCUMENT_MAX).collect().await;
        let bytes = body.map_err(|_| RegistryError::Body(url.clone()))?.to_bytes();
        Ok(Document { url, bytes, digest })
    }

    /// Asks, and if the registry wants to know who asks, again. Gives the URL too.
    async fn authorized(
        &self,
        method: Method,
        image: &ImageReference,
        path: &str,
        credentials: Option<&Credentials>,
    ) -> Result<(String, Response<Incoming>), RegistryError> {
        let base = self.base(image.registry());
        let url = format!("{base}/v2/{}/{path}", image.repository());
        let mut response = self.ask(method.clone(), &url, None).await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            let authorization = self.authorize(&base, image, &response, credentials).await?;
            response = self.ask(method.clone(), &url, authorization.as_deref()).await?;
        }
        if !response.status().is_redirection() {
            succeeded(method, &url, &response)?;
        }
        Ok((url, response))
    }

    /// The header to come back with.
    pub(crate) async fn authorize(
        &self,
        base: &str,
        image: &ImageReference,
        refusal: &Response<Incoming>,
        credentials: Option<&Credentials>,
    ) -> Result<Option<String>, RegistryError> {
        let header = refusal
            .headers()
            .get(WWW_AUTHENTICATE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        match parse(header) {
            None => Err(RegistryError::Challenge(header.to_owned())),
            Some(Challenge::Basic) => Ok(credentials.map(basic)),
            Some(Challenge::Bearer {
                realm,
                service,
                scope,
            }) => {
                let mut url = Url::parse(&realm).map_err(|_| RegistryError::Url(realm.clone()))?;
                // Only a registry on this very machine may hand out tokens in clear text.
                if url.scheme() != "https" && !base.starts_with("http://") {
                    return Err(RegistryError::InsecureRealm(realm));
                }
                let scope = scope.unwrap_or_else(|| format!("repository:{}:pull", image.repository()));
                url.query_pairs_mut().append_pair("scope", &scope);
                if let Some(service) = service {
                    url.query_pairs_mut().append_pair("service", &service);
                }
                let authorization = credentials.map(basic);
                let response = self
                    .ask(Method::GET, url.as_str(), authorization.as_deref())
                    .await?;
                if !response.status().is_success() {
                    return Err(RegistryError::Status {
                        method: Method::GET,
                        url: realm,
                        status: response.status(),
                    });
                }
                let body = Limited::new(response.into_body(), TOKEN_MAX).collect().await;
                let body = body.map_err(|_| RegistryError::Token(realm.clone()))?.to_bytes();
                let token: Token =
                    serde_json::from_slice(&body).map_err(|_| RegistryError::Token(realm.clone()))?;
                let token = token
                    .token
                    .or(token.access_token)
                    .ok_or(RegistryError::Token(realm))?;
                Ok(Some(format!("Bearer {token}")))
            }
        }
    }

    async fn ask(
        &self,
        method: Method,
        url: &str,
        authorization: Option<&str>,
    ) -> Result<Response<Incoming>, RegistryError> {
        self.wait_for_turn().await;
        let mut request = Request::builder()
            .method(method.clone())
            .uri(url)
            .header(USER_AGENT, AGENT)
            .header(
                ACCEPT,
                if url.contains("/manifests/") {
                    MANIFESTS
                } else {
                    "*/*"
                },
            );
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request = request
            .body(Full::default())
            .map_err(|_| RegistryError::Url(url.to_owned()))?;
        self.send(request).await
    }

    /// Sends a request as it is.
    pub(crate) async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, RegistryError> {
        let (method, url) = (request.method().clone(), request.uri().to_string());
        if let Some(lookup) = &self.lookup {
            let host = request.uri().host().unwrap_or_default();
            let address = host.trim_start_matches('[').trim_end_matches(']').to_owned();
            if address.parse::<IpAddr>().is_ok()
                && let Err(source) = lookup(address).await
            {
                return Err(RegistryError::Forbidden { url, source });
            }
        }
        let response = self.client.request(request).await;
        response.map_err(|source| RegistryError::Request { method, url, source })
    }

    /// A token bucket: one deploy of many services must not look like an attack to a registry.
    async fn wait_for_turn(&self) {
        let wait = {
            let mut tokens = self.tokens.lock();
            let now = Instant::now();
            tokens.0 = (tokens.0 + (now - tokens.1).as_secs_f64() * RATE.0).min(RATE.1) - 1.0;
            tokens.1 = now;
            if tokens.0 >= 0.0 { 0.0 } else { -tokens.0 / RATE.0 }
        };
        if wait > 0.0 {
            tokio::time::sleep(Duration::from_secs_f64(wait)).await;
        }
    }
}

pub(crate) fn told_digest(response: &Response<Incoming>) -> Option<String> {
    let digest = response.headers().get("docker-content-digest")?;
    digest.to_str().ok().map(str::to_owned)
}

pub(crate) fn succeeded(
    method: Method,
    url: &str,
    response: &Response<Incoming>,
) -> Result<(), RegistryError> {
    let status = response.status();
    match status.is_success() {
        true => Ok(()),
        false => Err(RegistryError::Status {
            method,
            url: url.to_owned(),
            status,
        }),
    }
}

/// Where an answer leads to, if it leads on. What was asked for safely is not asked for in clear text.
pub(crate) fn redirected(url: &str, response: &Response<Incoming>) -> Result<Option<String>, RegistryError> {
    if !response.status().is_redirection() {
        return Ok(None);
    }
    let place = response
        .headers()
        .get(LOCATION)
        .and_then(|place| place.to_str().ok())
        .unwrap_or_default();
    let base = Url::parse(url).map_err(|_| RegistryError::Url(url.to_owned()))?;
    let next = base
        .join(place)
        .map_err(|_| RegistryError::Url(place.to_owned()))?;
    if next.scheme() == "https" || next.scheme() == base.scheme() {
        return Ok(Some(next.into()));
    }
    Err(RegistryError::Url(place.to_owned()))
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

fn basic(credentials: &Credentials) -> String {
    format!(
        "Basic {}",
        STANDARD.encode(format!("{}:{}", credentials.username, credentials.password))
    )
}

/// Registries on this machine speak http, all others https.
fn base_url(registry: &str) -> String {
    let registry = match registry {
        formats::image::DEFAULT_REGISTRY => "registry-1.docker.io",
        registry => registry,
    };
    let host = match registry.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => registry,
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_local = bare == "localhost"
        || bare.ends_with(".localhost")
        || bare
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback());
    format!("{}://{registry}", if is_local { "http" } else { "https" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_registries_of_this_machine_are_asked_in_clear_text() {
        for (registry, expected) in [
            ("index.docker.io", "https://registry-1.docker.io"),
            ("localhost:5000", "http://localhost:5000"),
            ("127.0.0.1:5000", "http://127.0.0.1:5000"),
            ("[::1]:5000", "http://[::1]:5000"),
            ("registry.localhost", "http://registry.localhost"),
            ("localhost.evil.org", "https://localhost.evil.org"),
            ("10.0.0.1:5000", "https://10.0.0.1:5000"),
            ("ghcr.io", "https://ghcr.io"),
        ] {
            assert_eq!(base_url(registry), expected);
        }
    }
}
