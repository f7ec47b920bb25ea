//! Requests to git hosts, at addresses that whoever writes a Repository chooses: checked, bounded, never led elsewhere.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use event_client::{Client, SendError, Want};
use http::header::{HeaderMap, HeaderValue, USER_AGENT};
use http::{Method, StatusCode};
use k8s_openapi::ByteString;

/// For one request, its answer included.
const LIMIT: Duration = Duration::from_secs(20);
const AGENT: &str = concat!("spindrift/", env!("CARGO_PKG_VERSION"));

/// One request. Headers that must not be shown are marked as sensitive.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub method: Method,
    pub url: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Bytes of the answer that are read, if it is a success.
    pub most: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WebError {
    /// Asking again leads to the same.
    #[error("{0}")]
    Never(String),
    /// It may be another time.
    #[error("{0}")]
    Now(String),
}

/// # Errors
/// If no answer came, or too much of one. An answer of any status is one.
pub(crate) async fn ask(client: &Client, ask: Ask) -> Result<Answer, WebError> {
    let endpoint = client
        .endpoint(&ask.url, None)
        .map_err(|error| WebError::Never(error.to_string()))?;
    let mut headers = ask.headers;
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    let message = || (headers.clone(), ask.body.clone());
    let most = ask.most;
    let want = |status: StatusCode, _: &HeaderMap, _| match status.is_success() && most > 0 {
        true => Want::Whole(most),
        false => Want::Nothing,
    };
    let answer = endpoint.request(&ask.method, Some(LIMIT), message, want).await;
    let answer = answer.map_err(|error| match error {
        SendError::Refused { address, refusal } => {
            WebError::Never(format!("{address} is {refusal}, which is not connected to"))
        }
        other => WebError::Now(other.to_string()),
    })?;
    if let Some(broken) = answer.broken.filter(|_| answer.status.is_success()) {
        return Err(WebError::Now(broken.to_string()));
    }
    Ok(Answer {
        status: answer.status,
        headers: answer.headers,
        body: answer.body,
    })
}

/// A header that shows `text`, and is shown nowhere else; `None` if it has what headers must not have.
pub(crate) fn secret(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The text of a key of a Secret, without what is around it.
pub(crate) fn text(data: Option<&BTreeMap<String, ByteString>>, key: &str) -> Option<String> {
    let text = std::str::from_utf8(&data?.get(key)?.0).ok()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}
