//! A pod's status from its facts. Pure; equal facts give an equal status, transition times included.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
    ContainerStatus, HostIP, Pod, PodCondition, PodIP, PodSpec, PodStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::facts::{ContainerFacts, Ended, Facts, ImageFacts, Run, Step};
use super::plan::{PULL_ERROR_SHOWN, is_over, will_restart};
use super::{container_id, is_sidecar};
use crate::resources;

/// Computes the status. `before` is the previous one, for transition times and for conditions of others; that of `pod` is
/// not looked at.
pub fn pod_status(pod: &Pod, before: &PodStatus, facts: &Facts, host_ip: &str, now: Timestamp) -> PodStatus {
    let none = PodSpec::default();
    let spec = pod.spec.as_ref().unwrap_or(&none);
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    let view = View {
        pod,
        spec,
        facts,
        uid,
        now,
    };
    let phase = view.phase();
    let statuses = |list: &[Container]| {
        let found: Vec<ContainerStatus> = list
            .iter()
            .filter_map(|container| view.container(container))
            .collect();
        (!found.is_empty()).then_some(found)
    };
    PodStatus {
        phase: Some(phase.to_owned()),
        conditions: Some(conditions(&view, before, phase)),
        container_statuses: statuses(&spec.containers),
        init_container_statuses: statuses(spec.init_containers.as_deref().unwrap_or_default()),
        host_ip: Some(host_ip.to_owned()),
        host_ips: Some(vec![HostIP {
            ip: host_ip.to_owned(),
        }]),
        pod_ip: facts.ip.clone(),
        pod_ips: facts.ip.clone().map(|ip| vec![PodIP { ip }]),
        qos_class: before
            .qos_class
            .clone()
            .or_else(|| Some(resources::qos_class(spec).to_owned())),
        start_time: facts.started_at.map(Time),
        reason: facts.ending.as_ref().map(|ending| ending.reason.to_owned()),
        message: facts.ending.as_ref().map(|ending| ending.message.clone()),
        observed_generation: pod.metadata.generation,
        ..PodStatus::default()
    }
}

struct View<'a> {
    pod: &'a Pod,
    spec: &'a PodSpec,
    facts: &'a Facts,
    uid: &'a str,
    now: Timestamp,
}

