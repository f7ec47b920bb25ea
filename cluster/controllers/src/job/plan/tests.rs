use k8s_openapi::api::batch::v1::Job;
use serde_json::{Value, json};

use super::*;

/// `12:00:00` plus these seconds.
fn at(seconds: i64) -> Timestamp {
    "2026-01-01T12:00:00Z".parse::<Timestamp>().unwrap() + Duration::from_secs(seconds as u64)
}

fn job(spec: Value, status: Value) -> Job {
    let mut all = json!({ "parallelism": 1, "backoffLimit": 6, "template": { "spec": { "restartPolicy": "Never", "containers": [] } } });
    for (key, value) in spec.as_object().unwrap() {
        all[key] = value.clone();
    }
    serde_json::from_value(json!({ "metadata": { "name": "j", "uid": "u" }, "spec": all, "status": status }))
        .unwrap()
}

fn pod(name: &str, standing: Standing) -> PodFacts {
    PodFacts {
        name: name.into(),
        uid: name.into(),
        resource_version: None,
        finalizers: vec![super::super::TRACKING.into()],
        tracked: true,
        standing,
        terminating: false,
        ready: false,
        restarts: 0,
        index: None,
        created: at(0),
        ended: at(0),
    }
}

fn facts(spec: Value, status: Value, pods: &[PodFacts], now: i64) -> Facts {
    let mut facts = Facts::gather(&job(spec, status), &[], at(now)).unwrap();
    facts.pods = pods.to_vec();
    facts
}

fn names(pods: &[&PodFacts]) -> Vec<String> {
    pods.iter().map(|pod| pod.name.clone()).collect()
}

fn untracked(pod: PodFacts) -> PodFacts {
    PodFacts {
        tracked: false,
        finalizers: Vec::new(),
        ..pod
    }
}

fn is(plan: &Plan, kind: &str) -> Option<String> {
    let conditions = plan.status.conditions.iter().flatten();
    conditions
        .filter(|condition| condition.type_ == kind && condition.status == "True")
        .map(|condition| condition.reason.clone().unwrap())
        .next()
}

/// What `status` becomes when it is stored and read again.
fn stored(plan: &Plan) -> Value {
    serde_json::to_value(&plan.status).unwrap()
}

#[test]
fn so_many_pods_run_as_parallelism_and_completions_allow() {
    use Standing::{Ending, Failed, Live, Succeeded};
    // (spec, what the pods are, to create, to withdraw)
    let table = [
        (json!({ "completions": 1 }), vec![], 1, 0),
        (json!({ "completions": 1 }), vec![Live], 0, 0),
        (json!({ "completions": 5, "parallelism": 3 }), vec![], 3, 0),
        (
            json!({ "completions": 5, "parallelism": 3 }),
            vec![Live, Succeeded],
            2,
            0,
        ),
        (
            json!({ "completions": 2, "parallelism": 3 }),
            vec![Live, Succeeded],
            0,
            0,
        ),
        (
            json!({ "completions": 5, "parallelism": 1 }),
            vec![Live, Live, Live],
            0,
            2,
        ),
        (json!({ "completions": 5, "parallelism": 0 }), vec![], 0, 0),
        // A failure is made up for, but not at once.
        (json!({ "completions": 1 }), vec![Failed], 0, 0),
        // A work queue: any number until one succeeds, no new one after that.
        (json!({ "parallelism": 3 }), vec![Live], 2, 0),
        (json!({ "parallelism": 3 }), vec![Live, Succeeded], 0, 0),
        (
            json!({ "completions": 2, "parallelism": 2, "podReplacementPolicy": "Failed" }),
            vec![Ending],
            1,
            0,
        ),
    ];
    for (spec, pods, create, withdraw) in table {
        let pods: Vec<PodFacts> = pods
            .iter()
            .enumerate()
            .map(|(number, standing)| pod(&number.to_string(), *standing))
            .collect();
        let facts = facts(spec.clone(), json!({}), &pods, 1);
        let plan = plan(&facts);
        assert_eq!(
            (plan.create.len(), plan.withdraw.len()),
            (create, withdraw),
            "{spec} {pods:?}"
        );
        assert_eq!(plan.status.start_time, Some(Time(at(1))));
    }
}

