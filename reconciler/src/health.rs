//! The small HTTP server every component has: `/health`, `/readiness` and `/metrics`.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tracing::debug;

/// Connections served at a time; probes and one or two scrapers need few.
const CONNECTIONS: usize = 64;
/// A client that does not finish its header in time is cut off.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// Tells whether the component can do its work; the error says what is missing.
pub type Readiness = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// Serves until the future is dropped.
pub async fn serve(listener: TcpListener, readiness: Readiness) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(permit) = permits.clone().acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of descriptors, most likely: an accept loop must survive that.
                debug!(%error, "Connection not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let readiness = readiness.clone();
        connections.spawn(async move {
            let service = service_fn(move |request| {
                let response = respond(&request, readiness.as_ref());
                async move { Ok::<_, Infallible>(response) }
            });
            let served = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .max_buf_size(16 * 1024)
                .serve_connection(TokioIo::new(stream), service)
                .await;
            if let Err(error) = served {
                debug!(%error, "Connection ended");
            }
            drop(permit);
        });
    }
}

fn respond(
    request: &Request<Incoming>,
    readiness: &(dyn Fn() -> Result<(), String> + Send + Sync),
) -> Response<Full<Bytes>> {
    answer(request.method(), request.uri().path(), readiness)
}

fn answer(
    method: &Method,
    path: &str,
    readiness: &(dyn Fn() -> Result<(), String> + Send + Sync),
) -> Response<Full<Bytes>> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET is possible here\n");
    }
    match path {
        "/health" | "/healthz" => text(StatusCode::OK, "ok\n"),
        "/readiness" | "/readyz" => match readiness() {
            Ok(()) => text(StatusCode::OK, "ok\n"),
            Err(missing) => text(StatusCode::SERVICE_UNAVAILABLE, missing + "\n"),
        },
        "/metrics" => match prometheus::TextEncoder::new().encode_to_string(&prometheus::gather()) {
            Ok(metrics) => text(StatusCode::OK, metrics),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        },
        _ => text(
            StatusCode::NOT_FOUND,
            "paths are /health, /readiness and /metrics\n",
        ),
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"),
    );
    response
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[test]
    fn paths_answer_what_they_should() {
        let ready = || Ok(());
        let missing = || Err("caches are not filled".to_owned());
        let status = |path, readiness: &(dyn Fn() -> Result<(), String> + Send + Sync)| {
            answer(&Method::GET, path, readiness).status().as_u16()
        };
        assert_eq!(status("/health", &missing), 200);
        assert_eq!(status("/readiness", &ready), 200);
        assert_eq!(status("/readiness", &missing), 503);
        assert_eq!(status("/metrics", &ready), 200);
        assert_eq!(status("/other", &ready), 404);
        assert_eq!(answer(&Method::POST, "/health", &ready).status().as_u16(), 405);
    }

    #[tokio::test]
    async fn answers_over_a_socket() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(serve(listener, Arc::new(|| Err("not yet".to_owned()))));
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream
            .write_all(b"GET /readiness HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 503") && answer.ends_with("not yet\n"),
            "{answer}"
        );
        server.abort();
    }
}
