//! Tells by CloudEvents what becomes of events.

use std::time::Duration;

use bytes::Bytes;
use crds::triggers::EventListener;
use event::{Event, Mode};
use event_client::{Client, Want};
use http::{HeaderMap, HeaderValue, Method};
use serde_json::json;

/// Attempts, and the pause between two (upstream's).
const ATTEMPTS: u32 = 10;
const PAUSE: Duration = Duration::from_millis(10);
const LIMIT: Duration = Duration::from_secs(10);

/// What is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    Accepted,
    Started,
    Successful,
    Failed,
    Done,
}

impl Notice {
    fn word(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Started => "started",
            Self::Successful => "successful",
            Self::Failed => "failed",
            Self::Done => "done",
        }
    }
}

/// The event that says what became of the event of that id.
pub(super) fn message(listener: &EventListener, id: &str, notice: Notice) -> (HeaderMap, Bytes) {
    let name = listener.metadata.name.as_deref().unwrap_or_default();
    let namespace = listener.metadata.namespace.as_deref().unwrap_or_default();
    let word = notice.word();
    let source = if name.is_empty() { "eventlistener" } else { name };
    let mut event = Event::new(id, source, format!("dev.tekton.event.triggers.{word}.v1"));
    event.set_extension(
        "subject",
        event::Value::String(format!("{namespace}.{name} {word} {id}").into()),
    );
    let (mut headers, _) = event::http::write(&event, Mode::Binary);
    headers.insert(
        http::header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    let data = super::answer::accepted(listener, id).to_string();
    (headers, Bytes::from(data))
}

/// Sends it, as well as that goes.
pub(super) async fn send(client: &Client, listener: &EventListener, id: &str, notice: Notice) {
    let url = listener.spec.cloud_event_uri.as_str();
    if url.is_empty() {
        return;
    }
    let endpoint = match client.endpoint(url, None) {
        Ok(endpoint) => endpoint,
        Err(error) => return tracing::warn!(%error, "cloudEventURI cannot be used"),
    };
    let (headers, body) = message(listener, id, notice);
    for _ in 0..ATTEMPTS {
        let sent = endpoint.request(
            &Method::POST,
            Some(LIMIT),
            || (headers.clone(), body.clone()),
            |_, _, _| Want::Nothing,
        );
        match sent.await {
            Ok(answer) if answer.status.is_success() => return,
            Ok(answer) => tracing::debug!(status = %answer.status, "A notice was refused"),
            Err(error) => tracing::debug!(%error, "A notice was not sent"),
        }
        tokio::time::sleep(PAUSE).await;
    }
    tracing::warn!(url, json = %json!({"eventID": id}), "A notice was given up");
}