#[test]
fn a_failure_delays_the_next_pod_and_success_ends_the_series() {
    let failed = |name, ended| PodFacts {
        ended: at(ended),
        ..pod(name, Standing::Failed)
    };
    let succeeded = |name, ended| PodFacts {
        ended: at(ended),
        ..pod(name, Standing::Succeeded)
    };
    for (pods, now, waits) in [
        (vec![failed("a", 0)], 3, Some(7)),
        (vec![failed("a", 0)], 10, None),
        (vec![failed("a", 0), failed("b", 10)], 12, Some(18)),
        (
            vec![failed("a", 0), succeeded("b", 5), failed("c", 10)],
            12,
            Some(8),
        ),
        (vec![failed("a", 0), succeeded("b", 5)], 6, None),
    ] {
        let facts = facts(json!({ "completions": 3 }), json!({}), &pods, now);
        let plan = plan(&facts);
        assert_eq!(plan.recheck, waits.map(Duration::from_secs), "{pods:?}");
        assert_eq!(plan.create.is_empty(), waits.is_some(), "{pods:?}");
    }
}

#[test]
fn a_pod_is_counted_once_however_often_one_looks() {
    let spec = json!({ "completions": 2 });
    let ended = pod("a", Standing::Succeeded);
    // Ended: named as uncounted, and let go when that is stored.
    let first = facts(spec.clone(), json!({}), std::slice::from_ref(&ended), 1);
    let one = plan(&first);
    assert_eq!(one.status.succeeded, None);
    assert_eq!(
        stored(&one)["uncountedTerminatedPods"],
        json!({ "succeeded": ["a"] })
    );
    assert_eq!(names(&one.release), ["a"]);
    // Killed before it was let go: the same again, not a second time.
    let again = facts(spec.clone(), stored(&one), std::slice::from_ref(&ended), 2);
    let two = plan(&again);
    assert_eq!(stored(&two), stored(&one));
    assert_eq!(names(&two.release), ["a"]);
    // Let go, or gone: counted.
    for pods in [vec![untracked(ended.clone())], vec![]] {
        let gone = facts(spec.clone(), stored(&one), &pods, 3);
        let three = plan(&gone);
        assert_eq!(three.status.succeeded, Some(1), "{pods:?}");
        assert_eq!(stored(&three)["uncountedTerminatedPods"], json!({}));
        assert!(three.release.is_empty());
        // And never again.
        let later = facts(spec.clone(), stored(&three), &pods, 4);
        assert_eq!(plan(&later).status.succeeded, Some(1));
    }
}

#[test]
fn a_job_is_complete_when_all_pods_are_counted() {
    let spec = json!({ "completions": 1, "ttlSecondsAfterFinished": 5 });
    let first = facts(spec.clone(), json!({}), &[pod("a", Standing::Succeeded)], 1);
    let one = plan(&first);
    assert_eq!(
        is(&one, "SuccessCriteriaMet").as_deref(),
        Some("CompletionsReached")
    );
    assert_eq!(is(&one, "Complete"), None);
    assert!(one.create.is_empty());

    let second = facts(
        spec.clone(),
        stored(&one),
        &[untracked(pod("a", Standing::Succeeded))],
        2,
    );
    let two = plan(&second);
    assert_eq!(is(&two, "Complete").as_deref(), Some("CompletionsReached"));
    assert_eq!(two.status.succeeded, Some(1));
    assert_eq!(two.status.completion_time, Some(Time(at(2))));
    assert_eq!(two.events[0].1, "Completed");

    // It is kept for as long as asked, unchanged, and then goes.
    for (now, left) in [(3, Some(4)), (7, None)] {
        let facts = facts(spec.clone(), stored(&two), &[], now);
        let plan = plan(&facts);
        assert_eq!(
            (plan.recheck, plan.remove),
            (left.map(Duration::from_secs), left.is_none())
        );
        assert_eq!(stored(&plan), stored(&two));
    }
    let forever = facts(json!({ "completions": 1 }), stored(&two), &[], 1_000_000);
    assert!(!plan(&forever).remove);
}

