//! Requests to what serves events.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use event::{Event, Mode};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioExecutor;

use crate::error::{CliError, Exit, innermost};
use crate::table;

/// Longest time until the head of the answer is there.
const LIMIT: Duration = Duration::from_secs(30);
/// Longest answer that is read as a whole, in bytes.
const LONGEST_ANSWER: usize = 64 << 10;

/// A body that has not been read yet.
pub type Incoming = hyper::body::Incoming;

/// What was said.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

/// Posts `event` to `url` in one piece, with the token if there is one.
///
/// # Errors
/// Nobody answered in time.
pub async fn post(url: &str, event: &Event, token: Option<&str>) -> Result<Answer, CliError> {
    let (headers, body) = event::http::write(event, Mode::Structured);
    let mut request = Request::post(url);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let mut request = request
        .body(Full::new(body))
        .map_err(|error| wrong(url, &error))?;
    request.headers_mut().extend(headers);
    Ok(whole(send(url, request).await?).await)
}

/// Sends a request; the body of its answer has not been read yet.
///
/// # Errors
/// Nobody answered in time.
pub async fn send(url: &str, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, CliError> {
    let failed = |error: &dyn std::error::Error| {
        CliError::new(
            Exit::NoConnection,
            format!("cannot reach {url}: {}", innermost(error)),
        )
        .with_hint("is the platform running, and is this its address? `kn status` shows the local one")
    };
    let mut connector = HttpConnector::new_with_resolver(tower::service_fn(resolve));
    connector.enforce_http(false);
    let connector = HttpsConnectorBuilder::new()
        .with_native_roots()
        .map_err(|error| failed(&error))?
        .https_or_http()
        .enable_http1()
        .wrap_connector(connector);
    let client = Client::builder(TokioExecutor::new()).build(connector);
    match tokio::time::timeout(LIMIT, client.request(request)).await {
        Ok(answered) => answered.map_err(|error| failed(&error)),
        Err(_) => Err(CliError::new(
            Exit::Timeout,
            format!(
                "timeout: {url} has not answered within {} seconds",
                LIMIT.as_secs()
            ),
        )),
    }
}

/// A URL, or a header, that no request can have.
pub fn wrong(url: &str, error: &http::Error) -> CliError {
    CliError::usage(format!("cannot send to {url}: {error}"))
}

/// The whole answer. What cannot be read of its body doesn't change what it says.
pub async fn whole(response: Response<Incoming>) -> Answer {
    let (head, body) = response.into_parts();
    let read = tokio::time::timeout(LIMIT, Limited::new(body, LONGEST_ANSWER).collect()).await;
    let body = read.ok().and_then(Result::ok);
    Answer {
        status: head.status,
        headers: head.headers,
        body: body
            .map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned())
            .unwrap_or_default(),
    }
}

impl Answer {
    /// Whether it says yes; `what` was asked for.
    ///
    /// # Errors
    /// It does not: with its status, its text, and when to come again.
    pub fn accepted(&self, url: &str, what: &str) -> Result<(), CliError> {
        if self.status.is_success() {
            return Ok(());
        }
        let said = match table::one_line(self.body.trim()) {
            body if body.is_empty() => String::new(),
            body => format!(": {body}"),
        };
        let exit = match self.status.as_u16() {
            401 | 403 => Exit::Forbidden,
            404 => Exit::NotFound,
            _ => Exit::Failure,
        };
        let error = CliError::new(exit, format!("{url} refused {what} with {}{said}", self.status));
        let later = self
            .headers
            .get("retry-after")
            .and_then(|value| value.to_str().ok());
        Err(match (self.status.as_u16(), later) {
            (_, Some(seconds)) => error.with_hint(format!("try again in {seconds} seconds")),
            (404, None) => error.with_hint("is the receiver there, and ready? `describe` tells"),
            _ => error,
        })
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn refusals_tell_what_the_receiver_said() {
        let answer = |status: u16, body: &str| Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: body.to_owned(),
        };
        answer(202, "").accepted("http://x", "it").unwrap();
        let refused = answer(400, "bad\nid\n")
            .accepted("http://x", "the event")
            .unwrap_err();
        assert_eq!(
            refused.message,
            "http://x refused the event with 400 Bad Request: bad id"
        );
        let missing = answer(404, "").accepted("http://x", "it").unwrap_err();
        assert_eq!(missing.exit, Exit::NotFound);
        let mut busy = answer(503, "");
        busy.headers.insert("retry-after", HeaderValue::from_static("5"));
        let busy = busy.accepted("http://x", "it").unwrap_err();
        assert!(busy.hint.unwrap().contains("5 seconds"));
    }
}
