//! The sample service: answers `Hello ${TARGET:-World}!` on `$PORT`.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// Time that open requests get after SIGTERM.
const DRAIN: Duration = Duration::from_secs(10);

fn main() -> std::io::Result<()> {
    // One thread: the answer costs nothing, and a small process starts sooner.
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(serve())
}

async fn serve() -> std::io::Result<()> {
    let port = std::env::var("PORT")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(8080);
    let target = std::env::var("TARGET")
        .ok()
        .filter(|text| !text.is_empty())
        .unwrap_or_else(|| "World".to_owned());
    let greeting = Bytes::from(format!("Hello {target}!\n"));
    let listener = TcpListener::bind(SocketAddr::from(([0, 0, 0, 0], port))).await?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut server = auto::Builder::new(TokioExecutor::new());
    // HTTP/1.1 and clear HTTP/2 on one port, so that the same image shows both.
    server
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(10));
    let draining = GracefulShutdown::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        };
        let greeting = greeting.clone();
        let answer = service_fn(move |_: Request<hyper::body::Incoming>| {
            let body = Full::new(greeting.clone());
            async move { Ok::<_, Infallible>(Response::new(body)) }
        });
        let connection = server.serve_connection(TokioIo::new(stream), answer).into_owned();
        tokio::spawn(draining.watch(connection));
    }
    let _ = tokio::time::timeout(DRAIN, draining.shutdown()).await;
    Ok(())
}
