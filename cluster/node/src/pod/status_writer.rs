//! Writes a pod's status: one request at a time, always the newest, nothing when nothing changed.

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

/// Who writes; shown in managed fields.
pub(super) const FIELD_MANAGER: &str = "spindrift-node";

/// The writing task of one pod; ends when dropped.
pub(super) struct StatusWriter {
    wanted: watch::Sender<(u64, PodStatus)>,
    written: watch::Receiver<u64>,
    task: JoinHandle<()>,
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
        let (wanted, receiver) = watch::channel((0, pod.status.clone().unwrap_or_default()));
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
        self.wanted.borrow().1.clone()
    }

    /// Asks for a status; returns at once.
    pub(super) fn publish(&self, status: PodStatus) {
        self.wanted.send_if_modified(|(number, current)| {
            let changed = *current != status;
            if changed {
                *number += 1;
                *current = status;
            }
            changed
        });
    }

    /// Resolves when the status that was asked for last is in the API, or cannot be any more.
    pub(super) fn flushed(&self) -> impl Future<Output = ()> + Send + 'static {
        let (number, mut written) = (self.wanted.borrow().0, self.written.clone());
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
    mut wanted: watch::Receiver<(u64, PodStatus)>,
    done: watch::Sender<u64>,
) {
    while wanted.changed().await.is_ok() {
        let (number, status) = wanted.borrow_and_update().clone();
        let status = serde_json::to_value(&status).unwrap_or_default();
        // The uid keeps a late write off a new pod of the same name.
        let patch = json!({"metadata": {"uid": uid}, "status": changes(&before, &status)});
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
        let _ = done.send(number);
    }
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
}
