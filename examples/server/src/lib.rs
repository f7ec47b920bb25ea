//! What the examples share: a small HTTP server that keeps the container contract.
//!
//! It listens on `$PORT`, speaks HTTP/1.1 (upgrades included) and clear HTTP/2 on it, and after SIGTERM lets open
//! requests finish.

use std::convert::Infallible;
use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// Body of a response.
pub type Body = UnsyncBoxBody<Bytes, hyper::Error>;

/// Time that open requests get after SIGTERM.
const DRAIN: Duration = Duration::from_secs(10);
/// Time for the head of a request to arrive.
const HEAD: Duration = Duration::from_secs(60);
/// Pause after a failed accept, which mostly means that descriptors are used up.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Answers requests with `answer` until SIGTERM or Ctrl-C.
///
/// One thread: the examples compute nothing, and a small process starts sooner.
///
/// # Errors
/// If `$PORT` (8080 without it) is taken.
pub fn serve<F, Fut>(answer: F) -> std::io::Result<()>
where
    F: Fn(Request<Incoming>) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Response<Body>> + Send + 'static,
{
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(accept(answer))
}

async fn accept<F, Fut>(answer: F) -> std::io::Result<()>
where
    F: Fn(Request<Incoming>) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Response<Body>> + Send + 'static,
{
    let port = variable("PORT")
        .and_then(|text| text.parse().ok())
        .unwrap_or(8080);
    let listener = TcpListener::bind(SocketAddr::from(([0, 0, 0, 0], port))).await?;
    // Whoever follows the log of a pod sees that it runs.
    writeln!(std::io::stdout(), "Listening on port {port}")?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(HEAD);
    let draining = GracefulShutdown::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => {
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        };
        let answer = answer.clone();
        let service = service_fn(move |request| {
            let response = answer(request);
            async move { Ok::<_, Infallible>(response.await) }
        });
        let connection = server
            .serve_connection_with_upgrades(TokioIo::new(stream), service)
            .into_owned();
        tokio::spawn(draining.watch(connection));
    }
    let _ = tokio::time::timeout(DRAIN, draining.shutdown()).await;
    Ok(())
}

/// An environment variable that is set to something.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

/// A body of known length.
pub fn full(content: impl Into<Bytes>) -> Body {
    http_body_util::Full::new(content.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}
