//! How operators are answered.

use bytes::Bytes;
use event_store::StoreError;
use futures::Stream;
use http::header::{ALLOW, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, Response, StatusCode};
use http_body::Frame;
use http_body_util::StreamBody;
use proxy::Body;
use proxy::body::BoxError;
use serde::Serialize;

use super::auth::AUDIENCE;

/// Why a request is not answered; the text goes to whoever asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum AdminError {
    #[error(
        "there is no such path: use /.spindrift/v1/namespaces/<namespace>/brokers/<name>/{{tail,dead-letters,replay}}"
    )]
    Path,
    #[error("only {0} is supported here")]
    Method(Method),
    #[error("parameter {0} is missing or not as it should be")]
    Query(&'static str),
    #[error("show a token of a ServiceAccount for the audience {AUDIENCE} (Authorization: Bearer)")]
    Unauthenticated,
    #[error("the token is of {who}, which may not see the events of namespace {namespace}")]
    Forbidden { who: String, namespace: String },
    #[error("the token could not be checked: {0}")]
    Review(String),
    #[error("broker {0} does not exist")]
    NoBroker(String),
    #[error("the topic has no place for dead letters")]
    NoLetters,
    #[error("not ready: try again")]
    NotReady,
    #[error("too many are asking: try again")]
    Busy,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AdminError {
    fn status(&self) -> StatusCode {
        match self {
            Self::Path | Self::NoBroker(_) => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Query(_) => StatusCode::BAD_REQUEST,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Forbidden { .. } => StatusCode::FORBIDDEN,
            Self::Review(_) | Self::NotReady | Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Store(StoreError::Full(_)) => StatusCode::INSUFFICIENT_STORAGE,
            Self::NoLetters | Self::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    pub(super) fn response(&self) -> Response<Body> {
        let mut response = Response::new(Body::full(format!("{self}\n")));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        match self {
            Self::Unauthenticated => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::Method(allowed) => {
                if let Ok(allowed) = HeaderValue::from_str(allowed.as_str()) {
                    headers.insert(ALLOW, allowed);
                }
            }
            _ => {}
        }
        response
    }
}

/// Lines of JSON, each as soon as it is there.
pub(super) fn ndjson(
    lines: impl Stream<Item = Result<Bytes, StoreError>> + Send + 'static,
) -> Response<Body> {
    use futures::TryStreamExt;
    let frames = lines.map_ok(Frame::data).map_err(BoxError::from);
    let mut response = Response::new(Body::boxed(StreamBody::new(frames)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    response
}

pub(super) fn json(value: &impl Serialize) -> Response<Body> {
    let mut response = Response::new(Body::full(serde_json::to_vec(value).unwrap_or_default()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
