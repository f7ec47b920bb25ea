//! How deliveries are answered.

use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use proxy::Body;
use proxy::held::NotHeld;

use super::headers::HeadError;

/// What became of a delivery that was not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// The sink has its event.
    Accepted,
    /// It had it already.
    Repeated,
    /// GitHub only tried whether somebody is here.
    Ping,
}

/// Why a delivery is not taken; the text goes to whoever sent it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("webhooks POST")]
    Method,
    #[error("webhooks go to /<namespace>/<name> of a GitHubSource")]
    Path,
    #[error("there is no GitHubSource {0}")]
    NoSource(String),
    #[error(transparent)]
    Head(#[from] HeadError),
    #[error("the body has more than {0} bytes")]
    TooLarge(usize),
    #[error("the body did not arrive in time")]
    BodyTimeout,
    #[error("the body broke off")]
    Broken,
    #[error("too many deliveries are being taken: try again")]
    Busy,
    #[error("the secret of the source is missing")]
    NoSecret,
    #[error("the secret of the source cannot be read now: try again")]
    SecretUnreadable,
    #[error("the signature does not fit: the webhook and the source must have the same secret")]
    Forged,
    #[error("the body is not one JSON object: {0}")]
    Payload(String),
    #[error("the source does not want events of the type {0:?}")]
    Unwanted(String),
    #[error("the same delivery is being taken already")]
    UnderWay,
    #[error("the sink of the source is not known")]
    NoSink,
    #[error("the sink did not take the event: {0}")]
    Sink(u16),
    #[error("the sink did not answer in time")]
    SinkTimeout,
}

impl Taken {
    pub(super) fn outcome(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Repeated => "repeated",
            Self::Ping => "ping",
        }
    }

    pub(super) fn response(self) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = match self {
            Self::Accepted | Self::Repeated => StatusCode::ACCEPTED,
            Self::Ping => StatusCode::OK,
        };
        response
    }
}

impl From<NotHeld> for Refusal {
    fn from(error: NotHeld) -> Self {
        match error {
            NotHeld::TooLarge(limit) => Self::TooLarge(limit),
            NotHeld::Busy => Self::Busy,
            NotHeld::Broken(_) => Self::Broken,
        }
    }
}

impl Refusal {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Path | Self::NoSource(_) | Self::Unwanted(_) => StatusCode::NOT_FOUND,
            Self::Head(_) | Self::Broken | Self::Forged | Self::Payload(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::Busy | Self::NoSecret | Self::SecretUnreadable | Self::UnderWay | Self::NoSink => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Sink(_) => StatusCode::BAD_GATEWAY,
            Self::SinkTimeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    pub(super) fn outcome(&self) -> &'static str {
        match self {
            Self::Method | Self::Path | Self::NoSource(_) => "misdirected",
            Self::Head(_) | Self::Broken | Self::BodyTimeout | Self::Payload(_) => "malformed",
            Self::TooLarge(_) => "too_large",
            Self::Forged => "forged",
            Self::Unwanted(_) => "unwanted",
            Self::Busy | Self::UnderWay => "busy",
            Self::NoSecret | Self::SecretUnreadable | Self::NoSink => "not_ready",
            Self::Sink(_) | Self::SinkTimeout => "failed",
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
        match self.status() {
            StatusCode::METHOD_NOT_ALLOWED => headers.insert(ALLOW, HeaderValue::from_static("POST")),
            StatusCode::SERVICE_UNAVAILABLE => headers.insert(RETRY_AFTER, HeaderValue::from_static("1")),
            _ => None,
        };
        response
    }
}
