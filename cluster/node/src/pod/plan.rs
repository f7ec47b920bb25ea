//! What a pod needs next: the one decision of the node agent.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};

use super::facts::{ContainerFacts, Ended, Ending, Facts, ImageFacts, Run, Step};
use super::{grace_seconds, is_sidecar};

/// How long a failed pull is shown as `ErrImagePull` before it becomes `ImagePullBackOff`.
pub(super) const PULL_ERROR_SHOWN: SignedDuration = SignedDuration::from_secs(2);

/// Reasons of pods that end before their containers have.
pub(super) const DEADLINE_EXCEEDED: &str = "DeadlineExceeded";
pub(super) const EVICTED: &str = "Evicted";

/// Something the worker does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Start the shim, and with it the sandbox.
    StartShim,
    /// Connect the sandbox to the pod network.
    AttachNetwork,
    /// Make the volumes.
    MountVolumes,
    /// Fetch a container's image.
    PullImage(String),
    /// Start a container's next run.
    Start(String),
    /// Stop a container: hook, SIGTERM, grace period in seconds, SIGKILL.
    Stop(String, i64),
    /// Note that the pod has to end.
    End(Ending),
    /// Remove the sandbox and what belongs to it.
    Teardown,
    /// Tell the API server that nothing of the pod is left.
    ConfirmDeletion,
}

/// What to do now, and when to think again if nothing happens.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decision {
    /// To be begun now, all of them.
    pub actions: Vec<Action>,
    /// The nearest time that changes the decision.
    pub wake_at: Option<Timestamp>,
}

impl Decision {
    fn act(&mut self, action: Action) {
        self.actions.push(action);
    }

    fn wake(&mut self, at: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(at, |other| other.min(at)));
    }
}

/// Decides what the pod needs. Pure: asking again without a new fact or a later time gives the same answer.
pub fn next_actions(pod: &Pod, facts: &Facts, now: Timestamp) -> Decision {
    let mut decision = Decision::default();
    let Some(spec) = &pod.spec else { return decision };
    let deleted = pod.metadata.deletion_timestamp.is_some();
    if deleted || facts.ending.is_some() || is_over(spec, facts) {
        wind_down(pod, spec, facts, now, &mut decision);
        return decision;
    }
    if let Some(message) = &facts.evicted {
        decision.act(Action::End(Ending {
            reason: EVICTED,
            message: message.clone(),
            grace: Some(0),
        }));
        return decision;
    }
    if let Some(deadline) = deadline(spec, facts) {
        if now >= deadline {
            let message = "Pod was active on the node longer than the specified deadline".to_owned();
            decision.act(Action::End(Ending {
                reason: DEADLINE_EXCEEDED,
                message,
                grace: None,
            }));
            return decision;
        }
        decision.wake(deadline);
    }
    prepare(facts, now, &mut decision);
    pull(spec, facts, now, &mut decision);
    restart_unhealthy(pod, spec, facts, &mut decision);
    if sandbox_ready(facts) {
        run(spec, facts, now, &mut decision);
    }
    decision
}

fn deadline(spec: &PodSpec, facts: &Facts) -> Option<Timestamp> {
    let seconds = spec.active_deadline_seconds?;
    Some(facts.started_at? + SignedDuration::from_secs(seconds))
}

/// Stops what runs, then removes the sandbox, then confirms.
fn wind_down(pod: &Pod, spec: &PodSpec, facts: &Facts, now: Timestamp, decision: &mut Decision) {
    let hurried = facts.ending.as_ref().and_then(|ending| ending.grace);
    let grace = hurried.unwrap_or_else(|| grace_seconds(pod));
    let mut live = false;
    for container in super::containers(spec) {
        let Some(known) = facts.container(&container.name).filter(|known| known.is_live()) else {
            continue;
        };
        live = true;
        // A sidecar serves the others to their end.
        if is_sidecar(container) && is_init(spec, container) && others_live(spec, facts) {
            continue;
        }
        let shorter = known
            .stopping
            .as_ref()
            .is_none_or(|stopping| grace < stopping.grace);
        if shorter && matches!(known.run, Run::Running { .. }) {
            decision.act(Action::Stop(container.name.clone(), grace));
        }
    }
    let busy = [&facts.shim, &facts.network, &facts.volumes]
        .into_iter()
        .any(|step| *step == Step::Running);
    if live || busy {
        return;
    }
    match due(&facts.teardown, now, decision) {
        true => decision.act(Action::Teardown),
        false if facts.teardown == Step::Done && pod.metadata.deletion_timestamp.is_some() => {
            if due(&facts.confirmation, now, decision) {
                decision.act(Action::ConfirmDeletion);
            }
        }
        false => {}
    }
}

fn is_init(spec: &PodSpec, container: &Container) -> bool {
    spec.init_containers
        .iter()
        .flatten()
        .any(|init| init.name == container.name)
}

fn others_live(spec: &PodSpec, facts: &Facts) -> bool {
    let ordinary = spec
        .init_containers
        .iter()
        .flatten()
        .filter(|init| !is_sidecar(init))
        .chain(&spec.containers);
    ordinary
        .filter_map(|container| facts.container(&container.name))
        .any(ContainerFacts::is_live)
}

/// Whether a step can be begun now; a failed one waits for its time.
fn due(step: &Step, now: Timestamp, decision: &mut Decision) -> bool {
    match step {
        Step::Pending => true,
        Step::Running | Step::Done => false,
        Step::Failed { retry_at, .. } if *retry_at <= now => true,
        Step::Failed { retry_at, .. } => {
            decision.wake(*retry_at);
            false
        }
    }
}

