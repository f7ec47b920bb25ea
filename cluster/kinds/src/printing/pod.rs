//! Pods: the status column sums up phase, containers and deletion.

use jiff::Timestamp;
use serde_json::Value;

use super::age::age_since;
use super::text::{NONE, condition, or};
use super::{age, name};
use crate::json::{at, flag, integer, items, text};

/// What the containers of a pod amount to.
#[derive(Default)]
struct Summary {
    ready: usize,
    total: usize,
    reason: String,
    restarts: i64,
    /// When a container last ended before a restart; empty if none did.
    last_restart: String,
}

impl Summary {
    fn add_restarts(&mut self, status: &Value) {
        self.restarts += integer(status, &["restartCount"]).unwrap_or_default();
        let finished = text(status, &["lastState", "terminated", "finishedAt"]);
        // Timestamps of the API are all in UTC and of one length, so text order is time order.
        if finished > self.last_restart.as_str() {
            self.last_restart = finished.to_owned();
        }
    }
}

pub(super) fn pod(pod: &Value, now: Timestamp) -> Vec<Value> {
    let summary = summarise(pod);
    let restarts = if summary.restarts > 0 && !summary.last_restart.is_empty() {
        format!(
            "{} ({} ago)",
            summary.restarts,
            age_since(&summary.last_restart, now)
        )
    } else {
        summary.restarts.to_string()
    };
    let ip = items(pod, &["status", "podIPs"])
        .first()
        .map_or("", |ip| text(ip, &["ip"]));
    let ip = or(ip, text(pod, &["status", "podIP"]));
    vec![
        name(pod),
        format!("{}/{}", summary.ready, summary.total).into(),
        summary.reason.into(),
        restarts.into(),
        age(pod, now),
        or(ip, NONE).into(),
        or(text(pod, &["spec", "nodeName"]), NONE).into(),
        or(text(pod, &["status", "nominatedNodeName"]), NONE).into(),
        readiness_gates(pod).into(),
    ]
}

fn summarise(pod: &Value) -> Summary {
    let phase = text(pod, &["status", "phase"]);
    let status_reason = text(pod, &["status", "reason"]);
    let mut summary = Summary {
        reason: or(status_reason, phase).to_owned(),
        ..Summary::default()
    };
    let gated = |condition: &&Value| {
        text(condition, &["type"]) == "PodScheduled" && text(condition, &["reason"]) == "SchedulingGated"
    };
    if items(pod, &["status", "conditions"])
        .iter()
        .any(|condition| gated(&condition))
    {
        "SchedulingGated".clone_into(&mut summary.reason);
    }
    let sidecars = items(pod, &["spec", "initContainers"])
        .iter()
        .filter(|container| is_sidecar(container))
        .count();
    summary.total = items(pod, &["spec", "containers"]).len() + sidecars;

    let mut sidecar_restarts = Summary::default();
    let initializing = init_containers(pod, &mut summary, &mut sidecar_restarts);
    if !initializing || condition(pod, "Initialized") {
        summary.restarts = sidecar_restarts.restarts;
        summary.last_restart = sidecar_restarts.last_restart;
        main_containers(pod, &mut summary);
    }
    if at(pod, &["metadata", "deletionTimestamp"]).is_some() {
        if status_reason == "NodeLost" {
            "Unknown".clone_into(&mut summary.reason);
        } else if !matches!(phase, "Succeeded" | "Failed") {
            "Terminating".clone_into(&mut summary.reason);
        }
    }
    summary
}

/// Init containers that restart keep running beside the main ones.
fn is_sidecar(container: &Value) -> bool {
    text(container, &["restartPolicy"]) == "Always"
}

/// Reads init containers up to the first that has not finished; returns whether there is one.
fn init_containers(pod: &Value, summary: &mut Summary, sidecar_restarts: &mut Summary) -> bool {
    let specs = items(pod, &["spec", "initContainers"]);
    for (index, status) in items(pod, &["status", "initContainerStatuses"])
        .iter()
        .enumerate()
    {
        let name = text(status, &["name"]);
        let sidecar = specs
            .iter()
            .any(|spec| text(spec, &["name"]) == name && is_sidecar(spec));
        summary.add_restarts(status);
        if sidecar {
            sidecar_restarts.add_restarts(status);
        }
        let terminated = at(status, &["state", "terminated"]);
        if terminated.is_some_and(|state| integer(state, &["exitCode"]) == Some(0)) {
            continue;
        }
        if sidecar && flag(status, &["started"]) {
            summary.ready += usize::from(flag(status, &["ready"]));
            continue;
        }
        let waiting = text(status, &["state", "waiting", "reason"]);
        summary.reason = match terminated {
            Some(state) => format!("Init:{}", exit(state)),
            None if !waiting.is_empty() && waiting != "PodInitializing" => format!("Init:{waiting}"),
            None => format!("Init:{index}/{}", specs.len()),
        };
        return true;
    }
    false
}

fn main_containers(pod: &Value, summary: &mut Summary) {
    let mut running = false;
    for status in items(pod, &["status", "containerStatuses"]).iter().rev() {
        summary.add_restarts(status);
        let waiting = text(status, &["state", "waiting", "reason"]);
        if !waiting.is_empty() {
            waiting.clone_into(&mut summary.reason);
        } else if let Some(state) = at(status, &["state", "terminated"]) {
            summary.reason = exit(state);
        } else if flag(status, &["ready"]) && at(status, &["state", "running"]).is_some() {
            running = true;
            summary.ready += 1;
        }
    }
    // One finished container beside running ones does not complete the pod.
    if summary.reason == "Completed" && running {
        let reason = if condition(pod, "Ready") {
            "Running"
        } else {
            "NotReady"
        };
        reason.clone_into(&mut summary.reason);
    }
}

/// Why a container ended.
fn exit(state: &Value) -> String {
    let reason = text(state, &["reason"]);
    match integer(state, &["signal"]).unwrap_or_default() {
        _ if !reason.is_empty() => reason.to_owned(),
        0 => format!("ExitCode:{}", integer(state, &["exitCode"]).unwrap_or_default()),
        signal => format!("Signal:{signal}"),
    }
}

fn readiness_gates(pod: &Value) -> String {
    let gates = items(pod, &["spec", "readinessGates"]);
    if gates.is_empty() {
        return NONE.to_owned();
    }
    let met = gates
        .iter()
        .filter(|gate| condition(pod, text(gate, &["conditionType"])))
        .count();
    format!("{met}/{}", gates.len())
}
