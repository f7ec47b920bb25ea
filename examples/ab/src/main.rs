//! An A/B page: shows the revision that answered, in the colour of `$COLOR`.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// Time that open requests get after SIGTERM.
const DRAIN: Duration = Duration::from_secs(10);

fn main() -> std::io::Result<()> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(serve())
}

async fn serve() -> std::io::Result<()> {
    let port = variable("PORT")
        .and_then(|text| text.parse().ok())
        .unwrap_or(8080);
    let page = Bytes::from(page(
        &variable("COLOR").unwrap_or_else(|| "blue".to_owned()),
        &variable("K_REVISION").unwrap_or_else(|| "no revision".to_owned()),
    ));
    let listener = TcpListener::bind(SocketAddr::from(([0, 0, 0, 0], port))).await?;
    let mut terminate = signal(SignalKind::terminate())?;
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
        };
        let page = page.clone();
        let answer = service_fn(move |_: Request<hyper::body::Incoming>| {
            let mut response = Response::new(Full::new(page.clone()));
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            async move { Ok::<_, Infallible>(response) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_secs(10))
            .serve_connection(TokioIo::new(stream), answer);
        tokio::spawn(draining.watch(connection));
    }
    let _ = tokio::time::timeout(DRAIN, draining.shutdown()).await;
    Ok(())
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

fn page(color: &str, revision: &str) -> String {
    // The colour ends up in a style: letters and digits are all that a colour needs.
    let color: String = color
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '#')
        .collect();
    let revision: String = revision
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || "-. ".contains(*c))
        .collect();
    format!(
        "<!doctype html>\n<title>{revision}</title>\n\
         <body style=\"margin:0;display:grid;place-items:center;height:100vh;background:{color};color:white;\
         font:2rem system-ui\">\n<p>{color} · {revision}</p>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::page;

    #[test]
    fn the_page_shows_the_revision_and_escapes_what_could_be_markup() {
        assert!(page("green", "ab-00002").contains("green · ab-00002"));
        let hostile = page("red;}</style><script>", "<b>");
        assert!(!hostile.contains("<script>") && !hostile.contains("<b>"));
    }
}
