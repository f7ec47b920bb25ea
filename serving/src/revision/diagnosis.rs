//! Why a revision has no available pod: what one of its pods shows.

use crds::names;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

/// A cause in the words of whoever noticed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cause {
    pub reason: String,
    pub message: String,
}

/// What is wrong, by the condition it belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Diagnosis {
    /// The pod cannot be placed, or its containers cannot be created.
    pub resources: Option<Cause>,
    /// The application ends.
    pub container: Option<Cause>,
}

/// Looks at one pod of a Deployment that wants pods and has none available. All of them run the same code, so any
/// one tells; the first by name is taken so that the answer does not change from look to look.
pub(super) fn diagnose(
    deployment: &Deployment,
    pods: &[impl AsRef<Pod>],
    always_schedulable: bool,
) -> Option<Diagnosis> {
    let wanted = deployment.spec.replicas.unwrap_or(0);
    let available = deployment
        .status
        .as_ref()
        .and_then(|status| status.available_replicas)
        .unwrap_or(0);
    if wanted == 0 || available > 0 {
        return None;
    }
    let status = pods.first()?.as_ref().status.as_ref()?;
    let mut diagnosis = Diagnosis::default();
    if !always_schedulable {
        let unplaced = status
            .conditions
            .iter()
            .flatten()
            .find(|c| c.type_ == "PodScheduled" && c.status == "False");
        diagnosis.resources = unplaced.map(|condition| Cause {
            reason: condition.reason.clone().unwrap_or_default(),
            message: condition.message.clone().unwrap_or_default(),
        });
    }
    let users = status
        .container_statuses
        .iter()
        .flatten()
        .filter(|c| c.name != names::QUEUE_PROXY_CONTAINER);
    for container in users {
        if let Some(cause) = exit(container) {
            diagnosis.container = Some(cause);
            break;
        }
        if let Some(cause) = waiting(container).filter(|_| has_timed_out(deployment)) {
            diagnosis.resources = Some(cause);
            break;
        }
    }
    Some(diagnosis)
}

/// Whether the pod shows something that [`diagnose`] could report; other changes need not wake the revision.
pub(super) fn is_telling(pod: &Pod) -> bool {
    let Some(status) = pod.status.as_ref() else {
        return false;
    };
    status
        .conditions
        .iter()
        .flatten()
        .any(|c| c.type_ == "PodScheduled" && c.status == "False")
        || status
            .container_statuses
            .iter()
            .flatten()
            .any(|c| exit(c).is_some() || waiting(c).is_some())
}

fn exit(container: &ContainerStatus) -> Option<Cause> {
    let ended = container.last_state.as_ref()?.terminated.as_ref()?;
    let message = match ended.message.as_deref().unwrap_or_default() {
        "" if ended.exit_code == 0 => "container exited with no error",
        message => message,
    };
    Some(Cause {
        reason: format!("ExitCode{}", ended.exit_code),
        message: format!("Container failed with: {message}"),
    })
}

fn waiting(container: &ContainerStatus) -> Option<Cause> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.clone().filter(|reason| !reason.is_empty())?;
    Some(Cause {
        reason,
        message: waiting.message.clone().unwrap_or_default(),
    })
}

/// Whether the Deployment's progress deadline has passed.
fn has_timed_out(deployment: &Deployment) -> bool {
    let conditions = deployment
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_deref())
        .unwrap_or_default();
    conditions.iter().any(|condition| {
        condition.type_.as_deref() == Some("Progressing")
            && condition.status.as_deref() == Some("False")
            && condition.reason.as_deref() == Some("ProgressDeadlineExceeded")
    })
}
