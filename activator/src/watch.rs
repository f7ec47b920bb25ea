//! Follows a kind of object: what there is now, then every change, across lost connections.

use std::collections::HashSet;
use std::fmt::Debug;
use std::time::Duration;

use futures::StreamExt;
use kube::api::Api;
use kube::runtime::WatchStreamExt;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;

/// First and longest pause after a failed list or watch. The first is short: the embedded API answers in microseconds.
const MIN_PAUSE: Duration = Duration::from_millis(10);
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// Namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    pub namespace: String,
    pub name: String,
}

impl ObjectKey {
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl std::fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// One step of the truth.
#[derive(Debug)]
pub enum Change<K> {
    Applied(ObjectKey, K),
    Deleted(ObjectKey),
    /// Everything that exists was told; again after each lost connection.
    Synced,
}

/// Calls `apply` with each change, for ever. While the API is away the last known state simply stays.
///
/// Objects that vanished during a lost connection are told as deleted before [`Change::Synced`].
pub async fn follow<K>(api: Api<K>, config: watcher::Config, mut apply: impl FnMut(Change<K>))
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let mut known: HashSet<ObjectKey> = HashSet::new();
    let mut listed: HashSet<ObjectKey> = HashSet::new();
    let mut events = watcher(api, config).backoff(Pause(MIN_PAUSE)).boxed();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(object)) => {
                let key = key(&object);
                known.insert(key.clone());
                apply(Change::Applied(key, object));
            }
            Ok(Event::Delete(object)) => {
                let key = key(&object);
                known.remove(&key);
                apply(Change::Deleted(key));
            }
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(object)) => {
                let key = key(&object);
                listed.insert(key.clone());
                apply(Change::Applied(key, object));
            }
            Ok(Event::InitDone) => {
                for vanished in known.difference(&listed) {
                    apply(Change::Deleted(vanished.clone()));
                }
                known = std::mem::take(&mut listed);
                apply(Change::Synced);
            }
            Err(error) => {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "Watch failed and is retried"
                );
            }
        }
    }
}

/// Doubles from [`MIN_PAUSE`] to [`MAX_PAUSE`], then begins anew after each success.
struct Pause(Duration);

impl Iterator for Pause {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = self.0;
        self.0 = (pause * 2).min(MAX_PAUSE);
        Some(pause)
    }
}

impl Backoff for Pause {
    fn reset(&mut self) {
        self.0 = MIN_PAUSE;
    }
}

fn key<K: Resource>(object: &K) -> ObjectKey {
    ObjectKey {
        namespace: object.meta().namespace.clone().unwrap_or_default(),
        name: object.name_any(),
    }
}
