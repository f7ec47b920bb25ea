//! Why a request is not done, in one place: what is said, and with which status.

use std::time::Duration;

use event::ReadError;
use event_identity::Denied;
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use proxy::Body;
use proxy::held::NotHeld;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error(transparent)]
    Door(#[from] event_tls::Closed),
    #[error("only POST of an event and GET of a Job's status are understood")]
    Method,
    #[error("the path must be /<namespace>/<name of the JobSink>")]
    Path,
    #[error("the path must be /namespaces/<namespace>/name/<name of the JobSink>/sources/<source>/ids/<id>")]
    StatusPath,
    #[error("there is no JobSink {0}")]
    NoSink(String),
    #[error("JobSink {0} has no Job: set spec.job")]
    NoJob(String),
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error("events cannot be taken yet: the policies are not known")]
    NotReady,
    #[error("there is no Job for this event: it never came, or its Job has been deleted")]
    NotFound,
    #[error("too many events are being taken in: try again")]
    Busy,
    #[error("the event was not taken in within {0:?}: try again")]
    Timeout(Duration),
    #[error("the body is larger than {0} bytes")]
    BodyTooLarge(usize),
    #[error("the event is larger than the {0} bytes that a Secret can hold")]
    EventTooLarge(usize),
    #[error("the body cannot be read: {0}")]
    Body(String),
    #[error(transparent)]
    Event(#[from] ReadError),
    #[error("{0} exists already and is not of this event: delete it, or send the event with another id")]
    Taken(String),
    #[error("the API server does not take {what}: {}", told(.source))]
    Api {
        what: String,
        #[source]
        source: kube::Error,
    },
}

/// What the API server said, without what the client puts around it.
fn told(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
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
    pub fn api(what: impl Into<String>, source: kube::Error) -> Self {
        Self::Api {
            what: what.into(),
            source,
        }
    }

    pub fn status(&self) -> StatusCode {
        match self {
            Self::Method
            | Self::Path
            | Self::StatusPath
            | Self::NoSink(_)
            | Self::NoJob(_)
            | Self::Body(_) => StatusCode::BAD_REQUEST,
            Self::Denied(denied) => denied.status(),
            Self::Door(closed) => closed.status(),
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::NotReady | Self::Busy | Self::Timeout(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::BodyTooLarge(_) | Self::EventTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Event(error) => error.status(),
            Self::Taken(_) => StatusCode::CONFLICT,
            Self::Api { source, .. } => match source {
                // A quota that is used up, or a server that is: both pass.
                kube::Error::Api(status) if matches!(status.code, 403 | 429 | 503) => {
                    StatusCode::SERVICE_UNAVAILABLE
                }
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            },
        }
    }

    pub fn response(&self) -> Response<Body> {
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
        if self.status() == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// By what is said: errors of the API have no equality.
impl PartialEq for Refusal {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string() && self.status() == other.status()
    }
}

impl Eq for Refusal {}
