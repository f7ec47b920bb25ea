//! What the pod of an attempt has come to.

use crds::tekton::names::{SIDECAR_PREFIX, STEP_PREFIX};
use crds::tekton::reasons::task_run as reasons;
use entrypoint::message::{REASON, reason};
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod};
use k8s_openapi::jiff::Timestamp;

use super::steps;

const OOM: &str = "OOMKilled";

/// How far an attempt is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It goes on.
    Unknown {
        reason: &'static str,
        message: String,
    },
    Succeeded,
    Failed(Verdict),
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub reason: &'static str,
    pub message: String,
    /// Would the pod wait for ever? Then it has to go.
    pub delete_pod: bool,
    /// What may be over by itself.
    pub may_pass: Option<MayPass>,
}

/// What ends a run at once or after a while, as people have set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MayPass {
    /// An image that cannot be pulled.
    ImagePull,
    /// A container that is not made in time.
    CreateContainer,
}

impl Verdict {
    fn of(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            delete_pod: false,
            may_pass: None,
        }
    }
}

/// Judges a pod.
pub fn progress(pod: &Pod) -> Progress {
    let steps: Vec<&ContainerStatus> = steps::all(pod)
        .filter(|shown| shown.name.starts_with(STEP_PREFIX))
        .collect();
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref())
        .unwrap_or_default();
    let declared = pod.spec.iter().flat_map(|spec| &spec.containers);
    let count = declared
        .filter(|container| container.name.starts_with(STEP_PREFIX))
        .count();
    let ended: Vec<&ContainerStateTerminated> = steps.iter().filter_map(|step| ended(step)).collect();
    let done = (count > 0 && ended.len() >= count)
        || ended.iter().any(|ended| is_oom(ended))
        || matches!(phase, "Succeeded" | "Failed");
    if !done {
        return going_on(pod, phase);
    }
    let failed = phase == "Failed"
        || ended.iter().any(|ended| ended.exit_code != 0 || is_oom(ended))
        || sidecars(pod).any(|sidecar| failed_by_itself(sidecar, last_end(&ended)).is_some());
    match failed {
        true => Progress::Failed(why(pod, &steps, last_end(&ended))),
        false => Progress::Succeeded,
    }
}

fn ended(status: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    status.state.as_ref()?.terminated.as_ref()
}

fn is_oom(ended: &ContainerStateTerminated) -> bool {
    ended.reason.as_deref() == Some(OOM)
}

fn last_end(ended: &[&ContainerStateTerminated]) -> Option<Timestamp> {
    ended
        .iter()
        .filter_map(|ended| ended.finished_at.as_ref())
        .map(|time| time.0)
        .max()
}

fn sidecars(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    steps::all(pod).filter(|shown| shown.name.starts_with(SIDECAR_PREFIX))
}

/// How a sidecar failed. What happens to it after the last step is its being stopped.
fn failed_by_itself(
    sidecar: &ContainerStatus,
    last_step: Option<Timestamp>,
) -> Option<&ContainerStateTerminated> {
    let before = sidecar
        .last_state
        .as_ref()
        .and_then(|state| state.terminated.as_ref());
    [before, ended(sidecar)].into_iter().flatten().find(|ended| {
        let finished = ended.finished_at.as_ref().map(|time| time.0);
        let in_time = match (finished, last_step) {
            (Some(finished), Some(last)) => finished < last,
            _ => true,
        };
        in_time && (ended.exit_code != 0 || is_oom(ended))
    })
}

/// The reason of a failure, in the order of what explains most.
fn why(pod: &Pod, steps: &[&ContainerStatus], last_step: Option<Timestamp>) -> Verdict {
    let status = pod.status.clone().unwrap_or_default();
    if status.reason.as_deref() == Some("Evicted") {
        return Verdict::of(reasons::POD_EVICTED, status.message.unwrap_or_default());
    }
    let init = status.init_container_statuses.iter().flatten();
    let init: Vec<&ContainerStatus> = init
        .filter(|shown| !shown.name.starts_with(SIDECAR_PREFIX))
        .collect();
    let find = |list: &[&ContainerStatus], wanted: fn(&ContainerStateTerminated) -> bool| {
        let mut all = list
            .iter()
            .filter_map(|shown| Some((shown.name.clone(), ended(shown)?.clone())));
        all.find(|(_, ended)| wanted(ended))
    };
    let of_sidecars = |wanted: fn(&ContainerStateTerminated) -> bool| {
        sidecars(pod).find_map(|sidecar| {
            let ended = failed_by_itself(sidecar, last_step).filter(|ended| wanted(ended))?;
            Some((sidecar.name.clone(), ended.clone()))
        })
    };
    let bad = |ended: &ContainerStateTerminated| ended.exit_code != 0;
    let found = [
        (reasons::INIT_CONTAINER_OOM, find(&init, is_oom)),
        (reasons::INIT_CONTAINER_FAILED, find(&init, bad)),
        (reasons::SIDECAR_OOM, of_sidecars(is_oom)),
        (reasons::STEP_OOM, find(steps, is_oom)),
        (reasons::SIDECAR_FAILED, of_sidecars(bad)),
        (reasons::STEP_FAILED, find(steps, bad)),
    ];
    for (reason, container) in found {
        if let Some((name, ended)) = container {
            return of_container(reason, &name, &ended);
        }
    }
    let message = status.message.filter(|message| !message.is_empty());
    Verdict::of(
        reasons::FAILED,
        message.unwrap_or_else(|| "build failed for unspecified reasons.".to_owned()),
    )
}

