//! Why a request's events are not taken, and how that is said.

use std::time::Duration;

use event::ReadError;
use event_store::StoreError;
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use proxy::Body;
use proxy::held::NotHeld;

use crate::stamp::TtlUsedUp;

/// Every reason there is; the text goes to whoever sent the request.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error(transparent)]
    Door(#[from] event_tls::Closed),
    #[error("only POST and OPTIONS are supported")]
    Method,
    #[error("events are sent to /<namespace>/<broker>")]
    NoPath,
    #[error("the path must be /<namespace>/<broker>")]
    Path,
    #[error("the path of a channel must be /")]
    ChannelPath,
    #[error("{0} does not exist")]
    NotFound(String),
    #[error("the brokers are not known yet: try again")]
    NotReady,
    #[error("this installation has no store for the class of the broker")]
    NoStore,
    #[error("show a token that is good and made for the audience {audience} (Authorization: Bearer)")]
    Unauthenticated { audience: String },
    #[error("{subject} may not send {what} to {topic}: no policy allows it")]
    Forbidden {
        subject: String,
        what: String,
        topic: String,
    },
    #[error("the audience of {0} is not known yet: try again")]
    NoAudience(String),
    #[error("the token could not be checked: {0}")]
    Review(String),
    #[error("too many events are being taken: try again")]
    Busy,
    #[error("the body has more than {0} bytes")]
    BodyTooLarge(usize),
    #[error("the body did not arrive within {0:?}")]
    BodyTimeout(Duration),
    #[error("the body cannot be read: {0}")]
    Body(String),
    #[error(transparent)]
    Event(#[from] ReadError),
    #[error(transparent)]
    Ttl(#[from] TtlUsedUp),
    #[error("the event was not stored: {0}")]
    Store(StoreError),
    #[error("the event was not stored within {0:?}: try again")]
    StoreTimeout(Duration),
}

impl From<NotHeld> for Refusal {
    fn from(error: NotHeld) -> Self {
        match error {
            NotHeld::TooLarge(limit) => Self::BodyTooLarge(limit),
            NotHeld::Busy => Self::Busy,
            NotHeld::Broken(why) => Self::Body(why),
        }
    }
}

impl Refusal {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Door(closed) => closed.status(),
            Self::NoPath | Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Path | Self::ChannelPath | Self::Body(_) | Self::Ttl(_) => StatusCode::BAD_REQUEST,
            Self::Unauthenticated { .. } => StatusCode::UNAUTHORIZED,
            Self::Forbidden { .. } => StatusCode::FORBIDDEN,
            Self::NotReady | Self::Busy | Self::StoreTimeout(_) | Self::Review(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::NoStore | Self::NoAudience(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::BodyTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTimeout(_) => StatusCode::REQUEST_TIMEOUT,
            Self::Event(error) => error.status(),
            Self::Store(error) => match error {
                StoreError::Full(_) => StatusCode::INSUFFICIENT_STORAGE,
                StoreError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
                StoreError::Closed(_) => StatusCode::SERVICE_UNAVAILABLE,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            },
        }
    }

    /// The value of a metric's label.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Door(event_tls::Closed::Scheme(_)) => "scheme",
            Self::Method => "method",
            Self::NoPath | Self::Path | Self::ChannelPath => "path",
            Self::NotFound(_) => "not_found",
            Self::NotReady | Self::Door(event_tls::Closed::Unknown) => "not_ready",
            Self::NoStore => "no_store",
            Self::Unauthenticated { .. } => "unauthenticated",
            Self::Forbidden { .. } => "forbidden",
            Self::NoAudience(_) => "no_audience",
            Self::Review(_) => "review",
            Self::Busy => "busy",
            Self::BodyTooLarge(_) => "too_large",
            Self::BodyTimeout(_) => "body_timeout",
            Self::Body(_) => "body",
            Self::Event(error) => match error.status() {
                StatusCode::PAYLOAD_TOO_LARGE => "too_large",
                StatusCode::UNSUPPORTED_MEDIA_TYPE => "format",
                _ => "invalid",
            },
            Self::Ttl(_) => "ttl",
            Self::Store(StoreError::Full(_)) => "full",
            Self::Store(StoreError::TooLarge { .. }) => "too_large",
            Self::Store(_) => "store",
            Self::StoreTimeout(_) => "store_timeout",
        }
    }

    /// Seconds after which it is worth trying again.
    fn retry_after(&self) -> Option<u16> {
        match self.status() {
            StatusCode::SERVICE_UNAVAILABLE => Some(1),
            // Somebody has to make room first.
            StatusCode::INSUFFICIENT_STORAGE => Some(10),
            _ => None,
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
        if self.status() == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after() {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// By what is said: errors of stores have no equality.
impl PartialEq for Refusal {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string() && self.status() == other.status()
    }
}

impl Eq for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_have_the_status_of_the_contract() {
        let store = |error| Refusal::Store(error);
        let too_large = StoreError::TooLarge {
            bytes: 2,
            records: 1,
            limit: 1,
            most: 1,
        };
        for (refusal, status, retry_after) in [
            (Refusal::Door(event_tls::Closed::Scheme("http")), 404, None),
            (Refusal::Door(event_tls::Closed::Unknown), 503, Some("1")),
            (Refusal::Method, 405, None),
            (Refusal::NoPath, 404, None),
            (Refusal::Path, 400, None),
            (Refusal::ChannelPath, 400, None),
            (Refusal::NotFound("broker a/b".into()), 404, None),
            (Refusal::NotReady, 503, Some("1")),
            (Refusal::NoStore, 500, None),
            (Refusal::Unauthenticated { audience: "a".into() }, 401, None),
            (
                Refusal::Forbidden {
                    subject: "s".into(),
                    what: "t".into(),
                    topic: "broker a/b".into(),
                },
                403,
                None,
            ),
            (Refusal::NoAudience("broker a/b".into()), 500, None),
            (Refusal::Review("x".into()), 503, Some("1")),
            (Refusal::Busy, 503, Some("1")),
            (Refusal::BodyTooLarge(1), 413, None),
            (Refusal::BodyTimeout(Duration::from_secs(10)), 408, None),
            (Refusal::Event(ReadError::Missing("id")), 400, None),
            (Refusal::Event(ReadError::Format("x".into())), 415, None),
            (Refusal::Event(ReadError::AttributesTooLarge), 413, None),
            (Refusal::Ttl(TtlUsedUp), 400, None),
            (store(StoreError::Full("x".into())), 507, Some("10")),
            (store(too_large), 413, None),
            (store(StoreError::Closed("x")), 503, Some("1")),
            (store(StoreError::Damaged("x".into())), 500, None),
            (Refusal::StoreTimeout(Duration::from_secs(30)), 503, Some("1")),
        ] {
            let response = refusal.response();
            assert_eq!(response.status().as_u16(), status, "{refusal}");
            let found = response
                .headers()
                .get(RETRY_AFTER)
                .map(|value| value.to_str().unwrap());
            assert_eq!(found, retry_after, "{refusal}");
        }
    }
}
