//! What the Kubernetes API shows of a wake-up: when its scale was decided, its pod made, its container started.
//!
//! The request path knows when a request came and when a pod answered ([`crate::Phases`]); what happened in between is
//! other components' work, and they meet in the API. Only demonstrations and measurements look at it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crds::autoscaling::PodAutoscaler;
use crds::labels;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher::Config;
use kube::{Api, Client, Resource};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::watch::{Change, follow};

/// When each station of a service's first wake-up was seen. A station that was not reached is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Stations {
    /// The autoscaler wants at least one pod.
    pub decided: Option<Instant>,
    /// The first pod exists.
    pub created: Option<Instant>,
    /// The first of its containers runs.
    pub started: Option<Instant>,
}

impl Stations {
    /// Name and time since `start` of each station that was reached after it.
    pub fn since(&self, start: Instant) -> Vec<(&'static str, Duration)> {
        [
            ("scale decided", self.decided),
            ("pod created", self.created),
            ("container started", self.started),
        ]
        .into_iter()
        .filter_map(|(name, at)| Some((name, at?.checked_duration_since(start)?)))
        .collect()
    }
}

/// Watches the services of one namespace until it is dropped.
pub struct Observer {
    seen: Arc<Mutex<HashMap<String, Stations>>>,
    _watches: JoinSet<()>,
}

impl Observer {
    /// Watches `namespace` through `client`, for services that have no pod yet. Returns once both watches run.
    pub async fn start(client: &Client, namespace: &str) -> Self {
        let seen = Arc::<Mutex<HashMap<String, Stations>>>::default();
        let mut watches = JoinSet::new();
        let [synced_scalers, synced_pods] = [Arc::new(Notify::new()), Arc::new(Notify::new())];
        let (note, synced) = (seen.clone(), synced_scalers.clone());
        watches.spawn(follow(
            Api::<PodAutoscaler>::namespaced(client.clone(), namespace),
            Config::default(),
            move |change| match change {
                Change::Synced => synced.notify_one(),
                Change::Applied(_, scaler) if wants_pods(&scaler) => {
                    if let Some(service) = service(&scaler) {
                        let mut seen = note.lock();
                        seen.entry(service)
                            .or_default()
                            .decided
                            .get_or_insert_with(Instant::now);
                    }
                }
                _ => {}
            },
        ));
        let (note, synced) = (seen.clone(), synced_pods.clone());
        watches.spawn(follow(
            Api::<Pod>::namespaced(client.clone(), namespace),
            Config::default().labels(labels::SERVICE),
            move |change| match change {
                Change::Synced => synced.notify_one(),
                Change::Applied(_, pod) => {
                    if let Some(service) = service(&pod) {
                        let mut seen = note.lock();
                        let stations = seen.entry(service).or_default();
                        stations.created.get_or_insert_with(Instant::now);
                        if has_started(&pod) {
                            stations.started.get_or_insert_with(Instant::now);
                        }
                    }
                }
                Change::Deleted(_) => {}
            },
        ));
        synced_scalers.notified().await;
        synced_pods.notified().await;
        Self {
            seen,
            _watches: watches,
        }
    }

    /// What was seen of `service` so far.
    pub fn of(&self, service: &str) -> Stations {
        self.seen.lock().get(service).copied().unwrap_or_default()
    }

    /// What was seen of `service` once its container runs, or when `limit` has passed: the last report of a wake-up
    /// may arrive after its answer.
    pub async fn settled(&self, service: &str, limit: Duration) -> Stations {
        let deadline = Instant::now() + limit;
        loop {
            let stations = self.of(service);
            if stations.started.is_some() || Instant::now() >= deadline {
                return stations;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

fn service<K: Resource>(object: &K) -> Option<String> {
    object.meta().labels.as_ref()?.get(labels::SERVICE).cloned()
}

fn wants_pods(scaler: &PodAutoscaler) -> bool {
    let desired = scaler.status.as_ref().and_then(|status| status.desired_scale);
    desired.is_some_and(|scale| scale > 0)
}

fn has_started(pod: &Pod) -> bool {
    let statuses = pod
        .status
        .as_ref()
        .and_then(|status| status.container_statuses.as_ref());
    statuses.into_iter().flatten().any(|status| {
        let state = status.state.as_ref();
        state.is_some_and(|state| state.running.is_some())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stations_are_told_in_order_and_only_those_after_the_request() {
        let start = Instant::now();
        let at = |millis| Some(start + Duration::from_millis(millis));
        let stations = Stations {
            decided: start.checked_sub(Duration::from_millis(5)),
            created: at(20),
            started: at(70),
        };
        let told = stations.since(start);
        assert_eq!(
            told,
            [
                ("pod created", Duration::from_millis(20)),
                ("container started", Duration::from_millis(70))
            ]
        );
        assert_eq!(Stations::default().since(start), []);
    }

    #[test]
    fn a_pod_has_started_with_its_first_container() {
        let pod = |state: serde_json::Value| -> Pod {
            serde_json::from_value(serde_json::json!({ "status": { "containerStatuses": [
                { "name": "a", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state } ] } }))
            .unwrap()
        };
        assert!(has_started(&pod(serde_json::json!({ "running": {} }))));
        assert!(!has_started(&pod(
            serde_json::json!({ "waiting": { "reason": "ContainerCreating" } })
        )));
        assert!(!has_started(&Pod::default()));
    }
}