fn of_container(reason: &'static str, name: &str, ended: &ContainerStateTerminated) -> Verdict {
    let told = steps::records(ended);
    let word = steps::internal(&told, REASON);
    if word == Some(reason::TIMED_OUT) {
        return Verdict::of(
            reason,
            format!("\"{name}\" exited because the step exceeded the specified timeout limit"),
        );
    }
    let mut message = format!("\"{name}\" exited with code {}", ended.exit_code);
    if let Some(why) = ended.reason.as_deref().filter(|why| !why.is_empty()) {
        message.push_str(": ");
        message.push_str(why);
    }
    if word == Some(reason::TOO_LARGE) {
        message.push_str(&format!(
            ": results are above the max allowed size of {} bytes",
            entrypoint::message::MOST
        ));
        return Verdict::of(reasons::RESULT_LARGER_THAN_ALLOWED_LIMIT, message);
    }
    Verdict::of(reason, message)
}

fn going_on(pod: &Pod, phase: &str) -> Progress {
    if let Some(verdict) = stuck(pod) {
        return Progress::Failed(verdict);
    }
    if phase == "Running" {
        return unknown(reasons::RUNNING, reasons::MESSAGE_RUNNING);
    }
    if let Some(message) = unschedulable(pod) {
        return match message.contains("Insufficient ") || message.contains("insufficient ") {
            true => unknown(
                reasons::EXCEEDED_NODE_RESOURCES,
                "TaskRun Pod exceeded available resources",
            ),
            false => unknown(
                reasons::PENDING,
                &format!("pod status \"PodScheduled\":\"False\"; message: \"{message}\""),
            ),
        };
    }
    let waiting = steps::all(pod).find_map(|shown| {
        let waiting = shown.state.as_ref()?.waiting.as_ref()?;
        let reason = waiting.reason.clone()?;
        let because = waiting
            .message
            .as_ref()
            .map(|message| format!(": {message}"))
            .unwrap_or_default();
        Some(format!(
            "build step \"{}\" is pending with reason \"{reason}{because}\"",
            shown.name
        ))
    });
    unknown(reasons::PENDING, waiting.as_deref().unwrap_or("Pending"))
}

fn unknown(reason: &'static str, message: &str) -> Progress {
    Progress::Unknown {
        reason,
        message: message.to_owned(),
    }
}

fn unschedulable(pod: &Pod) -> Option<String> {
    let conditions = pod.status.as_ref()?.conditions.iter().flatten();
    let mut scheduled = conditions.filter(|condition| condition.type_ == "PodScheduled");
    scheduled
        .find(|condition| condition.reason.as_deref() == Some("Unschedulable"))
        .map(|condition| condition.message.clone().unwrap_or_default())
}

/// A container that will not start, so that the steps would wait until time is up.
fn stuck(pod: &Pod) -> Option<Verdict> {
    steps::all(pod).find_map(|shown| {
        let waiting = shown.state.as_ref()?.waiting.as_ref()?;
        let said = waiting.message.clone().unwrap_or_default();
        let (kind, name) = match shown.name.strip_prefix(STEP_PREFIX) {
            Some(name) => ("step", name),
            None => match shown.name.strip_prefix(SIDECAR_PREFIX) {
                Some(name) => ("sidecar", name),
                None => ("init container", shown.name.as_str()),
            },
        };
        let because = waiting.reason.as_deref()?;
        let may_pass = match because {
            "ImagePullBackOff" => Some(MayPass::ImagePull),
            "CreateContainerError" if said.contains("context deadline exceeded") => {
                Some(MayPass::CreateContainer)
            }
            _ => None,
        };
        let (reason, message) = match because {
            "ImagePullBackOff" | "InvalidImageName" => (
                reasons::TASK_RUN_IMAGE_PULL_FAILED,
                format!(
                    "the {kind} \"{name}\" in TaskRun failed to pull the image \"{}\". The pod errored with the message: \
                     \"{said}.\"",
                    shown.image
                ),
            ),
            // Right after a volume was mounted this passes by itself.
            "CreateContainerConfigError" if said.contains("failed to prepare subPath") => return None,
            "CreateContainerConfigError" => (
                reasons::CREATE_CONTAINER_CONFIG_ERROR,
                format!("Failed to create pod due to config error: {kind} \"{name}\": {said}"),
            ),
            "CreateContainerError" => (
                reasons::POD_CREATION_FAILED,
                format!("Failed to create container of {kind} \"{name}\": {said}"),
            ),
            _ => return None,
        };
        Some(Verdict {
            reason,
            message,
            delete_pod: true,
            may_pass,
        })
    })
}

/// May the first step begin? Yes if everything that is not a step is ready, or has ended once.
pub(super) fn may_begin(pod: &Pod) -> bool {
    let Some(status) = &pod.status else { return false };
    let crashed = |shown: &ContainerStatus| {
        ended(shown).is_some()
            || shown
                .last_state
                .as_ref()
                .is_some_and(|state| state.terminated.is_some())
    };
    let others = status
        .container_statuses
        .iter()
        .flatten()
        .filter(|shown| !shown.name.starts_with(STEP_PREFIX));
    status.phase.as_deref() == Some("Running")
        && others
            .chain(sidecars(pod))
            .all(|shown| shown.ready || crashed(shown))
}

#[cfg(test)]
mod tests;