impl View<'_> {
    fn inits(&self) -> &[Container] {
        self.spec.init_containers.as_deref().unwrap_or_default()
    }

    fn known(&self, container: &Container) -> Option<&ContainerFacts> {
        self.facts.container(&container.name)
    }

    fn phase(&self) -> &'static str {
        if self.facts.ending.is_some() {
            return "Failed";
        }
        if is_over(self.spec, self.facts) {
            let good = |container: &Container| {
                self.known(container)
                    .and_then(ContainerFacts::ended)
                    .is_some_and(|ended| ended.exit_code == 0)
            };
            return if self.spec.containers.iter().all(good) {
                "Succeeded"
            } else {
                "Failed"
            };
        }
        let has_run = |container: &Container| {
            self.known(container).is_some_and(|known| {
                known.last.is_some() || matches!(known.run, Run::Running { .. } | Run::Ended(_))
            })
        };
        match self.spec.containers.iter().all(has_run) {
            true => "Running",
            false => "Pending",
        }
    }

    fn container(&self, container: &Container) -> Option<ContainerStatus> {
        let known = self.known(container)?;
        let id = |attempt| container_id(self.uid, &container.name, attempt);
        let state = self.state(container, known);
        let last = match (&known.run, &state.waiting) {
            // While the next run waits, the one that ended last is shown as the last state.
            (Run::Ended(ended), Some(_)) => Some(ended),
            _ => known.last.as_ref(),
        };
        let running = matches!(known.run, Run::Running { .. });
        let has_id = !matches!(known.run, Run::Waiting | Run::Starting) || known.attempt > 0;
        let shown_attempt = match known.run {
            Run::Waiting | Run::Starting => known.attempt.saturating_sub(1),
            _ => known.attempt,
        };
        let finished_init = self.inits().iter().any(|init| init.name == container.name)
            && known.ended().is_some_and(|ended| ended.exit_code == 0);
        Some(ContainerStatus {
            name: container.name.clone(),
            image: container.image.clone().unwrap_or_default(),
            image_id: known.image_id.clone(),
            container_id: has_id.then(|| id(shown_attempt)),
            last_state: Some(last.map_or_else(ContainerState::default, |ended| ContainerState {
                terminated: Some(terminated(ended, id(ended.attempt))),
                ..ContainerState::default()
            })),
            state: Some(state),
            ready: (running && known.ready) || finished_init,
            started: Some(running && known.started),
            restart_count: i32::try_from(known.attempt).unwrap_or(i32::MAX),
            ..ContainerStatus::default()
        })
    }

    fn state(&self, container: &Container, known: &ContainerFacts) -> ContainerState {
        let waiting = |reason: &str, message: Option<String>| ContainerState {
            waiting: Some(ContainerStateWaiting {
                reason: Some(reason.to_owned()),
                message,
            }),
            ..ContainerState::default()
        };
        match &known.run {
            Run::Running { since } => ContainerState {
                running: Some(ContainerStateRunning {
                    started_at: Some(Time(*since)),
                }),
                ..ContainerState::default()
            },
            Run::Ended(ended) => {
                let id = container_id(self.uid, &container.name, ended.attempt);
                let over = self.pod.metadata.deletion_timestamp.is_some() || self.facts.ending.is_some();
                let restarts = !over && will_restart(self.spec, container, known);
                if restarts && let Some((reason, message)) = self.obstacle(container, known) {
                    return waiting(reason, Some(message));
                }
                let delay = known.crash_backoff.delay();
                if restarts && ended.finished_at + delay > self.now {
                    return waiting(
                        "CrashLoopBackOff",
                        Some(self.crash_message(container, delay.as_secs())),
                    );
                }
                ContainerState {
                    terminated: Some(terminated(ended, id)),
                    ..ContainerState::default()
                }
            }
            Run::Waiting | Run::Starting => match self.obstacle(container, known) {
                Some((reason, message)) => waiting(reason, Some(message)),
                None if self.waits_for_init(container) => waiting("PodInitializing", None),
                None => waiting("ContainerCreating", None),
            },
        }
    }

    /// What keeps a container from being made.
    fn obstacle(&self, container: &Container, known: &ContainerFacts) -> Option<(&'static str, String)> {
        if let ImageFacts::Failed { reason, message, at } = &known.image {
            if *reason == "ErrImagePull" && *at + PULL_ERROR_SHOWN <= self.now {
                let image = container.image.as_deref().unwrap_or_default();
                return Some((
                    "ImagePullBackOff",
                    format!("Back-off pulling image \"{image}\": ErrImagePull: {message}"),
                ));
            }
            return Some((reason, message.clone()));
        }
        known
            .config_error
            .as_ref()
            .map(|error| (error.reason, error.message.clone()))
    }

    fn crash_message(&self, container: &Container, seconds: i64) -> String {
        let wait = match (seconds / 60, seconds % 60) {
            (0, seconds) => format!("{seconds}s"),
            (minutes, seconds) => format!("{minutes}m{seconds}s"),
        };
        format!(
            "back-off {wait} restarting failed container={} pod={}",
            container.name,
            pod_display(self.pod)
        )
    }

    fn waits_for_init(&self, container: &Container) -> bool {
        let before = self.inits().iter().take_while(|init| init.name != container.name);
        before.into_iter().any(|init| !self.init_passed(init))
    }

    fn init_passed(&self, init: &Container) -> bool {
        self.known(init).is_some_and(|known| match is_sidecar(init) {
            true => known.started,
            false => known.ended().is_some_and(|ended| ended.exit_code == 0),
        })
    }
}

/// `name_namespace(uid)`, as kubelet's messages name a pod.
pub(super) fn pod_display(pod: &Pod) -> String {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    format!(
        "{}_{}({})",
        text(&pod.metadata.name),
        text(&pod.metadata.namespace),
        text(&pod.metadata.uid)
    )
}

fn terminated(ended: &Ended, id: String) -> ContainerStateTerminated {
    ContainerStateTerminated {
        exit_code: ended.exit_code,
        signal: ended.signal,
        reason: Some(ended.reason.clone()),
        message: ended.message.clone(),
        started_at: Some(Time(ended.started_at)),
        finished_at: Some(Time(ended.finished_at)),
        container_id: Some(id),
    }
}

/// A condition before its transition time is known.
struct Verdict {
    kind: &'static str,
    holds: bool,
    reason: Option<&'static str>,
    message: Option<String>,
}

impl Verdict {
    fn yes(kind: &'static str) -> Self {
        Self {
            kind,
            holds: true,
            reason: None,
            message: None,
        }
    }

    fn no(kind: &'static str, reason: &'static str, message: Option<String>) -> Self {
        Self {
            kind,
            holds: false,
            reason: Some(reason),
            message,
        }
    }
}

