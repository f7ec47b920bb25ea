//! Posts one event.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use event::{Event, Mode};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioExecutor;

use crate::error::{CliError, Exit, innermost};

/// Longest time for the connection and the answer together.
const LIMIT: Duration = Duration::from_secs(30);
/// Longest answer that is read, in bytes.
const LONGEST_ANSWER: usize = 64 << 10;

/// What the receiver said.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

/// Posts `event` to `url` in one piece.
///
/// # Errors
/// Nobody answered in time.
pub async fn post(url: &str, event: &Event) -> Result<Answer, CliError> {
    let failed = |error: &dyn std::error::Error| {
        CliError::new(
            Exit::NoConnection,
            format!("cannot send to {url}: {}", innermost(error)),
        )
        .with_hint("is the platform running, and is this its address? `kn status` shows the local one")
    };
    let (headers, body) = event::http::write(event, Mode::Structured);
    let mut request = Request::post(url)
        .body(Full::new(body))
        .map_err(|error| CliError::usage(format!("cannot send to {url}: {error}")))?;
    request.headers_mut().extend(headers);

    let mut connector = HttpConnector::new_with_resolver(tower::service_fn(resolve));
    connector.enforce_http(false);
    let connector = HttpsConnectorBuilder::new()
        .with_native_roots()
        .map_err(|error| failed(&error))?
        .https_or_http()
        .enable_http1()
        .wrap_connector(connector);
    let client = Client::builder(TokioExecutor::new()).build(connector);
    let answered = async {
        let response = client.request(request).await.map_err(|error| failed(&error))?;
        let (head, body) = response.into_parts();
        // What cannot be read of the answer doesn't change what it says.
        let body = Limited::new(body, LONGEST_ANSWER).collect().await;
        let body = body.map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned());
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body: body.unwrap_or_default(),
        })
    };
    tokio::time::timeout(LIMIT, answered).await.unwrap_or_else(|_| {
        Err(CliError::new(
            Exit::Timeout,
            format!(
                "timeout: {url} has not answered within {} seconds",
                LIMIT.as_secs()
            ),
        ))
    })
}

/// Names below `localhost` mean this machine, as RFC 6761 says; many systems do not resolve them.
async fn resolve(name: Name) -> io::Result<std::vec::IntoIter<SocketAddr>> {
    let host = name.as_str();
    if host == "localhost" || host.ends_with(".localhost") {
        return Ok(vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))].into_iter());
    }
    let found: Vec<SocketAddr> = tokio::net::lookup_host((host, 0)).await?.collect();
    Ok(found.into_iter())
}
