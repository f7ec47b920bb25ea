//! Steps and sidecars as the status shows them.

use crds::tekton::{SidecarState, Step, StepState, TaskRunStatus, TaskSpec, names};
use entrypoint::message::{self, EXIT_CODE, Kind, REASON, Record, STARTED_AT};
use k8s_openapi::api::core::v1::{ContainerState, ContainerStateTerminated, ContainerStatus, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{artifacts, results};

/// Of a step whose failure was let pass.
const CONTINUED: &str = "Continued";
const COMPLETED: &str = "Completed";

/// The status of the container `name`.
pub(super) fn container<'a>(pod: &'a Pod, name: &str) -> Option<&'a ContainerStatus> {
    all(pod).find(|status| status.name == name)
}

/// Every container that has a status, init containers first.
pub(super) fn all(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.iter();
    status.flat_map(|status| {
        let init = status.init_container_statuses.iter();
        init.chain(&status.container_statuses).flatten()
    })
}

/// What a container has told. What is no message of ours tells nothing.
pub(super) fn records(terminated: &ContainerStateTerminated) -> Vec<Record> {
    let message = terminated.message.as_deref().unwrap_or_default();
    message::decode(message).unwrap_or_default()
}

pub(super) fn internal<'a>(records: &'a [Record], key: &str) -> Option<&'a str> {
    let of_key = |record: &&Record| record.kind == Kind::Internal && record.key == key;
    records
        .iter()
        .rev()
        .find(of_key)
        .map(|record| record.value.as_str())
}

/// Shows the containers of `pod` in `status`.
pub(super) fn show(status: &mut TaskRunStatus, task: &TaskSpec, pod: &Pod) {
    let steps = task.steps.iter().enumerate();
    status.steps = steps
        .filter_map(|(index, step)| {
            let container_name = names::step_container(&step.name, index);
            let shown = container(pod, &container_name)?;
            let name = container_name
                .strip_prefix(names::STEP_PREFIX)
                .unwrap_or_default()
                .to_owned();
            Some(step_state(name, shown, step))
        })
        .collect();
    let sidecars = task.sidecars.iter();
    status.sidecars = sidecars
        .filter_map(|sidecar| {
            let shown = container(pod, &names::sidecar_container(&sidecar.name))?;
            let state = shown.state.clone().unwrap_or_default();
            Some(SidecarState {
                waiting: state.waiting,
                running: state.running,
                terminated: state.terminated,
                name: sidecar.name.clone(),
                container: shown.name.clone(),
                image_id: shown.image_id.clone(),
            })
        })
        .collect();
}

fn step_state(name: String, shown: &ContainerStatus, step: &Step) -> StepState {
    let ContainerState {
        waiting,
        running,
        terminated,
    } = shown.state.clone().unwrap_or_default();
    let told = terminated.as_ref().map(records).unwrap_or_default();
    let terminated = terminated.map(|terminated| described(terminated, &told));
    let termination_reason = terminated
        .as_ref()
        .map(|terminated| reason(terminated, &told))
        .unwrap_or_default();
    let made = artifacts::of_step(&told);
    StepState {
        waiting,
        running,
        terminated,
        name,
        container: shown.name.clone(),
        image_id: shown.image_id.clone(),
        results: results::of_step(step, &told),
        termination_reason,
        inputs: made.inputs,
        outputs: made.outputs,
        ..StepState::default()
    }
}

/// The end of a container as that of its step.
fn described(mut terminated: ContainerStateTerminated, told: &[Record]) -> ContainerStateTerminated {
    // All containers start with the pod; the step started when its turn came.
    if let Some(time) = internal(told, STARTED_AT).and_then(|time| time.parse().ok()) {
        terminated.started_at = Some(Time(time));
    }
    if let Some(code) = internal(told, EXIT_CODE).and_then(|code| code.parse().ok()) {
        terminated.exit_code = code;
        terminated.reason = Some(COMPLETED.to_owned());
    }
    if !told.is_empty() {
        let others: Vec<Record> = told
            .iter()
            .filter(|record| record.kind != Kind::Internal)
            .cloned()
            .collect();
        terminated.message = (!others.is_empty())
            .then(|| message::encode(&others))
            // The results are in the status by themselves, and longer ones not twice.
            .filter(|message| message.len() <= message::LIMIT);
    }
    terminated
}

