use serde_json::{Value, json};

use super::*;
use crate::pod::facts::{ContainerFacts, Stopping};

const NOW: i64 = 10_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn pod(spec: Value) -> Pod {
    serde_json::from_value(json!({"metadata": {"name": "p", "uid": "u"}, "spec": spec})).unwrap()
}

fn deleted(mut pod: Pod, grace: i64) -> Pod {
    pod.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
    pod.metadata.deletion_grace_period_seconds = Some(grace);
    pod
}

/// Facts of a pod whose sandbox stands and whose images are here.
fn ready(pod: &Pod) -> Facts {
    let mut facts = Facts::new(pod.spec.as_ref().unwrap(), at(NOW));
    (facts.shim, facts.network, facts.volumes) = (Step::Done, Step::Done, Step::Done);
    for known in facts.containers.values_mut() {
        known.image = ImageFacts::Ready;
    }
    facts
}

fn ended(exit_code: i32, finished: i64) -> Run {
    Run::Ended(Ended {
        exit_code,
        signal: None,
        reason: "Error".into(),
        message: None,
        started_at: at(finished - 1),
        finished_at: at(finished),
        attempt: 0,
    })
}

fn known<'a>(facts: &'a mut Facts, name: &str) -> &'a mut ContainerFacts {
    facts.containers.get_mut(name).unwrap()
}

fn run_of(facts: &mut Facts, name: &str, run: Run) {
    known(facts, name).run = run;
}

fn actions(pod: &Pod, facts: &Facts) -> Vec<String> {
    next_actions(pod, facts, at(NOW))
        .actions
        .iter()
        .map(|action| format!("{action:?}"))
        .collect()
}

fn two() -> Pod {
    pod(json!({"containers": [{"name": "a"}, {"name": "b"}]}))
}

const RUNNING: Run = Run::Running {
    since: Timestamp::UNIX_EPOCH,
};

#[test]
fn a_new_pod_gets_its_sandbox_and_images_at_once() {
    let pod = two();
    let mut facts = Facts::new(pod.spec.as_ref().unwrap(), at(NOW));
    assert_eq!(
        actions(&pod, &facts),
        ["StartShim", "PullImage(\"a\")", "PullImage(\"b\")"]
    );
    facts.shim = Step::Done;
    known(&mut facts, "a").image = ImageFacts::Ready;
    known(&mut facts, "b").image = ImageFacts::Pulling;
    assert_eq!(actions(&pod, &facts), ["AttachNetwork"]);
    facts.network = Step::Done;
    assert_eq!(actions(&pod, &facts), ["MountVolumes"]);
    facts.volumes = Step::Done;
    // One that waits for its image does not hold the other one back.
    assert_eq!(actions(&pod, &facts), ["Start(\"a\")"]);
}

#[test]
fn nothing_is_begun_twice() {
    let pod = two();
    let mut facts = Facts::new(pod.spec.as_ref().unwrap(), at(NOW));
    facts.shim = Step::Running;
    for name in ["a", "b"] {
        known(&mut facts, name).image = ImageFacts::Pulling;
    }
    assert!(actions(&pod, &facts).is_empty());
    let mut facts = ready(&pod);
    run_of(&mut facts, "a", Run::Starting);
    run_of(&mut facts, "b", RUNNING);
    assert_eq!(next_actions(&pod, &facts, at(NOW)), Decision::default());
}

#[test]
fn failed_steps_and_pulls_wait_for_their_time() {
    let pod = pod(json!({"containers": [{"name": "a"}]}));
    let mut facts = ready(&pod);
    facts.volumes = Step::failed("no".into(), at(NOW));
    let decision = next_actions(&pod, &facts, at(NOW));
    assert_eq!((decision.actions.len(), decision.wake_at), (0, Some(at(NOW + 2))));
    assert_eq!(
        next_actions(&pod, &facts, at(NOW + 2)).actions,
        [Action::MountVolumes]
    );

    let mut facts = ready(&pod);
    known(&mut facts, "a").pull_failed("ErrImagePull", "no".into(), at(NOW));
    let decision = next_actions(&pod, &facts, at(NOW));
    assert_eq!(
        (decision.actions.len(), decision.wake_at),
        (0, Some(at(NOW + 2))),
        "the status changes then"
    );
    assert_eq!(
        next_actions(&pod, &facts, at(NOW + 3)).wake_at,
        Some(at(NOW + 10))
    );
    assert_eq!(
        next_actions(&pod, &facts, at(NOW + 10)).actions,
        [Action::PullImage("a".into())]
    );
}

