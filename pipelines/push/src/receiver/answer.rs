//! How deliveries are answered.

use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use proxy::Body;
use proxy::held::NotHeld;
use serde::Serialize;

use super::signature::SignatureError;
use crate::delivery::{DeliveryError, Push};

/// What became of a delivery that was not refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Its pushes are noted.
    Taken(Vec<Outcome>),
    /// The git host only tried whether somebody is here.
    Ping,
    /// Nothing is built of such events.
    Unwanted(String),
}

/// What became of a push.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Outcome {
    #[serde(rename = "ref")]
    git_ref: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    commit: String,
    /// The PipelineRun that builds it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub run: String,
    /// Why nothing is built.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub skipped: String,
}

impl Outcome {
    pub(super) fn of(push: &Push) -> Self {
        Self {
            git_ref: push.git_ref.clone(),
            commit: push.after.clone(),
            ..Self::default()
        }
    }
}

/// Why a delivery is not taken; the text goes to whoever sent it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("webhooks POST")]
    Method,
    #[error("webhooks go to /<namespace>/<name> of a Repository")]
    Path,
    #[error("there is no Repository {0} with an address of git")]
    NoRepository(String),
    #[error(transparent)]
    Delivery(#[from] DeliveryError),
    #[error(transparent)]
    Signature(#[from] SignatureError),
    #[error("the body has more than {0} bytes")]
    TooLarge(usize),
    #[error("the body did not arrive in time")]
    BodyTimeout,
    #[error("the body broke off")]
    Broken,
    #[error("too many deliveries are being taken: try again")]
    Busy,
    #[error("too many pushes wait for their builds: try again")]
    Full,
    #[error("the Repository has no secret to check signatures with: set spec.webhook.secretRef")]
    NoSecret,
    #[error("the secret of the Repository cannot be read now: try again")]
    SecretUnreadable,
    #[error("the delivery is not signed: give the webhook the secret of the Repository")]
    Unsigned,
    #[error("the signature does not fit: the webhook and the Repository must have the same secret")]
    Forged,
    #[error("the push cannot be noted now: try again")]
    NotNoted,
}

impl Answer {
    pub(super) fn outcome(&self) -> &'static str {
        match self {
            Self::Taken(outcomes) if outcomes.iter().any(|outcome| !outcome.run.is_empty()) => "accepted",
            Self::Taken(_) => "skipped",
            Self::Ping => "ping",
            Self::Unwanted(_) => "unwanted",
        }
    }

    pub(super) fn response(self) -> Response<Body> {
        let (status, body) = match self {
            Self::Ping => (StatusCode::OK, serde_json::json!({"message": "pushes are built"})),
            Self::Unwanted(event) => (
                StatusCode::ACCEPTED,
                serde_json::json!({"message": format!("nothing is built of {event:?} events")}),
            ),
            Self::Taken(outcomes) => {
                let run = outcomes
                    .iter()
                    .map(|outcome| &outcome.run)
                    .find(|run| !run.is_empty());
                (
                    StatusCode::ACCEPTED,
                    serde_json::json!({"run": run, "pushes": outcomes}),
                )
            }
        };
        let mut response = Response::new(Body::full(format!("{body}\n")));
        *response.status_mut() = status;
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
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
            Self::Path | Self::NoRepository(_) => StatusCode::NOT_FOUND,
            Self::Delivery(_) | Self::Signature(_) | Self::Broken => StatusCode::BAD_REQUEST,
            Self::Unsigned | Self::Forged | Self::NoSecret => StatusCode::UNAUTHORIZED,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::Busy | Self::Full | Self::SecretUnreadable | Self::NotNoted => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    pub(super) fn outcome(&self) -> &'static str {
        match self {
            Self::Method | Self::Path | Self::NoRepository(_) => "misdirected",
            Self::Delivery(_) | Self::Signature(_) | Self::Broken | Self::BodyTimeout => "malformed",
            Self::TooLarge(_) => "too_large",
            Self::Unsigned | Self::Forged | Self::NoSecret => "forged",
            Self::Busy | Self::Full => "busy",
            Self::SecretUnreadable | Self::NotNoted => "failed",
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
