//! The webhooks over HTTPS, with a certificate that may change while it serves.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use certificates::Identity;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use prometheus::{HistogramOpts, HistogramVec};
use reconciler::admission::Review;
use rustls::ServerConfig;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

use crate::hooks::{Converter, Hook};

/// Connections at once; API servers keep few and reuse them.
const MAX_CONNECTIONS: usize = 256;
/// Time for a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Time for the headers of an HTTP/1 request.
const HEADERS: Duration = Duration::from_secs(10);
/// Time for the body of a review.
const BODY: Duration = Duration::from_secs(10);
/// Largest review: two objects of the largest size that an API server stores, and what is around them.
const MAX_REVIEW: usize = 4 << 20;

/// Serves `hooks` and `converters` until the future is dropped. They do not wait for anything, so nothing is left half done.
///
/// # Errors
/// If TLS cannot be set up, or somebody has registered metrics of the same names.
pub async fn serve(
    listener: TcpListener,
    identity: Arc<Identity>,
    hooks: Vec<Hook>,
    converters: Vec<Converter>,
) -> anyhow::Result<()> {
    let hooks = Arc::new(Hooks::new(hooks, converters)?);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("cannot set up TLS")?
        .with_no_client_auth()
        .with_cert_resolver(identity);
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let place = places.clone().acquire_owned().await?;
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                warn!(%error, "Connection not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (acceptor, hooks) = (acceptor.clone(), hooks.clone());
        connections.spawn(async move {
            connection(acceptor, stream, hooks).await;
            drop(place);
        });
    }
}

async fn connection(acceptor: TlsAcceptor, stream: TcpStream, hooks: Arc<Hooks>) {
    let _ = stream.set_nodelay(true);
    let stream = match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            debug!(%error, "TLS handshake failed");
            return;
        }
        Err(_) => return,
    };
    let service = service_fn(move |request| {
        let hooks = hooks.clone();
        async move { Ok::<_, Infallible>(respond(request, &hooks).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .max_buf_size(64 << 10);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(100);
    if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
        debug!(%error, "Connection ended");
    }
}

async fn respond(request: Request<Incoming>, hooks: &Hooks) -> Response<Full<Bytes>> {
    let Some(asked) = hooks.at(request.uri().path()) else {
        return plain(StatusCode::NOT_FOUND, "there is no webhook at this path");
    };
    if request.method() != Method::POST {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "reviews are POSTed");
    }
    let body = Limited::new(request.into_body(), MAX_REVIEW).collect();
    let body = match tokio::time::timeout(BODY, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) => {
            return plain(
                StatusCode::BAD_REQUEST,
                format!("cannot read the review: {error}"),
            );
        }
        Err(_) => return plain(StatusCode::REQUEST_TIMEOUT, "the review does not arrive"),
    };
    match asked {
        Asked::Hook(hook) => answer(&body, |review| hooks.ask(hook, review)),
        Asked::Converter(converter) => answer(&body, converter.convert),
    }
}

/// Reads a review and writes the answer to it.
fn answer<R: DeserializeOwned + Serialize>(
    body: &[u8],
    decide: impl FnOnce(R) -> R,
) -> Response<Full<Bytes>> {
    let review: R = match serde_json::from_slice(body) {
        Ok(review) => review,
        Err(error) => {
            return plain(
                StatusCode::BAD_REQUEST,
                format!("this is no review of this webhook: {error}"),
            );
        }
    };
    match serde_json::to_vec(&decide(review)) {
        Ok(answer) => {
            let mut response = Response::new(Full::new(answer.into()));
            response.headers_mut().insert(
                header::CONTENT_TYPE,
                header::HeaderValue::from_static("application/json"),
            );
            response
        }
        Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

fn plain(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response
}

/// Who answers at a path.
enum Asked<'a> {
    Hook(&'a Hook),
    Converter(&'a Converter),
}

/// The hooks that are served, and how long they take.
struct Hooks {
    all: Vec<Hook>,
    converters: Vec<Converter>,
    seconds: HistogramVec,
}

impl Hooks {
    fn new(all: Vec<Hook>, converters: Vec<Converter>) -> Result<Self, prometheus::Error> {
        let seconds = HistogramVec::new(
            HistogramOpts::new(
                "spindrift_webhook_review_seconds",
                "Time to decide on a review, by webhook and answer.",
            )
            .buckets(vec![0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5]),
            &["webhook", "allowed"],
        )?;
        prometheus::default_registry().register(Box::new(seconds.clone()))?;
        Ok(Self {
            all,
            converters,
            seconds,
        })
    }

    /// The hook at a path; a slash at its end does not matter.
    fn at(&self, path: &str) -> Option<Asked<'_>> {
        let path = path.strip_suffix('/').unwrap_or(path);
        let mut converters = self.converters.iter();
        let converter = converters.find(|converter| converter.path == path);
        let hook = self.all.iter().find(|hook| hook.path == path);
        hook.map(Asked::Hook).or(converter.map(Asked::Converter))
    }

    fn ask(&self, hook: &Hook, review: Review) -> Review {
        let start = Instant::now();
        let answer = (hook.decide)(review);
        let allowed = answer.response.as_ref().is_some_and(|response| response.allowed);
        self.seconds
            .with_label_values(&[hook.name.as_str(), if allowed { "true" } else { "false" }])
            .observe(start.elapsed().as_secs_f64());
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_are_found_by_their_paths() {
        let hooks = crate::hooks::serving(serving::admission::Settings::default);
        let hooks = Hooks::new(hooks, vec![crate::hooks::PIPELINES_CONVERTER]).unwrap();
        for hook in &hooks.all {
            let Some(Asked::Hook(found)) = hooks.at(&hook.path) else {
                panic!("{}", hook.path);
            };
            assert_eq!(found.name, hook.name);
        }
        let converter = hooks.at(crds::tekton::names::CONVERSION_PATH);
        assert!(matches!(converter, Some(Asked::Converter(_))));
        assert!(hooks.at("/defaulting/").is_some());
        assert!(hooks.at("/other").is_none());
    }
}