#[test]
fn restarts_follow_the_policy_and_the_back_off() {
    let table = [
        ("Always", 0, true),
        ("Always", 1, true),
        ("OnFailure", 0, false),
        ("OnFailure", 1, true),
        ("Never", 0, false),
        ("Never", 1, false),
    ];
    for (policy, code, restarts) in table {
        let pod = pod(json!({"restartPolicy": policy, "containers": [{"name": "a"}]}));
        let mut facts = ready(&pod);
        run_of(&mut facts, "a", ended(code, NOW));
        let wanted = if restarts {
            vec!["Start(\"a\")"]
        } else {
            vec!["Teardown"]
        };
        assert_eq!(actions(&pod, &facts), wanted, "{policy} {code}");
    }
    let pod = pod(json!({"containers": [{"name": "a"}]}));
    let mut facts = ready(&pod);
    run_of(&mut facts, "a", ended(1, NOW));
    known(&mut facts, "a").starting();
    run_of(&mut facts, "a", ended(1, NOW));
    let decision = next_actions(&pod, &facts, at(NOW));
    assert_eq!(
        (decision.actions.len(), decision.wake_at),
        (0, Some(at(NOW + 10)))
    );
    assert_eq!(
        next_actions(&pod, &facts, at(NOW + 10)).actions,
        [Action::Start("a".into())]
    );
}

#[test]
fn a_container_that_cannot_be_configured_is_tried_again_without_counting() {
    let pod = pod(json!({"containers": [{"name": "a"}]}));
    let mut facts = ready(&pod);
    known(&mut facts, "a").starting();
    known(&mut facts, "a").not_configured("CreateContainerConfigError", "no".into(), at(NOW));
    assert_eq!(
        (known(&mut facts, "a").attempt, &known(&mut facts, "a").run),
        (0, &Run::Waiting)
    );
    assert!(actions(&pod, &facts).is_empty());
    assert_eq!(
        next_actions(&pod, &facts, at(NOW + 1)).actions,
        [Action::Start("a".into())]
    );
    // The same for a restart: the run before it is what is known.
    run_of(&mut facts, "a", ended(1, NOW));
    known(&mut facts, "a").starting();
    known(&mut facts, "a").not_configured("CreateContainerConfigError", "no".into(), at(NOW));
    assert_eq!(known(&mut facts, "a").attempt, 0);
    assert!(known(&mut facts, "a").ended().is_some());
}

#[test]
fn init_containers_run_one_after_the_other() {
    let pod = pod(json!({"initContainers": [{"name": "i1"}, {"name": "i2"}], "containers": [{"name": "a"}]}));
    let mut facts = ready(&pod);
    assert_eq!(actions(&pod, &facts), ["Start(\"i1\")"]);
    run_of(&mut facts, "i1", RUNNING);
    assert!(actions(&pod, &facts).is_empty());
    run_of(&mut facts, "i1", ended(0, NOW));
    assert_eq!(actions(&pod, &facts), ["Start(\"i2\")"]);
    run_of(&mut facts, "i2", ended(1, NOW));
    assert_eq!(
        actions(&pod, &facts),
        ["Start(\"i2\")"],
        "a failed one runs again"
    );
    run_of(&mut facts, "i2", ended(0, NOW));
    assert_eq!(actions(&pod, &facts), ["Start(\"a\")"]);
    run_of(&mut facts, "a", RUNNING);
    assert!(actions(&pod, &facts).is_empty());
}

#[test]
fn a_failed_init_container_ends_a_pod_that_never_restarts() {
    let pod = pod(
        json!({"restartPolicy": "Never", "initContainers": [{"name": "i"}], "containers": [{"name": "a"}]}),
    );
    let mut facts = ready(&pod);
    run_of(&mut facts, "i", ended(1, NOW));
    assert_eq!(actions(&pod, &facts), ["Teardown"]);
}

#[test]
fn sidecars_start_first_and_stop_last() {
    let pod = pod(json!({"restartPolicy": "Never",
        "initContainers": [{"name": "s", "restartPolicy": "Always"}], "containers": [{"name": "a"}]}));
    let mut facts = ready(&pod);
    assert_eq!(actions(&pod, &facts), ["Start(\"s\")"]);
    run_of(&mut facts, "s", RUNNING);
    assert!(
        actions(&pod, &facts).is_empty(),
        "its startup probe has not passed"
    );
    known(&mut facts, "s").started = true;
    assert_eq!(actions(&pod, &facts), ["Start(\"a\")"]);
    run_of(&mut facts, "a", RUNNING);
    assert_eq!(actions(&deleted(pod.clone(), 5), &facts), ["Stop(\"a\", 5)"]);
    run_of(&mut facts, "a", ended(0, NOW));
    assert_eq!(actions(&pod, &facts), ["Stop(\"s\", 30)"], "the work is done");
    run_of(&mut facts, "s", ended(0, NOW));
    assert_eq!(actions(&pod, &facts), ["Teardown"]);
}

