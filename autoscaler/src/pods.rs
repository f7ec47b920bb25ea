//! The pods of a revision, as the autoscaler counts them.

use std::net::IpAddr;
use std::time::Duration;

use crds::labels;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use reconciler::{Cache, Caches, Key, Selection};

/// The Deployments of revisions. The same selection as that of the controllers that make them (and so with pods): in one
/// process they share a watch and a cache.
pub fn deployment_selection() -> Selection {
    Selection::labelled(labels::REVISION_UID).packed()
}

/// A pod that can be asked for its load.
#[derive(Clone, Debug, PartialEq)]
pub struct ScrapePod {
    pub ip: IpAddr,
    /// Time since it was started.
    pub age: Duration,
}

/// How many pods of a revision are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub ready: i32,
    /// Running, but not ready.
    pub not_ready: i32,
    /// Not running yet.
    pub pending: i32,
    pub terminating: i32,
}

/// Reads the pods of revisions.
#[derive(Clone)]
pub struct Pods {
    cache: Cache<Pod>,
}

impl Pods {
    pub fn new(caches: &Caches) -> Self {
        Self::over(caches.cache_of(Selection::labelled(labels::REVISION_UID)))
    }

    fn over(cache: Cache<Pod>) -> Self {
        cache.add_index(INDEX, |pod: &Pod| {
            revision_of(pod)
                .map(|key| index_value(&key))
                .into_iter()
                .collect()
        });
        Self { cache }
    }

    /// The cache, to be woken by.
    pub fn cache(&self) -> &Cache<Pod> {
        &self.cache
    }

    /// Counts the pods of the revision `key`.
    pub fn counts(&self, key: &Key) -> Counts {
        let mut counts = Counts::default();
        for pod in self.cache.indexed(INDEX, &index_value(key)) {
            *match state(&pod) {
                State::Ready => &mut counts.ready,
                State::NotReady => &mut counts.not_ready,
                State::Pending => &mut counts.pending,
                State::Terminating => &mut counts.terminating,
                State::Finished => continue,
            } += 1;
        }
        counts
    }

    /// The ready pods of the revision `key`.
    pub fn to_scrape(&self, key: &Key) -> Vec<ScrapePod> {
        let now = Timestamp::now();
        let pods = self.cache.indexed(INDEX, &index_value(key));
        pods.iter()
            .filter(|pod| state(pod) == State::Ready)
            .filter_map(|pod| scrape_pod(pod, now))
            .collect()
    }
}

const INDEX: &str = "revision";

fn index_value(key: &Key) -> String {
    format!("{}/{}", key.namespace, key.name)
}

/// The revision that `pod` belongs to.
pub fn revision_of(pod: &Pod) -> Option<Key> {
    let revision = pod.metadata.labels.as_ref()?.get(labels::REVISION)?;
    Some(Key::new(pod.metadata.namespace.clone()?, revision.clone()))
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Ready,
    NotReady,
    Pending,
    Terminating,
    Finished,
}

fn state(pod: &Pod) -> State {
    let status = pod.status.as_ref();
    match status.and_then(|s| s.phase.as_deref()) {
        Some("Succeeded" | "Failed") => State::Finished,
        _ if pod.metadata.deletion_timestamp.is_some() => State::Terminating,
        Some("Running") => {
            let conditions = status.and_then(|s| s.conditions.as_deref()).unwrap_or_default();
            let ready = conditions
                .iter()
                .any(|c| c.type_ == "Ready" && c.status == "True");
            if ready { State::Ready } else { State::NotReady }
        }
        _ => State::Pending,
    }
}

fn scrape_pod(pod: &Pod, now: Timestamp) -> Option<ScrapePod> {
    let status = pod.status.as_ref()?;
    let started = status.start_time.as_ref().map_or(now, |time| time.0);
    Some(ScrapePod {
        ip: status.pod_ip.as_ref()?.parse().ok()?,
        age: Duration::try_from(now.duration_since(started)).unwrap_or(Duration::ZERO),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(name: &str, phase: &str, ready: &str, deleted: bool) -> Pod {
        let mut value = json!({
            "metadata": { "name": name, "namespace": "ns", "uid": name, "resourceVersion": "1",
                          "labels": { "serving.knative.dev/revision": "rev" } },
            "status": { "phase": phase, "podIP": "10.0.0.1", "conditions": [{ "type": "Ready", "status": ready }] },
        });
        if deleted {
            value["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn pods_are_counted_by_state() {
        let pods = Pods::over(Cache::empty());
        for pod in [
            pod("a", "Running", "True", false),
            pod("b", "Running", "False", false),
            pod("c", "Pending", "False", false),
            pod("d", "Running", "True", true),
            pod("e", "Failed", "False", false),
        ] {
            pods.cache.record(pod);
        }
        let key = Key::new("ns", "rev");
        assert_eq!(
            pods.counts(&key),
            Counts {
                ready: 1,
                not_ready: 1,
                pending: 1,
                terminating: 1
            }
        );
        assert_eq!(pods.to_scrape(&key).len(), 1);
        assert_eq!(pods.counts(&Key::new("other", "rev")), Counts::default());
    }
}