/// Our own conditions in kubelet's order, then those of others as they are.
fn conditions(view: &View<'_>, before: &PodStatus, phase: &str) -> Vec<PodCondition> {
    let old = before.conditions.as_deref().unwrap_or_default();
    let mut verdicts = Vec::new();
    let sandbox = [&view.facts.shim, &view.facts.network]
        .into_iter()
        .all(|step| *step == Step::Done);
    let over = matches!(phase, "Succeeded" | "Failed");
    verdicts.push(Verdict {
        kind: "PodReadyToStartContainers",
        holds: sandbox && view.facts.teardown != Step::Done,
        reason: None,
        message: None,
    });
    verdicts.push(initialized(view, phase));
    let (ready, containers_ready) = (ready(view, old, phase, over), containers_ready(view, phase, over));
    verdicts.push(ready);
    verdicts.push(containers_ready);
    verdicts.push(Verdict::yes("PodScheduled"));
    let mut result: Vec<PodCondition> = verdicts
        .into_iter()
        .map(|verdict| verdict.condition(old, view))
        .collect();
    let others = old
        .iter()
        .filter(|condition| !result.iter().any(|ours| ours.type_ == condition.type_))
        .cloned();
    let others: Vec<PodCondition> = others.collect();
    result.extend(others);
    result
}

impl Verdict {
    fn condition(self, old: &[PodCondition], view: &View<'_>) -> PodCondition {
        let status = if self.holds { "True" } else { "False" };
        let same = old
            .iter()
            .find(|known| known.type_ == self.kind && known.status == status);
        let since = same
            .and_then(|known| known.last_transition_time.clone())
            .unwrap_or(Time(view.now));
        PodCondition {
            type_: self.kind.to_owned(),
            status: status.to_owned(),
            reason: self.reason.map(str::to_owned),
            message: self.message,
            last_transition_time: Some(since),
            observed_generation: view.pod.metadata.generation,
            ..PodCondition::default()
        }
    }
}

fn initialized(view: &View<'_>, phase: &str) -> Verdict {
    const KIND: &str = "Initialized";
    let open: Vec<&str> = view
        .inits()
        .iter()
        .filter(|init| !view.init_passed(init))
        .map(|init| init.name.as_str())
        .collect();
    if open.is_empty() || phase == "Succeeded" {
        let reason = (phase == "Succeeded").then_some("PodCompleted");
        return Verdict {
            reason,
            ..Verdict::yes(KIND)
        };
    }
    let message = format!("containers with incomplete status: [{}]", open.join(" "));
    Verdict::no(KIND, "ContainersNotInitialized", Some(message))
}

fn unready(view: &View<'_>) -> Vec<String> {
    let ready = |container: &Container| {
        view.known(container)
            .is_some_and(|known| known.ready && matches!(known.run, Run::Running { .. }))
    };
    let sidecars = view.inits().iter().filter(|init| is_sidecar(init));
    let all = sidecars.chain(&view.spec.containers);
    all.filter(|container| !ready(container))
        .map(|container| container.name.clone())
        .collect()
}

fn containers_ready(view: &View<'_>, phase: &str, over: bool) -> Verdict {
    not_ready("ContainersReady", view, phase, over).unwrap_or_else(|| Verdict::yes("ContainersReady"))
}

fn not_ready(kind: &'static str, view: &View<'_>, phase: &str, over: bool) -> Option<Verdict> {
    if over {
        let reason = if phase == "Succeeded" {
            "PodCompleted"
        } else {
            "PodFailed"
        };
        return Some(Verdict::no(kind, reason, None));
    }
    let unready = unready(view);
    let message = format!("containers with unready status: [{}]", unready.join(" "));
    (!unready.is_empty()).then(|| Verdict::no(kind, "ContainersNotReady", Some(message)))
}

fn ready(view: &View<'_>, old: &[PodCondition], phase: &str, over: bool) -> Verdict {
    const KIND: &str = "Ready";
    if let Some(verdict) = not_ready(KIND, view, phase, over) {
        return verdict;
    }
    let messages: Vec<String> = view
        .spec
        .readiness_gates
        .iter()
        .flatten()
        .filter_map(|gate| {
            let kind = &gate.condition_type;
            match old.iter().find(|condition| condition.type_ == *kind) {
                None => Some(format!(
                    "corresponding condition of pod readiness gate \"{kind}\" does not exist."
                )),
                Some(condition) if condition.status != "True" => Some(format!(
                    "the status of pod readiness gate \"{kind}\" is not \"True\", but {}",
                    condition.status
                )),
                Some(_) => None,
            }
        })
        .collect();
    match messages.is_empty() {
        true => Verdict::yes(KIND),
        false => Verdict::no(KIND, "ReadinessGatesNotReady", Some(messages.join(", "))),
    }
}

#[cfg(test)]
mod tests;
