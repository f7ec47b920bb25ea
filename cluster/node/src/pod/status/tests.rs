use serde_json::{Value, json};

use super::*;
use crate::pod::facts::Ending;

const NOW: i64 = 1000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn pod(spec: Value) -> Pod {
    serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "n", "uid": "u"}, "spec": spec}))
        .unwrap()
}

fn facts(pod: &Pod) -> Facts {
    let mut facts = Facts::new(pod.spec.as_ref().unwrap(), at(1));
    (facts.shim, facts.network, facts.volumes) = (Step::Done, Step::Done, Step::Done);
    facts.ip = Some("10.0.0.2".into());
    facts
}

fn ended(exit_code: i32, attempt: u32) -> Run {
    Run::Ended(Ended {
        exit_code,
        signal: None,
        reason: if exit_code == 0 { "Completed" } else { "Error" }.into(),
        message: None,
        started_at: at(NOW - 5),
        finished_at: at(NOW),
        attempt,
    })
}

fn status(pod: &Pod, facts: &Facts) -> Value {
    let before = pod.status.clone().unwrap_or_default();
    serde_json::to_value(pod_status(pod, &before, facts, "10.0.0.1", at(NOW))).unwrap()
}

fn set(facts: &mut Facts, name: &str, change: impl FnOnce(&mut ContainerFacts)) {
    change(facts.containers.get_mut(name).unwrap());
}

fn condition<'a>(status: &'a Value, kind: &str) -> &'a Value {
    status["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .find(|condition| condition["type"] == kind)
        .unwrap()
}

#[test]
fn the_address_is_shown_before_anything_runs() {
    let pod = pod(json!({"containers": [{"name": "c", "image": "i"}]}));
    let status = status(&pod, &facts(&pod));
    assert_eq!(
        (&status["phase"], &status["podIP"]),
        (&json!("Pending"), &json!("10.0.0.2"))
    );
    assert_eq!(
        status["containerStatuses"][0]["state"],
        json!({"waiting": {"reason": "ContainerCreating"}})
    );
    assert_eq!(condition(&status, "PodReadyToStartContainers")["status"], "True");
    assert_eq!(condition(&status, "Ready")["reason"], "ContainersNotReady");
    assert_eq!(
        condition(&status, "Ready")["message"],
        "containers with unready status: [c]"
    );
}

#[test]
fn phases_follow_the_containers() {
    let running = || Run::Running { since: at(2) };
    let table = [
        ("Always", vec![running(), running()], "Running"),
        ("Always", vec![running(), Run::Waiting], "Pending"),
        ("Always", vec![ended(0, 0), ended(1, 0)], "Running"),
        ("OnFailure", vec![ended(0, 0), ended(0, 0)], "Succeeded"),
        ("OnFailure", vec![ended(0, 0), ended(1, 0)], "Running"),
        ("Never", vec![ended(0, 0), ended(1, 0)], "Failed"),
        ("Never", vec![ended(0, 0), running()], "Running"),
    ];
    for (policy, runs, phase) in table {
        let pod = pod(json!({"restartPolicy": policy, "containers": [{"name": "a"}, {"name": "b"}]}));
        let mut facts = facts(&pod);
        for (name, run) in ["a", "b"].into_iter().zip(runs.clone()) {
            set(&mut facts, name, |known| known.run = run);
        }
        assert_eq!(status(&pod, &facts)["phase"], phase, "{policy} {runs:?}");
    }
}

#[test]
fn a_ready_pod_is_ready_in_all_conditions() {
    let pod = pod(json!({"containers": [{"name": "c", "image": "i"}]}));
    let mut facts = facts(&pod);
    set(&mut facts, "c", |known| {
        known.run = Run::Running { since: at(2) };
        (known.started, known.ready, known.image_id) = (true, true, "i@sha256:1".into());
    });
    let status = status(&pod, &facts);
    for kind in [
        "PodReadyToStartContainers",
        "Initialized",
        "Ready",
        "ContainersReady",
        "PodScheduled",
    ] {
        assert_eq!(condition(&status, kind)["status"], "True", "{kind}");
    }
    assert_eq!(
        status["containerStatuses"][0],
        json!({"name": "c", "image": "i", "imageID": "i@sha256:1", "containerID": "spindrift://u/c.0", "ready": true,
               "started": true, "restartCount": 0, "lastState": {},
               "state": {"running": {"startedAt": "1970-01-01T00:00:02Z"}}})
    );
}

