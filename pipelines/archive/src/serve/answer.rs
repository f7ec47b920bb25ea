//! How those who read are answered.

use http::header::{ALLOW, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use proxy::Body;

use super::auth::AUDIENCE;

/// Why a request is not answered; the text goes to whoever asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error(
        "there is no such path: use /.spindrift/v1/namespaces/<namespace>/{{pipelineruns/<name>,taskruns/<name>,pods/<name>/log}}"
    )]
    Path,
    #[error("only GET is supported here")]
    Method,
    #[error("show a token of a ServiceAccount for the audience {AUDIENCE} (Authorization: Bearer)")]
    Unauthenticated,
    #[error("the token is of {who}, which may not see the runs of namespace {namespace}")]
    Forbidden { who: String, namespace: String },
    #[error("the token could not be checked: {0}")]
    Review(String),
    #[error("{0} {1:?} is not in the archive")]
    Missing(&'static str, String),
    #[error("too many are asking: try again")]
    Busy,
}

impl Refusal {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Path | Self::Missing(..) => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Forbidden { .. } => StatusCode::FORBIDDEN,
            Self::Review(_) | Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
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
            Self::Method => {
                headers.insert(ALLOW, HeaderValue::from_static("GET"));
            }
            _ => {}
        }
        response
    }
}

/// A body of this type.
pub(super) fn stream(content: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content));
    response
}
