//! Asking a webhook over HTTPS.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::Value;

use super::Endpoint;
use super::resolve::Resolver;
use crate::store::Store;

/// Largest answer that is read (upstream: the limit of request bodies).
const MAX_ANSWER: usize = 3 << 20;
/// Idle connections that one webhook keeps.
const IDLE_CONNECTIONS: usize = 8;
const IDLE_TIME: Duration = Duration::from_secs(90);
/// How much of an unexpected answer an error shows.
const SHOWN: usize = 256;

type Https = Client<HttpsConnector<HttpConnector<Resolver>>, Full<Bytes>>;

/// A webhook with its connections.
#[derive(Debug)]
pub(crate) struct Remote {
    endpoint: Endpoint,
    /// Why it cannot be asked, if its certificates cannot be read.
    client: Result<Https, String>,
}

impl Remote {
    /// Prepares a webhook; connects nothing yet.
    pub(crate) fn new(endpoint: Endpoint, store: &Store) -> Self {
        let client = client(&endpoint, store);
        Self { endpoint, client }
    }

    /// Sends a review and returns the answer.
    ///
    /// # Errors
    /// A sentence: unreachable, too slow, not trusted, or answering nonsense.
    pub(crate) async fn ask(&self, review: &Value) -> Result<Value, String> {
        let client = self
            .client
            .as_ref()
            .map_err(|why| format!("could not get REST client: {why}"))?;
        let Endpoint { target, timeout, .. } = &self.endpoint;
        let query = format!("timeout={}s", timeout.as_secs());
        let failed = |why: String| {
            format!(
                "failed to call webhook: Post \"{}?{query}\": {why}",
                target.shown()
            )
        };
        let url = target.url();
        let joint = if url.contains('?') { '&' } else { '?' };
        let body = serde_json::to_vec(review).map_err(|error| failed(error.to_string()))?;
        let request = Request::post(format!("{url}{joint}{query}"))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, "kube-apiserver-admission")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| failed(error.to_string()))?;
        let answer = async {
            let response = client.request(request).await.map_err(|error| chain(&error))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_ANSWER)
                .collect()
                .await
                .map_err(|error| error.to_string())?
                .to_bytes();
            if status.is_success() {
                return serde_json::from_slice(&body)
                    .map_err(|error| format!("the answer is not JSON: {error}"));
            }
            let text = String::from_utf8_lossy(&body);
            let start: String = text.trim().chars().take(SHOWN).collect();
            Err(format!("it answered {status}: {start}"))
        };
        tokio::time::timeout(*timeout, answer)
            .await
            .unwrap_or_else(|_| Err("context deadline exceeded".to_owned()))
            .map_err(failed)
    }
}

/// The error with its causes: the outer ones of the client only say that it failed.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

fn client(endpoint: &Endpoint, store: &Store) -> Result<Https, String> {
    let mut connector = HttpConnector::new_with_resolver(Resolver {
        store: store.clone(),
        target: endpoint.target.clone(),
    });
    connector.enforce_http(false);
    connector.set_nodelay(true);
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls(&endpoint.ca_bundle)?)
        .https_only()
        .enable_http1()
        .wrap_connector(connector);
    Ok(Client::builder(TokioExecutor::new())
        .pool_idle_timeout(IDLE_TIME)
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .pool_timer(TokioTimer::new())
        .build(connector))
}

fn tls(ca_bundle: &[u8]) -> Result<ClientConfig, String> {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    if ca_bundle.is_empty() {
        return Ok(builder
            .with_native_roots()
            .map_err(|error| error.to_string())?
            .with_no_client_auth());
    }
    Ok(builder
        .with_root_certificates(roots(ca_bundle)?)
        .with_no_client_auth())
}

/// Reads a `caBundle`.
///
/// # Errors
/// A sentence, if it is no PEM with at least one certificate.
pub(crate) fn roots(ca_bundle: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca_bundle) {
        let certificate =
            certificate.map_err(|error| format!("unable to parse bytes as PEM block: {error}"))?;
        roots
            .add(certificate)
            .map_err(|error| format!("unable to load root certificates: {error}"))?;
    }
    if roots.is_empty() {
        return Err("unable to load root certificates: unable to parse bytes as PEM block".to_owned());
    }
    Ok(roots)
}
