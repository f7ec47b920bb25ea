//! Why a request is not done, in one place: what is said, and with which status.

use std::time::Duration;

use event::ReadError;
use event_identity::Denied;
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use proxy::Body;
use proxy::held::NotHeld;

use crate::broker;
use crate::keyring::{Forged, SealError};

#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error(transparent)]
    Door(#[from] event_tls::Closed),
    #[error("only POST and OPTIONS are understood")]
    Method,
    #[error("the path must be /<namespace>/<name of the RequestReply>, with /reply for an answer")]
    Path,
    #[error("there is no RequestReply {0}")]
    NotFound(String),
    #[error("requests cannot be taken yet: the RequestReplies are not known")]
    NotReady,
    #[error("Broker {0} is not there, or has no address yet")]
    NoBroker(String),
    #[error("too many events are being taken in: try again")]
    Busy,
    #[error("as many requests wait for their answers as may: try again")]
    Full,
    #[error("the body is larger than {0} bytes")]
    BodyTooLarge(usize),
    #[error("the body was not sent within {0:?}")]
    BodyTimeout(Duration),
    #[error("the body cannot be read: {0}")]
    Body(String),
    #[error(transparent)]
    Event(#[from] ReadError),
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error("the attribute {0} does not say which request this answers")]
    NoReplyId(String),
    #[error(transparent)]
    Forged(#[from] Forged),
    #[error("the request that this answers waits no more")]
    NobodyWaits,
    #[error("no answer came within {0:?}")]
    Late(Duration),
    #[error("the broker is not reached: {0}")]
    Unreached(String),
    #[error("the broker answered {status}: {said}")]
    Broker {
        status: StatusCode,
        said: String,
        retry_after: Option<HeaderValue>,
    },
    #[error("this process ends: ask again")]
    Ending,
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
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Door(closed) => closed.status(),
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Path
            | Self::Body(_)
            | Self::NoReplyId(_)
            | Self::Forged(_)
            | Self::NobodyWaits
            | Self::Seal(SealError::TooLong(_)) => StatusCode::BAD_REQUEST,
            Self::NotReady | Self::NoBroker(_) | Self::Busy | Self::Full | Self::Seal(_) | Self::Ending => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::BodyTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTimeout(_) => StatusCode::REQUEST_TIMEOUT,
            Self::Event(error) => error.status(),
            Self::Denied(denied) => denied.status(),
            Self::Late(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::Unreached(_) => StatusCode::BAD_GATEWAY,
            Self::Broker { status, .. } => broker::told(*status),
        }
    }

    pub fn response(&self) -> Response<Body> {
        let status = self.status();
        let mut response = Response::new(Body::full(format!("{self}\n")));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let said = match self {
                Self::Broker { retry_after, .. } => retry_after.as_ref(),
                _ => None,
            };
            headers.insert(RETRY_AFTER, broker::when(said));
        }
        response
    }
}

/// By what is said: not all that is in it has an equality.
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
        let broker = |status: u16, retry_after: Option<&'static str>| Refusal::Broker {
            status: StatusCode::from_u16(status).unwrap(),
            said: String::new(),
            retry_after: retry_after.map(HeaderValue::from_static),
        };
        let audience = || "a".to_owned();
        for (refusal, status, retry_after) in [
            (Refusal::Method, 405, None),
            (Refusal::Door(event_tls::Closed::Scheme("http")), 404, None),
            (Refusal::Door(event_tls::Closed::Unknown), 503, Some("1")),
            (Refusal::Path, 400, None),
            (Refusal::NotFound("ns/rr".into()), 404, None),
            (Refusal::Event(ReadError::Missing("id")), 400, None),
            (Refusal::Forged(Forged), 400, None),
            (Refusal::NobodyWaits, 400, None),
            (Refusal::NoReplyId("replyid".into()), 400, None),
            (Refusal::Full, 503, Some("1")),
            (Refusal::Seal(SealError::NoKey), 503, Some("1")),
            (Refusal::Seal(SealError::TooLong(9_000)), 400, None),
            (Refusal::Late(Duration::from_secs(30)), 504, None),
            (Refusal::Unreached("x".into()), 502, None),
            (broker(400, None), 400, None),
            (broker(401, None), 502, None),
            (broker(404, None), 502, None),
            (broker(413, None), 413, None),
            (broker(429, Some("7")), 503, Some("7")),
            (broker(507, None), 503, Some("1")),
            (broker(302, None), 502, None),
            (Denied::Unauthenticated { audience: audience() }.into(), 401, None),
            (Denied::Review(String::new()).into(), 503, Some("1")),
        ] {
            let response = refusal.response();
            assert_eq!(response.status().as_u16(), status, "{refusal}");
            let found = response.headers().get(RETRY_AFTER);
            let found = found.map(|value| value.to_str().unwrap());
            assert_eq!(found, retry_after, "{refusal}");
        }
    }
}
