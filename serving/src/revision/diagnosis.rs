//! Why a revision has no available pod: what one of its pods shows.

use crds::names;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodStatus};

const TIMED_OUT: &str = "ProgressDeadlineExceeded";
/// What a container's end is called if the kernel killed it for its memory.
const OUT_OF_MEMORY: &str = "OOMKilled";

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
    /// What a pod waits for while it still has time: shown, but no failure yet.
    pub waiting: Option<Cause>,
}

/// Looks at one pod of a Deployment that wants pods and has none available. All of them run the same code, so any
/// one tells; the first by name is taken so that the answer does not change from look to look. `probe_error` is what
/// the readiness probe of [`unready`]'s pod said last.
pub(super) fn diagnose(
    deployment: &Deployment,
    pods: &[impl AsRef<Pod>],
    always_schedulable: bool,
    probe_error: Option<&str>,
) -> Option<Diagnosis> {
    let status = witness(deployment, pods)?.status.as_ref()?;
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
    let late = timed_out(deployment);
    let mut all_run = containers(status).next().is_some();
    for container in containers(status) {
        if let Some(cause) = exit(container) {
            diagnosis.container = Some(cause);
            return Some(diagnosis);
        }
        let Some(cause) = waiting(container) else {
            continue;
        };
        all_run = false;
        if late.is_some() {
            diagnosis.resources = Some(cause);
            return Some(diagnosis);
        }
        if diagnosis.waiting.is_none() && !is_usual(&cause) {
            diagnosis.waiting = Some(cause);
        }
    }
    if let Some(told) = late.filter(|_| all_run && diagnosis.resources.is_none()) {
        let probes = match probe_error {
            Some(error) => format!("the readiness probe fails ({error})"),
            None => "no readiness probe has succeeded".to_owned(),
        };
        diagnosis.resources = Some(Cause {
            reason: TIMED_OUT.to_owned(),
            message: format!(
                "{told} Its containers run, but {probes}: see their logs, and that the application listens on the \
                 port in $PORT, on all interfaces"
            ),
        });
    }
    Some(diagnosis)
}

/// The pod that is looked at. One that goes away shows what was, not what is.
fn witness<'a>(deployment: &Deployment, pods: &'a [impl AsRef<Pod>]) -> Option<&'a Pod> {
    let available = deployment
        .status
        .as_ref()
        .and_then(|status| status.available_replicas)
        .unwrap_or(0);
    if !wants_pods(deployment) || available > 0 {
        return None;
    }
    pods.iter()
        .map(AsRef::as_ref)
        .find(|pod| pod.metadata.deletion_timestamp.is_none())
}

/// Whether the Deployment is to have pods.
pub(super) fn wants_pods(deployment: &Deployment) -> bool {
    deployment.spec.replicas.unwrap_or(0) > 0
}

/// The pod whose containers run and which is not ready although its time is over: what its readiness probe says is
/// worth asking for.
pub(super) fn unready<'a>(deployment: &Deployment, pods: &'a [impl AsRef<Pod>]) -> Option<&'a Pod> {
    timed_out(deployment)?;
    let pod = witness(deployment, pods)?;
    let status = pod.status.as_ref()?;
    let all_run =
        containers(status).all(|container| exit(container).is_none() && waiting(container).is_none());
    (all_run && containers(status).next().is_some()).then_some(pod)
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
        || containers(status).any(|c| exit(c).is_some() || waiting(c).is_some_and(|cause| !is_usual(&cause)))
}

fn exit(container: &ContainerStatus) -> Option<Cause> {
    let ended = container.last_state.as_ref()?.terminated.as_ref()?;
    let said = ended.message.as_deref().unwrap_or_default();
    let message = match (said, ended.exit_code) {
        _ if ended.reason.as_deref() == Some(OUT_OF_MEMORY) => {
            let killed = "container was killed: it used more memory than its limit (OOMKilled)";
            match said.trim_end() {
                "" => killed.to_owned(),
                // What it said last is hardly about that, since it did not know.
                said => format!("{said}\n{killed}"),
            }
        }
        ("", 0) => "container exited with no error".to_owned(),
        ("", code) => format!("container exited with code {code} and said nothing"),
        (said, _) => said.to_owned(),
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

/// What every container waits for on its way.
fn is_usual(cause: &Cause) -> bool {
    matches!(cause.reason.as_str(), "ContainerCreating" | "PodInitializing")
}

/// The user's containers, those first that have to end before the others start.
fn containers(status: &PodStatus) -> impl Iterator<Item = &ContainerStatus> {
    let init = status.init_container_statuses.iter().flatten();
    let ordinary = status.container_statuses.iter().flatten();
    init.chain(ordinary)
        .filter(|container| container.name != names::QUEUE_PROXY_CONTAINER)
}

/// The Deployment's own message once its progress deadline has passed.
fn timed_out(deployment: &Deployment) -> Option<&str> {
    let conditions = deployment
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_deref())
        .unwrap_or_default();
    let found = conditions.iter().find(|condition| {
        condition.type_.as_deref() == Some("Progressing")
            && condition.status.as_deref() == Some("False")
            && condition.reason.as_deref() == Some(TIMED_OUT)
    });
    found.map(|condition| condition.message.as_deref().unwrap_or_default())
}