#[test]
fn deletion_stops_tears_down_and_confirms() {
    let pod = deleted(two(), 30);
    let mut facts = ready(&pod);
    run_of(&mut facts, "a", RUNNING);
    run_of(&mut facts, "b", RUNNING);
    assert_eq!(actions(&pod, &facts), ["Stop(\"a\", 30)", "Stop(\"b\", 30)"]);
    for name in ["a", "b"] {
        known(&mut facts, name).stopping = Some(Stopping { grace: 30 });
    }
    assert!(actions(&pod, &facts).is_empty());
    let forced = deleted(two(), 0);
    assert_eq!(
        actions(&forced, &facts),
        ["Stop(\"a\", 0)", "Stop(\"b\", 0)"],
        "a shorter grace period counts"
    );
    run_of(&mut facts, "a", ended(143, NOW));
    run_of(&mut facts, "b", ended(137, NOW));
    assert_eq!(actions(&pod, &facts), ["Teardown"]);
    facts.teardown = Step::Running;
    assert!(actions(&pod, &facts).is_empty());
    facts.teardown = Step::Done;
    assert_eq!(actions(&pod, &facts), ["ConfirmDeletion"]);
    facts.confirmation = Step::Running;
    assert!(actions(&pod, &facts).is_empty());
}

#[test]
fn a_deletion_waits_for_what_is_under_way() {
    let pod = deleted(two(), 30);
    let mut facts = ready(&pod);
    facts.volumes = Step::Running;
    assert!(actions(&pod, &facts).is_empty());
    facts.volumes = Step::Done;
    run_of(&mut facts, "a", Run::Starting);
    assert!(actions(&pod, &facts).is_empty());
    run_of(&mut facts, "a", RUNNING);
    assert_eq!(actions(&pod, &facts), ["Stop(\"a\", 30)"]);
}

#[test]
fn an_unhealthy_container_is_stopped_once() {
    let pod = two();
    let mut facts = ready(&pod);
    run_of(&mut facts, "a", RUNNING);
    run_of(&mut facts, "b", RUNNING);
    known(&mut facts, "a").restart_wanted = Some(Some(7));
    assert_eq!(actions(&pod, &facts), ["Stop(\"a\", 7)"]);
    known(&mut facts, "a").stopping = Some(Stopping { grace: 7 });
    assert!(actions(&pod, &facts).is_empty());
    known(&mut facts, "b").restart_wanted = Some(None);
    assert_eq!(
        actions(&pod, &facts),
        ["Stop(\"b\", 30)"],
        "the pod's own grace period"
    );
}

#[test]
fn a_pod_past_its_deadline_ends() {
    let pod = pod(json!({"activeDeadlineSeconds": 60, "containers": [{"name": "a"}]}));
    let mut facts = ready(&pod);
    run_of(&mut facts, "a", RUNNING);
    assert_eq!(next_actions(&pod, &facts, at(NOW)).wake_at, Some(at(NOW + 60)));
    let decision = next_actions(&pod, &facts, at(NOW + 60));
    let [Action::End(ending)] = decision.actions.as_slice() else {
        panic!("{decision:?}")
    };
    facts.ending = Some(ending.clone());
    assert_eq!(
        next_actions(&pod, &facts, at(NOW + 60)).actions,
        [Action::Stop("a".into(), 30)]
    );
}

#[test]
fn an_evicted_pod_ends_at_once_unless_it_has_ended() {
    let pod = pod(json!({"restartPolicy": "Never", "containers": [{"name": "a"}]}));
    let mut facts = ready(&pod);
    run_of(&mut facts, "a", RUNNING);
    facts.evicted = Some("the disk is full".into());
    let decision = next_actions(&pod, &facts, at(NOW));
    let [Action::End(ending)] = decision.actions.as_slice() else {
        panic!("{decision:?}")
    };
    assert_eq!(
        (ending.reason, ending.message.as_str()),
        ("Evicted", "the disk is full")
    );
    facts.ending = Some(ending.clone());
    assert_eq!(actions(&pod, &facts), ["Stop(\"a\", 0)"]);
    facts.ending = None;
    run_of(&mut facts, "a", ended(0, NOW));
    assert_eq!(actions(&pod, &facts), ["Teardown"]);
}

#[test]
fn a_lost_sandbox_is_built_again_with_its_init_containers() {
    let pod = pod(json!({"initContainers": [{"name": "i"}], "containers": [{"name": "a"}]}));
    let mut facts = ready(&pod);
    run_of(&mut facts, "i", ended(0, NOW));
    run_of(&mut facts, "a", RUNNING);
    facts.sandbox_lost(pod.spec.as_ref().unwrap(), at(NOW));
    assert_eq!(actions(&pod, &facts), ["StartShim"]);
    (facts.shim, facts.network, facts.volumes) = (Step::Done, Step::Done, Step::Done);
    assert_eq!(actions(&pod, &facts), ["Start(\"i\")"]);
    assert_eq!(known(&mut facts, "i").attempt, 1);
    run_of(&mut facts, "i", ended(0, NOW));
    assert_eq!(actions(&pod, &facts), ["Start(\"a\")"]);
    assert_eq!(known(&mut facts, "a").ended().unwrap().exit_code, 137);
}
