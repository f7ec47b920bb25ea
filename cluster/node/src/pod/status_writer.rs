//! Writes a pod's status: one request at a time, always the newest, nothing when nothing changed.
//!
//! A pod that starts or ends changes with each of its containers, and each write of its status makes work for everybody
//! who watches pods. So what nobody waits for is written together with what follows in a moment.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, PodStatus};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::debug;

/// Wait before a failed write is tried again.
const RETRY: Duration = Duration::from_millis(200);

/// How late a change is written that nobody waits for.
const MOMENT: Duration = Duration::from_millis(100);

/// Who writes; shown in managed fields.
pub(super) const FIELD_MANAGER: &str = "spindrift-node";

/// The writing task of one pod; ends when dropped.
pub(super) struct StatusWriter {
    wanted: watch::Sender<Wanted>,
    written: watch::Receiver<u64>,
    task: JoinHandle<()>,
}

/// The status that was asked for last. They are numbered in the order in which they were asked for.
#[derive(Clone)]
struct Wanted {
    number: u64,
    /// The last one that is not to be held back.
    pressing: u64,
    status: PodStatus,
}

impl Drop for StatusWriter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl StatusWriter {
    pub(super) fn start(client: Client, pod: &Pod) -> Self {
        let namespace = pod.metadata.namespace.clone().unwrap_or_default();
        let name = pod.metadata.name.clone().unwrap_or_default();
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let (wanted, receiver) = watch::channel(Wanted {
            number: 0,
            pressing: 0,
            status: pod.status.clone().unwrap_or_default(),
        });
        let (done, written) = watch::channel(0);
        let api: Api<Pod> = Api::namespaced(client, &namespace);
        let before = serde_json::to_value(pod.status.clone().unwrap_or_default()).unwrap_or_default();
        let task = tokio::spawn(write(api, name, uid, before, receiver, done));
        Self {
            wanted,
            written,
            task,
        }
    }

    /// The status that was asked for last.
    pub(super) fn current(&self) -> PodStatus {
        self.wanted.borrow().status.clone()
    }

    /// Asks for a status; returns at once.
    pub(super) fn publish(&self, status: PodStatus) {
        self.wanted.send_if_modified(|wanted| {
            let changed = wanted.status != status;
            if changed {
                wanted.number += 1;
                if is_pressing(&wanted.status, &status) {
                    wanted.pressing = wanted.number;
                }
                wanted.status = status;
            }
            changed
        });
    }

    /// Resolves when the status that was asked for last is in the API, or cannot be any more.
    pub(super) fn flushed(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut written = self.written.clone();
        self.wanted.send_if_modified(|wanted| {
            wanted.pressing = wanted.number;
            wanted.number > *written.borrow()
        });
        let number = self.wanted.borrow().number;
        async move {
            let _ = written.wait_for(|&done| done >= number).await;
        }
    }
}

async fn write(
    api: Api<Pod>,
    name: String,
    uid: String,
    mut before: Value,
    mut wanted: watch::Receiver<Wanted>,
    done: watch::Sender<u64>,
) {
    while wanted.changed().await.is_ok() {
        let written = *done.borrow();
        let pressing = wanted.wait_for(|wanted| wanted.pressing > written);
        let _ = tokio::time::timeout(MOMENT, pressing).await;
        let Wanted { number, status, .. } = wanted.borrow_and_update().clone();
        let status = serde_json::to_value(&status).unwrap_or_default();
        let changes = changes(&before, &status);
        if changes.as_object().is_some_and(serde_json::Map::is_empty) {
            done.send_replace(number);
            continue;
        }
        // The uid keeps a late write off a new pod of the same name.
        let patch = json!({"metadata": {"uid": uid}, "status": changes});
        let parameters = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        match api.patch_status(&name, &parameters, &Patch::Merge(&patch)).await {
            Ok(_) => before = status,
            Err(kube::Error::Api(error)) if matches!(error.code, 404 | 409 | 422) => {
                debug!(%name, error = %error.message, "Pod status was not accepted");
                before = status;
            }
            Err(error) => {
                debug!(%name, %error, "Pod status could not be written");
                tokio::time::sleep(RETRY).await;
                wanted.mark_changed();
                continue;
            }
        }
        done.send_replace(number);
    }
}

/// Whether others wait for a change: traffic for readiness, owners for the end, everybody for the beginning.
fn is_pressing(before: &PodStatus, after: &PodStatus) -> bool {
    fn told(status: &PodStatus) -> (Option<&str>, Option<&str>, Option<&str>) {
        let mut conditions = status.conditions.iter().flatten();
        let ready = conditions.find(|condition| condition.type_ == "Ready");
        let ready = ready.map(|condition| condition.status.as_str());
        (status.phase.as_deref(), status.reason.as_deref(), ready)
    }
    told(before) != told(after)
}

/// A merge patch: members that differ, `null` for those that went away.
fn changes(before: &Value, after: &Value) -> Value {
    let (Some(old), Some(new)) = (before.as_object(), after.as_object()) else {
        return after.clone();
    };
    let mut patch = serde_json::Map::new();
    for (key, value) in new {
        if old.get(key) != Some(value) {
            patch.insert(key.clone(), value.clone());
        }
    }
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    Value::Object(patch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_holds_what_differs() {
        let patch = changes(
            &json!({"a": 1, "b": [1], "c": 1}),
            &json!({"a": 1, "b": [2], "d": {}}),
        );
        assert_eq!(patch, json!({"b": [2], "c": null, "d": {}}));
    }

    #[test]
    fn what_others_wait_for_is_not_held_back() {
        let status = |phase: &str, reason: Value, ready: &str, container: &str| -> PodStatus {
            serde_json::from_value(json!({
                "phase": phase,
                "reason": reason,
                "conditions": [{"type": "Ready", "status": ready}],
                "containerStatuses": [{"name": container, "image": "", "imageID": "", "ready": false, "restartCount": 0}],
            }))
            .unwrap()
        };
        let before = status("Pending", Value::Null, "False", "a");
        let table = [
            (before.clone(), false),
            (status("Pending", Value::Null, "False", "b"), false),
            (status("Running", Value::Null, "False", "a"), true),
            (status("Pending", json!("Evicted"), "False", "a"), true),
            (status("Pending", Value::Null, "True", "a"), true),
        ];
        for (after, wanted) in table {
            assert_eq!(is_pressing(&before, &after), wanted, "{after:?}");
        }
    }
}