#[test]
fn a_crash_loop_shows_the_last_run_and_the_wait() {
    let pod = pod(json!({"containers": [{"name": "c"}]}));
    let mut facts = facts(&pod);
    set(&mut facts, "c", |known| {
        known.run = ended(1, 0);
        known.starting();
        known.run = ended(2, 1);
    });
    let status = status(&pod, &facts);
    let shown = &status["containerStatuses"][0];
    assert_eq!(
        shown["state"]["waiting"],
        json!({"reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container=c pod=p_n(u)"})
    );
    assert_eq!(shown["lastState"]["terminated"]["exitCode"], 2);
    assert_eq!(
        (&shown["restartCount"], &shown["containerID"]),
        (&json!(1), &json!("spindrift://u/c.1"))
    );
}

#[test]
fn a_failed_pull_becomes_a_back_off() {
    let pod = pod(json!({"containers": [{"name": "c", "image": "i"}]}));
    let mut facts = facts(&pod);
    let reason =
        |facts: &Facts| status(&pod, facts)["containerStatuses"][0]["state"]["waiting"]["reason"].clone();
    set(&mut facts, "c", |known| {
        known.pull_failed("ErrImagePull", "gone".into(), at(NOW))
    });
    assert_eq!(reason(&facts), "ErrImagePull");
    set(&mut facts, "c", |known| {
        known.pull_failed("ErrImagePull", "gone".into(), at(NOW - 5))
    });
    assert_eq!(reason(&facts), "ImagePullBackOff");
    set(&mut facts, "c", |known| {
        known.pull_failed("InvalidImageName", "bad".into(), at(NOW - 5))
    });
    assert_eq!(reason(&facts), "InvalidImageName");
}

#[test]
fn init_containers_hold_the_others_back() {
    let pod = pod(json!({"initContainers": [{"name": "i"}], "containers": [{"name": "c"}]}));
    let mut facts = facts(&pod);
    let before = status(&pod, &facts);
    assert_eq!(
        before["containerStatuses"][0]["state"]["waiting"]["reason"],
        "PodInitializing"
    );
    assert_eq!(
        condition(&before, "Initialized")["message"],
        "containers with incomplete status: [i]"
    );
    set(&mut facts, "i", |known| known.run = ended(0, 0));
    let after = status(&pod, &facts);
    assert_eq!(
        after["containerStatuses"][0]["state"]["waiting"]["reason"],
        "ContainerCreating"
    );
    assert_eq!(condition(&after, "Initialized")["status"], "True");
    assert_eq!(after["initContainerStatuses"][0]["ready"], true);
}

#[test]
fn readiness_gates_are_asked_and_kept() {
    let mut pod =
        pod(json!({"readinessGates": [{"conditionType": "x/gate"}], "containers": [{"name": "c"}]}));
    let mut facts = facts(&pod);
    set(&mut facts, "c", |known| {
        known.run = Run::Running { since: at(2) };
        (known.started, known.ready) = (true, true);
    });
    let before = status(&pod, &facts);
    assert_eq!(condition(&before, "Ready")["reason"], "ReadinessGatesNotReady");
    assert_eq!(condition(&before, "ContainersReady")["status"], "True");
    pod.status =
        serde_json::from_value(json!({"conditions": [{"type": "x/gate", "status": "True"}]})).unwrap();
    let after = status(&pod, &facts);
    assert_eq!(condition(&after, "Ready")["status"], "True");
    assert_eq!(condition(&after, "x/gate")["status"], "True");
}

#[test]
fn transition_times_move_only_with_the_status() {
    let pod = pod(json!({"containers": [{"name": "c"}]}));
    let facts = facts(&pod);
    let first = pod_status(&pod, &PodStatus::default(), &facts, "10.0.0.1", at(5));
    assert_eq!(
        pod_status(&pod, &first, &facts, "10.0.0.1", at(500)),
        first,
        "equal facts give an equal status"
    );
}

#[test]
fn a_premature_end_is_a_failure_with_its_reason() {
    let pod = pod(json!({"containers": [{"name": "c"}]}));
    let mut facts = facts(&pod);
    facts.ending = Some(Ending {
        reason: "DeadlineExceeded",
        message: "too long".into(),
        grace: None,
    });
    let status = status(&pod, &facts);
    assert_eq!(
        (&status["phase"], &status["reason"]),
        (&json!("Failed"), &json!("DeadlineExceeded"))
    );
    assert_eq!(condition(&status, "Ready")["reason"], "PodFailed");
}
