use serde_json::{Value, json};

use super::*;

/// A pod of these steps, and with what else its status says.
fn pod(phase: &str, steps: &[(&str, Value)], rest: Value) -> Pod {
    let declared: Vec<Value> = steps
        .iter()
        .map(|(name, _)| json!({"name": format!("step-{name}")}))
        .collect();
    let statuses: Vec<Value> = steps
        .iter()
        .map(|(name, state)| container(&format!("step-{name}"), state))
        .collect();
    let mut status = json!({"phase": phase, "containerStatuses": statuses});
    status
        .as_object_mut()
        .unwrap()
        .extend(rest.as_object().cloned().unwrap_or_default());
    serde_json::from_value(json!({"spec": {"containers": declared}, "status": status})).unwrap()
}

fn container(name: &str, state: &Value) -> Value {
    json!({"name": name, "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state})
}

fn ended(code: i32, reason: &str) -> Value {
    json!({"terminated": {"exitCode": code, "reason": reason, "finishedAt": "2026-01-01T00:00:10Z"}})
}

fn told(code: i32, reason: &str) -> Value {
    let message = json!([{"key": "Reason", "value": reason, "type": 3}]).to_string();
    json!({"terminated": {"exitCode": code, "reason": "Error", "message": message}})
}

fn running() -> Value {
    json!({"running": {}})
}

fn waiting(reason: &str, message: &str) -> Value {
    json!({"waiting": {"reason": reason, "message": message}})
}

#[test]
fn ends_are_judged_by_what_explains_most() {
    let none = json!({});
    let init = |name: &str, state: Value| json!({"initContainerStatuses": [container(name, &state)]});
    let crashed_sidecar = json!({"initContainerStatuses": [{
        "name": "sidecar-db", "image": "i", "imageID": "", "ready": false, "restartCount": 1, "state": running(),
        "lastState": {"terminated": {"exitCode": 2, "reason": "Error", "finishedAt": "2026-01-01T00:00:05Z"}},
    }]});
    let stopped_sidecar = init(
        "sidecar-db",
        json!({"terminated": {"exitCode": 143, "reason": "Error", "finishedAt": "2026-01-01T00:00:11Z"}}),
    );
    for (phase, steps, rest, reason, message) in [
        (
            "Failed",
            vec![("a", ended(3, "Error")), ("b", told(1, "Skipped"))],
            none.clone(),
            reasons::STEP_FAILED,
            "\"step-a\" exited with code 3: Error",
        ),
        (
            "Running",
            vec![("a", told(1, "TimeoutExceeded"))],
            none.clone(),
            reasons::STEP_FAILED,
            "\"step-a\" exited because the step exceeded the specified timeout limit",
        ),
        (
            "Running",
            vec![("a", ended(0, "OOMKilled")), ("b", running())],
            none.clone(),
            reasons::STEP_OOM,
            "\"step-a\" exited with code 0: OOMKilled",
        ),
        (
            "Failed",
            vec![("a", ended(1, "Error"))],
            json!({"reason": "Evicted", "message": "The node was low on resource: memory."}),
            reasons::POD_EVICTED,
            "The node was low on resource: memory.",
        ),
        (
            "Failed",
            vec![("a", waiting("PodInitializing", ""))],
            init("prepare", ended(1, "Error")),
            reasons::INIT_CONTAINER_FAILED,
            "\"prepare\" exited with code 1: Error",
        ),
        (
            "Failed",
            vec![("a", waiting("PodInitializing", ""))],
            init("prepare", ended(137, "OOMKilled")),
            reasons::INIT_CONTAINER_OOM,
            "\"prepare\" exited with code 137: OOMKilled",
        ),
        (
            "Running",
            vec![("a", ended(0, "Completed"))],
            crashed_sidecar.clone(),
            reasons::SIDECAR_FAILED,
            "\"sidecar-db\" exited with code 2: Error",
        ),
        (
            "Running",
            vec![("a", told(1, "TaskRunResultLargerThanAllowedLimit"))],
            none.clone(),
            reasons::RESULT_LARGER_THAN_ALLOWED_LIMIT,
            "\"step-a\" exited with code 1: Error: results are above the max allowed size of 1048576 bytes",
        ),
        (
            "Failed",
            vec![("a", running())],
            json!({"reason": "DeadlineExceeded", "message": "Pod was active too long"}),
            reasons::FAILED,
            "Pod was active too long",
        ),
    ] {
        let Progress::Failed(verdict) = progress(&pod(phase, &steps, rest)) else {
            panic!("{reason}: not failed");
        };
        assert_eq!((verdict.reason, verdict.message.as_str()), (reason, message));
        assert!(!verdict.delete_pod);
    }
    for (phase, rest) in [
        ("Succeeded", none.clone()),
        ("Running", none),
        ("Running", stopped_sidecar),
    ] {
        let steps = [("a", ended(0, "Completed"))];
        assert_eq!(progress(&pod(phase, &steps, rest)), Progress::Succeeded);
    }
}

#[test]
fn what_goes_on_says_how_far_it_is() {
    let unschedulable = |message: &str| {
        json!({"conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message},
        ]})
    };
    for (phase, state, rest, reason, message) in [
        (
            "Running",
            running(),
            json!({}),
            reasons::RUNNING,
            "Not all Steps in the Task have finished executing",
        ),
        (
            "Pending",
            waiting("PodInitializing", ""),
            json!({}),
            reasons::PENDING,
            "build step \"step-a\" is pending with reason \"PodInitializing: \"",
        ),
        (
            "Pending",
            waiting("ErrImagePull", "no such host"),
            json!({}),
            reasons::PENDING,
            "build step \"step-a\" is pending with reason \"ErrImagePull: no such host\"",
        ),
        (
            "Pending",
            json!({}),
            unschedulable("0/1 nodes are available: 1 Insufficient cpu."),
            reasons::EXCEEDED_NODE_RESOURCES,
            "TaskRun Pod exceeded available resources",
        ),
        ("Pending", json!({}), json!({}), reasons::PENDING, "Pending"),
    ] {
        let expected = Progress::Unknown {
            reason,
            message: message.to_owned(),
        };
        assert_eq!(progress(&pod(phase, &[("a", state)], rest)), expected);
    }
    assert_eq!(
        progress(&Pod::default()),
        Progress::Unknown {
            reason: reasons::PENDING,
            message: "Pending".to_owned()
        },
        "a pod that nobody has looked at has not ended"
    );
}

#[test]
fn containers_that_will_never_start_fail_the_attempt() {
    for (why, reason, word) in [
        (
            "ImagePullBackOff",
            reasons::TASK_RUN_IMAGE_PULL_FAILED,
            "failed to pull the image \"i\"",
        ),
        (
            "InvalidImageName",
            reasons::TASK_RUN_IMAGE_PULL_FAILED,
            "no such thing",
        ),
        (
            "CreateContainerConfigError",
            reasons::CREATE_CONTAINER_CONFIG_ERROR,
            "no such thing",
        ),
        (
            "CreateContainerError",
            reasons::POD_CREATION_FAILED,
            "no such thing",
        ),
    ] {
        let steps = [("a", running()), ("b", waiting(why, "no such thing"))];
        let Progress::Failed(verdict) = progress(&pod("Pending", &steps, json!({}))) else {
            panic!("{why}: not failed");
        };
        assert_eq!((verdict.reason, verdict.delete_pod), (reason, true));
        assert!(
            verdict.message.contains(word) && verdict.message.contains("\"b\""),
            "{}",
            verdict.message
        );
    }
    let passing = [(
        "a",
        waiting(
            "CreateContainerConfigError",
            "failed to prepare subPath for volumeMount",
        ),
    )];
    assert!(matches!(
        progress(&pod("Pending", &passing, json!({}))),
        Progress::Unknown { .. }
    ));
}

#[test]
fn the_first_step_waits_for_everything_that_is_no_step() {
    let with = |ready: bool, rest: Value| {
        let mut sidecar = container("sidecar-db", &running());
        sidecar["ready"] = json!(ready);
        sidecar
            .as_object_mut()
            .unwrap()
            .extend(rest.as_object().cloned().unwrap());
        pod(
            "Running",
            &[("a", running())],
            json!({"initContainerStatuses": [sidecar]}),
        )
    };
    assert!(may_begin(&with(true, json!({}))));
    assert!(!may_begin(&with(false, json!({}))));
    assert!(may_begin(&with(false, json!({"state": ended(0, "Completed")}))));
    assert!(may_begin(&with(false, json!({"lastState": ended(1, "Error")}))));
    assert!(may_begin(&pod("Running", &[("a", running())], json!({}))));
    assert!(!may_begin(&pod("Pending", &[("a", running())], json!({}))));
}
