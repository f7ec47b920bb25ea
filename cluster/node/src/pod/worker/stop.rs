//! Effects that take a pod down: stopping containers, removing the sandbox, confirming the deletion.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, Preconditions};

use super::Worker;
use super::effects::is_running;
use super::happening::Happening;
use crate::context::Context;
use crate::event::Severity;
use crate::pod::facts::{Step, Stopping};
use crate::pod::{hooks, start};
use crate::shim::protocol::Call;
use crate::shim_client::ShimClient;

/// How long a shim may take to kill its containers and end.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(10);

impl Worker {
    pub(super) fn stop_container(&mut self, name: &str, grace: i64) {
        let Some(container) = start::named(&self.spec, name).cloned() else {
            return;
        };
        let Some(attempt) = self
            .facts
            .container(name)
            .filter(|known| is_running(&known.run))
            .map(|k| k.attempt)
        else {
            return;
        };
        let Some(target) = self.target(&container, attempt) else {
            return;
        };
        let restarting = self
            .facts
            .container(name)
            .is_some_and(|known| known.restart_wanted.is_some());
        let first = self
            .facts
            .container(name)
            .is_some_and(|known| known.stopping.is_none());
        if first && !restarting {
            self.note(name, "Killing", format!("Stopping container {name}"));
        }
        if let Some(known) = self.facts.containers.get_mut(name) {
            known.stopping = Some(Stopping { grace });
        }
        let signal = start::stop_signal(
            self.stop_signals
                .get(name)
                .map(String::as_str)
                .unwrap_or_default(),
        );
        let grace = Duration::from_secs(u64::try_from(grace).unwrap_or(0));
        let (context, pod, shown) = (Arc::clone(&self.context), Arc::clone(&self.pod), name.to_owned());
        let init = start::is_init(&self.spec, name);
        let task = self
            .tasks
            .spawn(hooks::stop(container, target, signal, grace, move |message| {
                context.events.record(
                    &pod,
                    Some((&shown, init)),
                    Severity::Warning,
                    "FailedPreStopHook",
                    format!("PreStopHook failed: {message}"),
                );
            }));
        if let Some(old) = self.stops.insert(name.to_owned(), task) {
            old.abort();
        }
    }

    /// Kills whatever a shim that is gone left running. Not in the background: it would hit the next shim.
    pub(super) fn clear_group(&self) {
        self.context.pod_cgroup(&self.uid).kill();
    }

    pub(super) fn teardown(&mut self) {
        self.facts.teardown = Step::Running;
        if let Some(refresh) = self.refresh.take() {
            refresh.abort();
        }
        let shim = self.shim.take().map(|shim| shim.client);
        let (context, uid) = (Arc::clone(&self.context), self.uid.clone());
        self.spawn(async move { Happening::TornDown(remove_sandbox(&context, &uid, shim).await) });
    }

    pub(super) fn confirm_deletion(&mut self) {
        self.facts.confirmation = Step::Running;
        let (context, pod, uid) = (Arc::clone(&self.context), Arc::clone(&self.pod), self.uid.clone());
        let flushed = self.status.flushed();
        self.spawn(async move {
            // Watchers see how the containers ended before the pod vanishes.
            let _ = tokio::time::timeout(Duration::from_secs(5), flushed).await;
            let _ = std::fs::remove_dir_all(context.pod_dir(&uid));
            let _ = std::fs::remove_dir_all(context.log_dir(&pod));
            Happening::Confirmed(delete(&context, &pod).await)
        });
    }
}

/// Ends the shim and removes the pod's network, control group and files; records of its runs and logs stay.
pub(crate) async fn remove_sandbox(
    context: &Context,
    uid: &str,
    shim: Option<ShimClient>,
) -> Result<(), String> {
    if let Some(shim) = shim {
        let _ = tokio::time::timeout(SHUTDOWN_LIMIT, shim.call(Call::Shutdown)).await;
    }
    let group = context.pod_cgroup(uid);
    let dir = context.pod_dir(uid);
    // Before anything is written: what the pod wrote may be what fills the disk.
    let emptied = {
        let group = group.clone();
        tokio::task::spawn_blocking(move || {
            group.kill();
            for name in ["volumes", "etc", "state", "memory", "shm", "cgroup-mount-points"] {
                let _ = std::fs::remove_dir_all(dir.join(name));
            }
        })
    };
    emptied.await.map_err(|error| error.to_string())?;
    context
        .network
        .detach(uid)
        .await
        .map_err(|error| crate::error_chain(&error))?;
    match tokio::task::spawn_blocking(move || group.remove()).await {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

async fn delete(context: &Context, pod: &Pod) -> Result<(), String> {
    let api: Api<Pod> = Api::namespaced(
        context.client.clone(),
        pod.metadata.namespace.as_deref().unwrap_or_default(),
    );
    let parameters = DeleteParams {
        grace_period_seconds: Some(0),
        preconditions: Some(Preconditions {
            uid: pod.metadata.uid.clone(),
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    match api
        .delete(pod.metadata.name.as_deref().unwrap_or_default(), &parameters)
        .await
    {
        Ok(_) => Ok(()),
        // Gone already, or a new pod has its name.
        Err(kube::Error::Api(error)) if matches!(error.code, 404 | 409) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}
