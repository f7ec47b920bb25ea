//! Events about objects, core/v1, one object per (object, type, reason, message) with a count.

mod aggregate;

use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;
use kube::Resource;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::json;
use tokio::sync::mpsc;
use tracing::{debug, warn};

use crate::error::{is_conflict, is_not_found};
use aggregate::{Aggregator, Due, Note};

/// Events that wait to be written; more are dropped, they are hints and never state.
const BACKLOG: usize = 512;

/// Longest message stored, in bytes (limit of Kubernetes).
const MESSAGE_MAX: usize = 1024;

/// Writes events in the background. Cheap to clone.
#[derive(Clone)]
pub struct Recorder {
    notes: mpsc::Sender<Note>,
}

/// The two types of event that Kubernetes knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Normal,
    Warning,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

impl Recorder {
    /// Starts the writer on the current tokio runtime; it ends when the last clone is dropped.
    pub fn new(client: kube::Client, component: &'static str) -> Self {
        let (notes, backlog) = mpsc::channel(BACKLOG);
        tokio::spawn(write(client, component, backlog));
        Self { notes }
    }

    /// A recorder that forgets everything, for tests.
    pub fn silent() -> Self {
        Self {
            notes: mpsc::channel(1).0,
        }
    }

    pub fn normal<K: Resource<DynamicType = ()>>(
        &self,
        about: &K,
        reason: &'static str,
        message: impl Into<String>,
    ) {
        self.note(about.object_ref(&()), Kind::Normal, reason, message);
    }

    pub fn warning<K: Resource<DynamicType = ()>>(
        &self,
        about: &K,
        reason: &'static str,
        message: impl Into<String>,
    ) {
        self.note(about.object_ref(&()), Kind::Warning, reason, message);
    }

    /// About an object that is not at hand any more.
    pub fn note(&self, about: ObjectReference, kind: Kind, reason: &'static str, message: impl Into<String>) {
        let mut message = message.into();
        if message.len() > MESSAGE_MAX {
            let end = (0..=MESSAGE_MAX)
                .rev()
                .find(|end| message.is_char_boundary(*end))
                .unwrap_or(0);
            message.truncate(end);
        }
        let note = Note {
            about,
            kind,
            reason,
            message,
        };
        if self.notes.try_send(note).is_err() {
            debug!(reason, "Event dropped");
        }
    }
}

async fn write(client: kube::Client, component: &'static str, mut backlog: mpsc::Receiver<Note>) {
    let mut aggregator = Aggregator::default();
    while let Some(note) = backlog.recv().await {
        let Some(due) = aggregator.take_in(note, Timestamp::now()) else {
            continue;
        };
        if let Err(error) = store(&client, component, &due).await {
            // The object or its namespace went away meanwhile.
            if is_not_found(&error) || is_conflict(&error) {
                debug!(%error, "Event not stored");
            } else {
                warn!(%error, "Event not stored");
            }
        }
    }
}

async fn store(client: &kube::Client, component: &'static str, due: &Due) -> Result<(), kube::Error> {
    let namespace = due
        .note
        .about
        .namespace
        .clone()
        .unwrap_or_else(|| "default".to_owned());
    let events: Api<Event> = Api::namespaced(client.clone(), &namespace);
    if due.count == 1 {
        match events
            .create(&PostParams::default(), &event(component, &namespace, due))
            .await
        {
            Ok(_) => return Ok(()),
            // Written before a restart: count on.
            Err(error) if is_conflict(&error) => {}
            Err(error) => return Err(error),
        }
    }
    let stored = events
        .get_opt(&due.name)
        .await?
        .and_then(|event| event.count)
        .unwrap_or(0);
    let patch = json!({
        "count": stored.saturating_add(due.since_last),
        "lastTimestamp": Time(due.last),
    });
    events
        .patch(&due.name, &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .map(|_| ())
}

fn event(component: &'static str, namespace: &str, due: &Due) -> Event {
    let about: &ObjectReference = &due.note.about;
    Event {
        metadata: ObjectMeta {
            name: Some(due.name.clone()),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        },
        involved_object: about.clone(),
        reason: Some(due.note.reason.to_owned()),
        message: Some(due.note.message.clone()),
        type_: Some(due.note.kind.as_str().to_owned()),
        source: Some(EventSource {
            component: Some(component.to_owned()),
            host: None,
        }),
        reporting_component: Some(component.to_owned()),
        first_timestamp: Some(Time(due.last)),
        last_timestamp: Some(Time(due.last)),
        count: Some(due.since_last),
        ..Event::default()
    }
}
