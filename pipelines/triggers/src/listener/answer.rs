//! How requests are answered.

use bytes::Bytes;
use crds::triggers::EventListener;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use proxy::Body;
use proxy::held::NotHeld;
use serde_json::{Value, json};

use super::notice::{self, Notice};

/// Why an event is not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("the body has more than {0} bytes")]
    TooLarge(usize),
    #[error("the body did not arrive in time")]
    BodyTimeout,
    #[error("the body broke off")]
    Broken,
    #[error("Invalid event body format : {0}")]
    Payload(String),
    #[error("every trigger asks who sent the event: {0}")]
    Forged(String),
    #[error("it cannot be told now who sent the event: {0}")]
    NoProof(String),
    #[error("too many events are being worked on: try again")]
    Busy,
    /// The listener or its triggers cannot be read.
    #[error("the listener cannot be read")]
    Unreadable,
    #[error("the event cannot be stored: {0}")]
    NotKept(String),
    #[error("EventListener Timeout!")]
    Timeout,
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
    pub fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::Broken | Self::Payload(_) => StatusCode::BAD_REQUEST,
            Self::Forged(_) => StatusCode::UNAUTHORIZED,
            Self::Unreadable => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NoProof(_) | Self::Busy | Self::NotKept(_) | Self::Timeout => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    pub fn outcome(&self) -> &'static str {
        match self {
            Self::TooLarge(_) => "too_large",
            Self::BodyTimeout | Self::Broken | Self::Payload(_) => "malformed",
            Self::Forged(_) => "forged",
            Self::Busy => "busy",
            Self::NoProof(_) | Self::Unreadable | Self::NotKept(_) | Self::Timeout => "failed",
        }
    }

    /// The answer of the listener of that name.
    pub fn response(&self, namespace: &str, name: &str) -> Response<Body> {
        let mut response = match self {
            Self::Unreadable => Response::new(Body::empty()),
            Self::Timeout => Response::new(Body::full(self.to_string())),
            _ => said(&json!({
                "eventListener": name, "namespace": namespace, "errorMessage": self.to_string(),
            })),
        };
        *response.status_mut() = self.status();
        if self.status() == StatusCode::SERVICE_UNAVAILABLE {
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// What is said of an event that was taken.
pub(super) fn accepted(listener: &EventListener, id: &str) -> Value {
    json!({
        "eventListener": listener.metadata.name, "namespace": listener.metadata.namespace,
        "eventListenerUID": listener.metadata.uid, "eventID": id,
    })
}

/// The answer to an event that was taken.
pub(super) fn taken(listener: &EventListener, id: &str, request: &HeaderMap) -> Response<Body> {
    let mut response = if event::http::is_event(request) {
        let (headers, body): (HeaderMap, Bytes) = notice::message(listener, id, Notice::Accepted);
        let mut response = Response::new(Body::full(body));
        *response.headers_mut() = headers;
        response
    } else {
        said(&accepted(listener, id))
    };
    *response.status_mut() = StatusCode::ACCEPTED;
    response
}

/// The answer to a probe.
pub(super) fn live(stuck: bool) -> Response<Body> {
    let mut response = Response::new(Body::full(if stuck { "expressions do not end" } else { "ok" }));
    if stuck {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}

fn said(json: &Value) -> Response<Body> {
    let mut response = Response::new(Body::full(json.to_string()));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    async fn read(response: Response<Body>) -> (StatusCode, HeaderMap, String) {
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (
            head.status,
            head.headers,
            String::from_utf8(body.to_vec()).unwrap(),
        )
    }

    fn listener() -> EventListener {
        serde_json::from_value(json!({"metadata": {"name": "el", "namespace": "ns", "uid": "u"}, "spec": {}}))
            .unwrap()
    }

    #[tokio::test]
    async fn answers_are_json_or_events() {
        let (status, headers, body) = read(taken(&listener(), "id", &HeaderMap::new())).await;
        assert_eq!(
            (status, &headers["content-type"]),
            (
                StatusCode::ACCEPTED,
                &HeaderValue::from_static("application/json")
            )
        );
        let expected =
            json!({"eventListener": "el", "namespace": "ns", "eventListenerUID": "u", "eventID": "id"});
        assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), expected);

        let mut request = HeaderMap::new();
        for (name, value) in [
            ("ce-specversion", "1.0"),
            ("ce-id", "1"),
            ("ce-type", "t"),
            ("ce-source", "/s"),
        ] {
            request.insert(name, HeaderValue::from_static(value));
        }
        let (status, headers, body) = read(taken(&listener(), "id", &request)).await;
        assert_eq!(status, StatusCode::ACCEPTED);
        for (name, value) in [
            ("ce-type", "dev.tekton.event.triggers.accepted.v1"),
            ("ce-id", "id"),
            ("ce-source", "el"),
            ("ce-subject", "ns.el%20accepted%20id"),
        ] {
            assert_eq!(headers[name], value);
        }
        assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), expected);
    }

    #[tokio::test]
    async fn refusals_have_the_documented_status() {
        for (refusal, expected, words) in [
            (Refusal::TooLarge(1), 413, "more than 1 bytes"),
            (Refusal::Payload("x".to_owned()), 400, "Invalid event body format"),
            (Refusal::Forged("x".to_owned()), 401, "who sent"),
            (Refusal::Unreadable, 500, ""),
            (Refusal::Timeout, 503, "EventListener Timeout!"),
            (Refusal::Busy, 503, "try again"),
        ] {
            let (status, _, body) = read(refusal.response("ns", "el")).await;
            assert_eq!(status.as_u16(), expected);
            assert!(
                body.contains(words) && body.is_empty() == words.is_empty(),
                "{body}"
            );
        }
    }
}
