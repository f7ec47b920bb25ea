//! Events of the cluster's own components, as `kubectl get events` and `kubectl describe` show them.
//!
//! Events are for people, so they never delay anything: they wait in a bounded queue, and when it is full they are
//! dropped and counted. Repetitions raise the count of the first one. An object has only so many.

mod spam;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource};
use serde_json::json;
use tokio::sync::mpsc;
use tracing::debug;

use spam::SpamFilter;

/// Events that may wait.
const QUEUE: usize = 1024;
/// How long events wait for the work that they tell of; nobody reads that fast.
const LULL: Duration = Duration::from_millis(200);
/// Different events whose repetitions are recognised.
const REMEMBERED: usize = 512;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Normal,
    Warning,
}

struct Note {
    about: ObjectReference,
    severity: Severity,
    reason: &'static str,
    message: String,
    at: Timestamp,
}

/// Who reports.
#[derive(Debug, Clone)]
pub struct Reporter {
    /// As upstream calls it, for example `kubelet` or `deployment-controller`.
    pub component: &'static str,
    /// The node, for components of a node.
    pub host: Option<String>,
}

/// Takes events; clones share one queue.
#[derive(Clone)]
pub struct Recorder {
    queue: mpsc::Sender<Note>,
    dropped: Arc<AtomicU64>,
}

impl Recorder {
    /// A recorder and the work of writing what it takes, which ends with the last clone.
    pub fn new(client: Client, reporter: Reporter) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let (queue, receiver) = mpsc::channel(QUEUE);
        let dropped = Arc::<AtomicU64>::default();
        let work = write(client, reporter, receiver, dropped.clone());
        (Self { queue, dropped }, work)
    }

    /// Records an event about an object.
    pub fn record(
        &self,
        about: ObjectReference,
        severity: Severity,
        reason: &'static str,
        message: impl Into<String>,
    ) {
        let note = Note {
            about,
            severity,
            reason,
            message: message.into(),
            at: Timestamp::now(),
        };
        if self.queue.try_send(note).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Events that were not written: the queue was full, or their object had too many.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// How an event names an object.
pub fn reference<K: Resource<DynamicType = ()>>(object: &K) -> ObjectReference {
    let meta = object.meta();
    ObjectReference {
        api_version: Some(K::api_version(&()).into_owned()),
        kind: Some(K::kind(&()).into_owned()),
        namespace: meta.namespace.clone(),
        name: meta.name.clone(),
        uid: meta.uid.clone(),
        resource_version: meta.resource_version.clone(),
        field_path: None,
    }
}

/// Recently written events: key to name and count, oldest forgotten first.
#[derive(Default)]
struct Recent {
    known: HashMap<String, (String, i32, u64)>,
    clock: u64,
}

impl Recent {
    /// Counts an event; `Some` with name and new count if it is a repetition.
    fn repeat(&mut self, key: &str) -> Option<(String, i32)> {
        self.clock += 1;
        let (name, count, used) = self.known.get_mut(key)?;
        *count += 1;
        *used = self.clock;
        Some((name.clone(), *count))
    }

    fn remember(&mut self, key: String, name: String) {
        if self.known.len() >= REMEMBERED
            && let Some(oldest) = self
                .known
                .iter()
                .min_by_key(|(_, (_, _, used))| *used)
                .map(|(key, _)| key.clone())
        {
            self.known.remove(&oldest);
        }
        self.clock += 1;
        self.known.insert(key, (name, 1, self.clock));
    }
}

async fn write(client: Client, reporter: Reporter, mut queue: mpsc::Receiver<Note>, dropped: Arc<AtomicU64>) {
    let (mut recent, mut spam) = (Recent::default(), SpamFilter::default());
    while let Some(first) = queue.recv().await {
        // What is told goes first: the start of a pod is waited for, its events are not. They carry their own time.
        tokio::time::sleep(LULL).await;
        let mut next = Some(first);
        while let Some(note) = next {
            if spam.admit(note.about.uid.as_deref().unwrap_or_default(), note.at) {
                write_one(&client, &reporter, &mut recent, note).await;
            } else {
                dropped.fetch_add(1, Ordering::Relaxed);
            }
            next = queue.try_recv().ok();
        }
    }
}

async fn write_one(client: &Client, reporter: &Reporter, recent: &mut Recent, note: Note) {
    let api: Api<Event> = Api::namespaced(
        client.clone(),
        note.about.namespace.as_deref().unwrap_or("default"),
    );
    let key = format!(
        "{:?}/{:?}/{}/{}",
        note.about.uid, note.about.field_path, note.reason, note.message
    );
    let result = match recent.repeat(&key) {
        Some((name, count)) => {
            let patch = json!({"count": count, "lastTimestamp": Time(note.at)});
            api.patch(&name, &PatchParams::default(), &Patch::Merge(&patch))
                .await
                .map(|_| ())
        }
        None => {
            let name = event_name(&note);
            let event = event(note, &name, reporter);
            recent.remember(key, name);
            api.create(&PostParams::default(), &event).await.map(|_| ())
        }
    };
    if let Err(error) = result {
        debug!(%error, "Event could not be written");
    }
}

/// The object's name and the time, as upstream builds it.
fn event_name(note: &Note) -> String {
    let name = note.about.name.as_deref().unwrap_or_default();
    format!(
        "{name}.{:x}{:04x}",
        note.at.as_nanosecond(),
        rand::random::<u16>()
    )
}

fn event(note: Note, name: &str, reporter: &Reporter) -> Event {
    Event {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: note.about.namespace.clone(),
            ..ObjectMeta::default()
        },
        involved_object: note.about,
        type_: Some(format!("{:?}", note.severity)),
        reason: Some(note.reason.to_owned()),
        message: Some(note.message),
        count: Some(1),
        first_timestamp: Some(Time(note.at)),
        last_timestamp: Some(Time(note.at)),
        source: Some(EventSource {
            component: Some(reporter.component.to_owned()),
            host: reporter.host.clone(),
        }),
        reporting_component: Some(reporter.component.to_owned()),
        reporting_instance: Some(reporter.host.clone().unwrap_or_default()),
        ..Event::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_are_counted_and_memory_is_bounded() {
        let mut recent = Recent::default();
        assert_eq!(recent.repeat("a"), None);
        recent.remember("a".into(), "event-a".into());
        assert_eq!(recent.repeat("a"), Some(("event-a".into(), 2)));
        for number in 0..REMEMBERED {
            recent.remember(number.to_string(), String::new());
        }
        assert_eq!(recent.known.len(), REMEMBERED);
        assert_eq!(recent.repeat("a"), None, "the oldest is forgotten");
    }
}
