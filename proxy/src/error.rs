//! The one table from failures to responses.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};

use crate::body::Body;
use crate::pool::SendError;

/// Everything that makes a data-plane process answer by itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Too many requests are waiting for capacity.
    #[error("pending request queue full")]
    QueueFull,
    /// The wait for capacity was longer than the request may take.
    #[error("context deadline exceeded")]
    NoCapacityInTime,
    /// A deadline passed before the response began; the text is the body.
    #[error("{0}")]
    TimedOut(&'static str),
    /// The upstream could not be reached or broke off. Addresses stay in the log.
    #[error("{0}")]
    BadGateway(&'static str),
    /// More connections would be needed than may be open.
    #[error("too many connections to the application")]
    Exhausted,
    /// Nothing stands behind the Service just now.
    #[error("no endpoint is ready")]
    NoEndpoints,
    /// The process is going away.
    #[error("shutting down")]
    ShuttingDown,
    /// The request cannot be understood.
    #[error("{0}")]
    BadRequest(String),
    /// Nothing answers to the host and path.
    #[error("{0}")]
    NotFound(String),
    /// Our own fault.
    #[error("{0}")]
    Internal(String),
}

/// Which side made a request fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Client,
    Upstream,
    Us,
}

struct Row {
    status: StatusCode,
    side: Side,
    retry_after: bool,
    close: bool,
    newline: bool,
}

const X_CONTENT_TYPE_OPTIONS: HeaderName = HeaderName::from_static("x-content-type-options");

impl Failure {
    fn row(&self) -> Row {
        let row = |status, side| Row {
            status,
            side,
            retry_after: false,
            close: false,
            newline: true,
        };
        match self {
            Self::QueueFull | Self::NoCapacityInTime | Self::Exhausted | Self::NoEndpoints => Row {
                retry_after: true,
                ..row(StatusCode::SERVICE_UNAVAILABLE, Side::Us)
            },
            // Upstream writes this body without the line end that its other errors have.
            Self::TimedOut(_) => Row {
                newline: false,
                ..row(StatusCode::GATEWAY_TIMEOUT, Side::Upstream)
            },
            Self::BadGateway(_) => row(StatusCode::BAD_GATEWAY, Side::Upstream),
            Self::ShuttingDown => Row {
                close: true,
                ..row(StatusCode::SERVICE_UNAVAILABLE, Side::Us)
            },
            Self::BadRequest(_) => Row {
                close: true,
                ..row(StatusCode::BAD_REQUEST, Side::Client)
            },
            Self::NotFound(_) => row(StatusCode::NOT_FOUND, Side::Client),
            Self::Internal(_) => row(StatusCode::INTERNAL_SERVER_ERROR, Side::Us),
        }
    }

    pub fn status(&self) -> StatusCode {
        self.row().status
    }

    pub fn side(&self) -> Side {
        self.row().side
    }

    /// The response a client gets.
    pub fn response(&self) -> Response<Body> {
        let row = self.row();
        let mut text = self.to_string();
        if row.newline {
            text.push('\n');
        }
        let mut response = Response::new(Body::full(text));
        *response.status_mut() = row.status;
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if row.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if row.close {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

impl From<&SendError> for Failure {
    fn from(error: &SendError) -> Self {
        match error {
            SendError::Connect { .. } => Self::BadGateway("cannot connect to the application"),
            SendError::NotSent { .. } => Self::BadGateway("the application closed the connection"),
            SendError::Upstream { .. } => Self::BadGateway("the application broke off before it answered"),
            SendError::Exhausted { .. } => Self::Exhausted,
        }
    }
}

impl From<crate::breaker::QueueFull> for Failure {
    fn from(_: crate::breaker::QueueFull) -> Self {
        Self::QueueFull
    }
}

/// A plain-text response.
pub fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::full(body));
    *response.status_mut() = status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn failures_have_the_bodies_that_clients_match() {
        for (failure, status, body) in [
            (Failure::QueueFull, 503, "pending request queue full\n"),
            (Failure::NoCapacityInTime, 503, "context deadline exceeded\n"),
            (Failure::TimedOut("request timeout"), 504, "request timeout"),
            (Failure::ShuttingDown, 503, "shutting down\n"),
            (Failure::BadGateway("x"), 502, "x\n"),
        ] {
            let response = failure.response();
            assert_eq!(response.status(), status);
            let bytes = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(bytes, body);
        }
    }
}
