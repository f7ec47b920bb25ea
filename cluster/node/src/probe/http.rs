//! HTTP probes: one GET, redirects within the host followed, body ignored.

use bytes::Bytes;
use futures::future::Either;
use http::{Request, Response, StatusCode, Uri, header};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::HTTPGetAction;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::{refusal, tls};

/// Upstream follows at most ten.
const MAX_REDIRECTS: usize = 10;
const USER_AGENT: &str = concat!("kube-probe/1.37 spindrift/", env!("CARGO_PKG_VERSION"));

/// The probe's URL, for messages.
pub(super) fn url(socket: &str, action: &HTTPGetAction) -> String {
    let scheme = if is_https(action) { "https" } else { "http" };
    format!("{scheme}://{socket}{}", path(action))
}

fn is_https(action: &HTTPGetAction) -> bool {
    action.scheme.as_deref() == Some("HTTPS")
}

fn path(action: &HTTPGetAction) -> String {
    match action.path.as_deref() {
        None | Some("") => "/".to_owned(),
        Some(path) if path.starts_with('/') => path.to_owned(),
        Some(path) => format!("/{path}"),
    }
}

/// Sends the request of a probe or a hook to `socket`.
///
/// # Errors
/// Fails unless the answer is 200 to 399; a redirect to another host counts as success, as upstream has it.
pub async fn get(socket: &str, action: &HTTPGetAction) -> Result<(), String> {
    let mut path = path(action);
    for _ in 0..=MAX_REDIRECTS {
        let response = send(socket, action, &path).await?;
        let status = response.status();
        if !status.is_redirection() {
            return verdict(status);
        }
        match next_path(&response, socket) {
            Some(next) => path = next,
            None => return Ok(()),
        }
    }
    Err(format!("stopped after {MAX_REDIRECTS} redirects"))
}

fn verdict(status: StatusCode) -> Result<(), String> {
    match status.as_u16() {
        200..400 => Ok(()),
        code => Err(format!("HTTP probe failed with statuscode: {code}")),
    }
}

/// Where a redirect leads, if it stays on this host.
fn next_path(response: &Response<Incoming>, socket: &str) -> Option<String> {
    let target: Uri = response
        .headers()
        .get(header::LOCATION)?
        .to_str()
        .ok()?
        .parse()
        .ok()?;
    match target.authority() {
        Some(authority) if authority.as_str() != socket => None,
        _ => target.path_and_query().map(|path| path.as_str().to_owned()),
    }
}

async fn send(socket: &str, action: &HTTPGetAction, path: &str) -> Result<Response<Incoming>, String> {
    let failed = |error: String| format!("Get \"{}\": {error}", url(socket, action));
    let stream = TcpStream::connect(socket)
        .await
        .map_err(|error| failed(format!("dial tcp {socket}: {}", refusal(&error))))?;
    let request = request(socket, action, path).map_err(|error| failed(error.to_string()))?;
    if is_https(action) {
        let host = socket.rsplit_once(':').map_or(socket, |(host, _)| host);
        let stream = tls::connect(stream, host)
            .await
            .map_err(|error| failed(error.to_string()))?;
        exchange(stream, request)
            .await
            .map_err(|error| failed(error.to_string()))
    } else {
        exchange(stream, request)
            .await
            .map_err(|error| failed(error.to_string()))
    }
}

fn request(socket: &str, action: &HTTPGetAction, path: &str) -> http::Result<Request<Empty<Bytes>>> {
    let mut request = Request::get(path).header(header::CONNECTION, "close");
    let mut own = (false, false, false);
    for given in action.http_headers.iter().flatten() {
        own.0 |= given.name.eq_ignore_ascii_case("host");
        own.1 |= given.name.eq_ignore_ascii_case("user-agent");
        own.2 |= given.name.eq_ignore_ascii_case("accept");
        // An empty Accept or User-Agent means: do not send it.
        if !given.value.is_empty() {
            request = request.header(given.name.as_str(), given.value.as_str());
        }
    }
    for (given, name, value) in [
        (own.0, header::HOST, socket),
        (own.1, header::USER_AGENT, USER_AGENT),
        (own.2, header::ACCEPT, "*/*"),
    ] {
        if !given {
            request = request.header(name, value);
        }
    }
    request.body(Empty::new())
}

async fn exchange<S>(stream: S, request: Request<Empty<Bytes>>) -> hyper::Result<Response<Incoming>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_headers(128)
        .max_buf_size(64 * 1024)
        .handshake(TokioIo::new(stream))
        .await?;
    let (connection, response) = (
        std::pin::pin!(connection),
        std::pin::pin!(sender.send_request(request)),
    );
    // The connection lives no longer than the head of the answer: nothing is left running behind a probe.
    match futures::future::select(response, connection).await {
        Either::Left((response, _)) => response,
        Either::Right((ended, response)) => {
            ended?;
            response.await
        }
    }
}