/// The word of the entrypoint, or that a failure was let pass, or the container's own.
fn reason(terminated: &ContainerStateTerminated, told: &[Record]) -> String {
    if let Some(reason) = internal(told, REASON) {
        return reason.to_owned();
    }
    if internal(told, EXIT_CODE).is_some() {
        return CONTINUED.to_owned();
    }
    terminated.reason.clone().unwrap_or_default()
}

/// Ends every step that has not ended: the pod is taken away from under it.
pub(super) fn end(status: &mut TaskRunStatus, why: &str, now: &Time) {
    for step in &mut status.steps {
        if step.terminated.is_some() {
            continue;
        }
        let started_at = step.running.take().and_then(|running| running.started_at);
        step.waiting = None;
        step.terminated = Some(ContainerStateTerminated {
            exit_code: 1,
            reason: Some(why.to_owned()),
            started_at,
            finished_at: Some(now.clone()),
            ..ContainerStateTerminated::default()
        });
        step.termination_reason = why.to_owned();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn shown(state: Value) -> StepState {
        let task: TaskSpec = serde_json::from_value(json!({"steps": [{"name": "s"}]})).unwrap();
        let pod: Pod = serde_json::from_value(json!({"status": {"containerStatuses": [{
            "name": "step-s", "image": "i", "imageID": "i@sha256:1", "ready": false, "restartCount": 0, "state": state,
        }]}}))
        .unwrap();
        let mut status = TaskRunStatus::default();
        show(&mut status, &task, &pod);
        status.steps.remove(0)
    }

    fn ended(code: i32, reason: &str, records: &Value) -> StepState {
        shown(json!({"terminated": {
            "exitCode": code, "reason": reason, "startedAt": "2026-01-01T00:00:00Z", "message": records.to_string(),
        }}))
    }

    #[test]
    fn the_entrypoint_tells_when_the_step_really_began() {
        let step = ended(
            0,
            "Completed",
            &json!([
                {"key": "StartedAt", "value": "2026-01-01T00:00:09.250Z", "type": 3},
                {"key": "r", "value": "v\n", "type": 1},
            ]),
        );
        let terminated = step.terminated.unwrap();
        assert_eq!(
            terminated.started_at.unwrap().0.to_string(),
            "2026-01-01T00:00:09.25Z"
        );
        assert_eq!(
            terminated.message.unwrap(),
            r#"[{"key":"r","value":"v\n","type":1}]"#
        );
        assert_eq!(
            (step.termination_reason.as_str(), step.image_id.as_str()),
            ("Completed", "i@sha256:1")
        );
    }

    #[test]
    fn reasons_have_their_order() {
        let reason = |value: &str| json!([{"key": "Reason", "value": value, "type": 3}]);
        for (code, container, records, expected, shown_code) in [
            (1, "Error", reason("TimeoutExceeded"), "TimeoutExceeded", 1),
            (1, "Error", reason("Skipped"), "Skipped", 1),
            (
                0,
                "Completed",
                json!([{"key": "ExitCode", "value": "7", "type": 3}]),
                "Continued",
                7,
            ),
            (3, "Error", json!([]), "Error", 3),
            (137, "OOMKilled", json!("not ours"), "OOMKilled", 137),
        ] {
            let step = ended(code, container, &records);
            assert_eq!(step.termination_reason, expected);
            assert_eq!(step.terminated.unwrap().exit_code, shown_code);
        }
    }

    #[test]
    fn steps_of_a_pod_that_is_taken_away_have_ended() {
        let now = Time("2026-01-01T00:01:00Z".parse().unwrap());
        let mut status = TaskRunStatus {
            steps: vec![
                ended(0, "Completed", &json!([])),
                shown(json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}})),
                shown(json!({"waiting": {"reason": "PodInitializing"}})),
            ],
            ..TaskRunStatus::default()
        };
        end(&mut status, "TaskRunCancelled", &now);
        let ends: Vec<_> = status
            .steps
            .iter()
            .map(|step| {
                (
                    step.terminated.as_ref().unwrap().exit_code,
                    step.termination_reason.as_str(),
                )
            })
            .collect();
        assert_eq!(
            ends,
            [(0, "Completed"), (1, "TaskRunCancelled"), (1, "TaskRunCancelled")]
        );
        assert!(
            status
                .steps
                .iter()
                .all(|step| step.running.is_none() && step.waiting.is_none())
        );
    }
}