#[test]
fn a_job_fails_for_the_reasons_that_upstream_names() {
    let restarted = |restarts| PodFacts {
        restarts,
        ..pod("a", Standing::Live)
    };
    let on_failure = json!({ "spec": { "restartPolicy": "OnFailure", "containers": [] } });
    let table = [
        (
            json!({ "backoffLimit": 0 }),
            vec![pod("a", Standing::Failed)],
            Some("BackoffLimitExceeded"),
        ),
        (
            json!({ "backoffLimit": 1 }),
            vec![pod("a", Standing::Failed)],
            None,
        ),
        (
            json!({ "backoffLimit": 2, "template": on_failure }),
            vec![restarted(1)],
            None,
        ),
        (
            json!({ "backoffLimit": 2, "template": on_failure }),
            vec![restarted(2)],
            Some("BackoffLimitExceeded"),
        ),
        (
            json!({ "backoffLimit": 0, "template": on_failure }),
            vec![restarted(0)],
            None,
        ),
        (
            json!({ "backoffLimit": 0, "template": on_failure }),
            vec![restarted(1)],
            Some("BackoffLimitExceeded"),
        ),
        (json!({ "backoffLimit": 2 }), vec![restarted(9)], None),
        (
            json!({ "activeDeadlineSeconds": 20 }),
            vec![pod("a", Standing::Live)],
            Some("DeadlineExceeded"),
        ),
        (
            json!({ "activeDeadlineSeconds": 21 }),
            vec![pod("a", Standing::Live)],
            None,
        ),
        (
            json!({ "successPolicy": { "rules": [] } }),
            vec![],
            Some("NotSupported"),
        ),
    ];
    for (mut spec, pods, reason) in table {
        spec["completions"] = json!(3);
        let facts = facts(
            spec.clone(),
            json!({ "startTime": "2026-01-01T12:00:00Z" }),
            &pods,
            20,
        );
        let plan = plan(&facts);
        assert_eq!(is(&plan, "FailureTarget").as_deref(), reason, "{spec} {pods:?}");
        if reason.is_some() {
            let live: Vec<&PodFacts> = facts.live().collect();
            assert_eq!(names(&plan.end), names(&live));
            assert!(plan.create.is_empty());
        }
    }
}

#[test]
fn a_failing_job_waits_for_its_pods_to_end() {
    let spec = json!({ "completions": 2, "backoffLimit": 0, "parallelism": 2 });
    let pods = [pod("a", Standing::Failed), pod("b", Standing::Live)];
    let first = facts(spec.clone(), json!({}), &pods, 1);
    let one = plan(&first);
    assert_eq!(
        (names(&one.end), is(&one, "Failed")),
        (vec!["b".to_owned()], None)
    );
    // The other pod is deleted: it counts as failed, and may take its time to end.
    let ending = PodFacts {
        terminating: true,
        ..pod("b", Standing::Failed)
    };
    let second = facts(spec.clone(), stored(&one), std::slice::from_ref(&ending), 2);
    let two = plan(&second);
    assert_eq!(
        (names(&two.release), is(&two, "Failed")),
        (vec!["b".to_owned()], None)
    );
    let third = facts(spec.clone(), stored(&two), &[untracked(ending)], 3);
    let three = plan(&third);
    assert_eq!((three.status.failed, is(&three, "Failed")), (Some(2), None));
    let fourth = facts(spec, stored(&three), &[], 4);
    let four = plan(&fourth);
    assert_eq!(is(&four, "Failed").as_deref(), Some("BackoffLimitExceeded"));
    assert_eq!(four.status.completion_time, None);
}

#[test]
fn a_suspended_job_has_no_pods_and_starts_anew_when_resumed() {
    let spec = json!({ "completions": 1, "suspend": true, "activeDeadlineSeconds": 10 });
    let first = facts(
        spec.clone(),
        json!({ "startTime": "2026-01-01T12:00:00Z" }),
        &[pod("a", Standing::Live)],
        60,
    );
    let one = plan(&first);
    assert_eq!(names(&one.withdraw), ["a"]);
    assert!(one.end.is_empty() && one.create.is_empty());
    assert_eq!(is(&one, "Suspended").as_deref(), Some("JobSuspended"));
    let resumed = json!({ "completions": 1, "suspend": false, "activeDeadlineSeconds": 10 });
    let second = facts(resumed, stored(&one), &[], 90);
    let two = plan(&second);
    assert_eq!(is(&two, "Suspended"), None);
    assert_eq!(two.status.start_time, Some(Time(at(90))));
    assert_eq!(
        (two.create.len(), two.recheck),
        (1, Some(Duration::from_secs(10)))
    );
}

#[test]
fn indexes_are_completed_one_by_one() {
    let indexed = |name: &str, standing, index| PodFacts {
        index,
        ..pod(name, standing)
    };
    let spec = json!({ "completions": 4, "parallelism": 3, "completionMode": "Indexed" });
    let pods = [
        indexed("a", Standing::Succeeded, Some(0)),
        indexed("b", Standing::Live, Some(1)),
        indexed("b2", Standing::Live, Some(1)),
        indexed("c", Standing::Live, Some(9)),
        indexed("d", Standing::Succeeded, None),
    ];
    let facts = facts(spec, json!({}), &pods, 1);
    let plan = plan(&facts);
    assert_eq!(plan.create, [Some(2), Some(3)]);
    assert_eq!(names(&plan.withdraw), ["b2", "c"]);
    assert_eq!(names(&plan.release), ["a", "d"]);
    assert_eq!(plan.status.completed_indexes.as_deref(), Some("0"));
    assert_eq!(plan.status.succeeded, Some(1));
}
