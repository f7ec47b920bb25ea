//! HTTP probes: one GET, redirects within the host followed; of the body only the first words of a refusal are read.

use bytes::Bytes;
use futures::future::Either;
use http::response::Parts;
use http::{HeaderMap, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::HTTPGetAction;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::{refusal, tls};

/// Upstream follows at most ten.
const MAX_REDIRECTS: usize = 10;
const USER_AGENT: &str = concat!("kube-probe/1.37 spindrift/", env!("CARGO_PKG_VERSION"));

/// Bytes of a refusal that go into the message; it ends up in an event.
const MAX_WORDS: usize = 200;

/// What was answered.
struct Answer {
    head: Parts,
    /// The first line of a refusal in plain text.
    words: Option<String>,
}

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
        let answer = send(socket, action, &path).await?;
        let status = answer.head.status;
        if !status.is_redirection() {
            return verdict(status, answer.words.as_deref());
        }
        match next_path(&answer.head.headers, socket) {
            Some(next) => path = next,
            None => return Ok(()),
        }
    }
    Err(format!("stopped after {MAX_REDIRECTS} redirects"))
}

/// Kubelet's sentence, and after it what the other side said: kubelet writes that to its own log, where nobody looks.
fn verdict(status: StatusCode, words: Option<&str>) -> Result<(), String> {
    match (status.as_u16(), words) {
        (200..400, _) => Ok(()),
        (code, None) => Err(format!("HTTP probe failed with statuscode: {code}")),
        (code, Some(words)) => Err(format!("HTTP probe failed with statuscode: {code}: {words}")),
    }
}

/// Where a redirect leads, if it stays on this host.
fn next_path(headers: &HeaderMap, socket: &str) -> Option<String> {
    let target: Uri = headers.get(header::LOCATION)?.to_str().ok()?.parse().ok()?;
    match target.authority() {
        Some(authority) if authority.as_str() != socket => None,
        _ => target.path_and_query().map(|path| path.as_str().to_owned()),
    }
}

async fn send(socket: &str, action: &HTTPGetAction, path: &str) -> Result<Answer, String> {
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

async fn exchange<S>(stream: S, request: Request<Empty<Bytes>>) -> hyper::Result<Answer>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_headers(128)
        .max_buf_size(64 * 1024)
        .handshake(TokioIo::new(stream))
        .await?;
    let answer = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let words = match is_plain_refusal(&head) {
            true => first_line(body).await,
            false => None,
        };
        Ok(Answer { head, words })
    };
    // The connection lives no longer than the answer: nothing is left running behind a probe.
    match futures::future::select(std::pin::pin!(answer), std::pin::pin!(connection)).await {
        Either::Left((answer, _)) => answer,
        Either::Right((ended, answer)) => {
            ended?;
            answer.await
        }
    }
}

fn is_plain_refusal(head: &Parts) -> bool {
    let plain = head
        .headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"));
    plain && head.status.as_u16() >= 400
}

/// The first line of a body, as far as it comes with the first piece.
async fn first_line(mut body: Incoming) -> Option<String> {
    let piece = body.frame().await?.ok()?.into_data().ok()?;
    let line = piece.split(|byte| *byte == b'\n').next()?;
    let text = String::from_utf8_lossy(line.get(..MAX_WORDS).unwrap_or(line));
    let text: String = text.chars().filter(|letter| !letter.is_control()).collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}