fn prepare(facts: &Facts, now: Timestamp, decision: &mut Decision) {
    if due(&facts.shim, now, decision) {
        decision.act(Action::StartShim);
    }
    if facts.shim == Step::Done {
        if due(&facts.network, now, decision) {
            decision.act(Action::AttachNetwork);
        }
        // The downward API of a volume may hold the pod's address.
        if facts.network == Step::Done && due(&facts.volumes, now, decision) {
            decision.act(Action::MountVolumes);
        }
    }
}

fn sandbox_ready(facts: &Facts) -> bool {
    [&facts.shim, &facts.network, &facts.volumes]
        .into_iter()
        .all(|step| *step == Step::Done)
}

fn pull(spec: &PodSpec, facts: &Facts, now: Timestamp, decision: &mut Decision) {
    for container in super::containers(spec) {
        let Some(known) = facts.container(&container.name) else {
            continue;
        };
        match &known.image {
            ImageFacts::Unknown if known.ended().is_none() || will_restart(spec, container, known) => {
                decision.act(Action::PullImage(container.name.clone()));
            }
            ImageFacts::Failed { at, .. } => {
                let retry_at = *at + known.pull_backoff.delay();
                if retry_at <= now {
                    decision.act(Action::PullImage(container.name.clone()));
                } else {
                    decision.wake(retry_at);
                    if *at + PULL_ERROR_SHOWN > now {
                        decision.wake(*at + PULL_ERROR_SHOWN);
                    }
                }
            }
            _ => {}
        }
    }
}

/// Stops containers whose probe or hook demands it; their end then leads to a restart.
fn restart_unhealthy(pod: &Pod, spec: &PodSpec, facts: &Facts, decision: &mut Decision) {
    for container in super::containers(spec) {
        let Some(known) = facts.container(&container.name) else {
            continue;
        };
        if let (Some(own), None, Run::Running { .. }) = (known.restart_wanted, &known.stopping, &known.run) {
            let grace = own.unwrap_or_else(|| grace_seconds(pod)).max(0);
            decision.act(Action::Stop(container.name.clone(), grace));
        }
    }
}

fn run(spec: &PodSpec, facts: &Facts, now: Timestamp, decision: &mut Decision) {
    let begun = has_begun(spec, facts);
    for container in spec.init_containers.iter().flatten() {
        let Some(known) = facts.container(&container.name) else {
            continue;
        };
        let passed = match is_sidecar(container) {
            true => {
                start_if_due(spec, container, known, now, decision);
                known.started
            }
            false if begun || succeeded(known) => true,
            false => {
                start_if_due(spec, container, known, now, decision);
                false
            }
        };
        if !passed && !begun {
            return;
        }
    }
    for container in &spec.containers {
        if let Some(known) = facts.container(&container.name) {
            start_if_due(spec, container, known, now, decision);
        }
    }
}

/// Whether an ordinary container has been started in this sandbox: init containers are over then, for good.
fn has_begun(spec: &PodSpec, facts: &Facts) -> bool {
    let mut ordinary = spec
        .containers
        .iter()
        .filter_map(|container| facts.container(&container.name));
    let inits_waiting = spec
        .init_containers
        .iter()
        .flatten()
        .filter(|init| !is_sidecar(init))
        .filter_map(|init| facts.container(&init.name))
        .any(|known| !succeeded(known));
    !inits_waiting && ordinary.any(|known| known.run != Run::Waiting)
}

fn succeeded(known: &ContainerFacts) -> bool {
    known.ended().is_some_and(|ended| ended.exit_code == 0)
}

fn start_if_due(
    spec: &PodSpec,
    container: &Container,
    known: &ContainerFacts,
    now: Timestamp,
    decision: &mut Decision,
) {
    let at = match &known.run {
        Run::Waiting => now,
        Run::Ended(ended) if will_restart(spec, container, known) => {
            ended.finished_at + known.crash_backoff.delay()
        }
        _ => return,
    };
    let at = known
        .config_error
        .as_ref()
        .map_or(at, |error| at.max(error.retry_at));
    if known.image != ImageFacts::Ready {
        return;
    }
    if at <= now {
        decision.act(Action::Start(container.name.clone()));
    } else {
        decision.wake(at);
    }
}

/// Whether a container that has ended is to run again.
pub(super) fn will_restart(spec: &PodSpec, container: &Container, known: &ContainerFacts) -> bool {
    let Some(ended) = known.ended() else { return false };
    let init = is_init(spec, container);
    if init && is_sidecar(container) {
        return true;
    }
    match spec.restart_policy.as_deref() {
        Some("Never") => false,
        Some("OnFailure") => failed(ended),
        // Init containers have done their work when they succeed.
        _ => !init || failed(ended),
    }
}

fn failed(ended: &Ended) -> bool {
    ended.exit_code != 0
}

/// Whether the pod will never run again: every container has ended for good, or an init container has failed for good.
pub(super) fn is_over(spec: &PodSpec, facts: &Facts) -> bool {
    let ended_for_good = |container: &Container| {
        let known = facts.container(&container.name);
        known.is_some_and(|known| known.ended().is_some() && !will_restart(spec, container, known))
    };
    let init_failed = spec.init_containers.iter().flatten().any(|container| {
        ended_for_good(container)
            && facts
                .container(&container.name)
                .and_then(ContainerFacts::ended)
                .is_some_and(failed)
    });
    init_failed || (!spec.containers.is_empty() && spec.containers.iter().all(ended_for_good))
}

#[cfg(test)]
mod tests;
