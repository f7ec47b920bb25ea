use crds::autoscaling::{PodAutoscaler, PodAutoscalerStatus};
use k8s_openapi::api::apps::v1::{DeploymentCondition, DeploymentSpec, DeploymentStatus};
use k8s_openapi::api::core::v1::{
    ContainerState, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus, PodCondition, PodStatus,
};

use crate::revision::diagnosis::{Cause, Diagnosis, diagnose};
use crate::revision::status::{
    CONTAINER_HEALTHY, RESOURCES_AVAILABLE, name_cause, take_autoscaler, take_deployment,
};
use crate::revision::*;
use crate::test_support::{at, ready};
use ConditionStatus::{False, True, Unknown};

fn deployment(replicas: i32, ready: i32, conditions: &[(&str, &str, &str)]) -> Deployment {
    let conditions = conditions
        .iter()
        .map(|(type_, status, reason)| DeploymentCondition {
            type_: Some((*type_).to_owned()),
            status: Some((*status).to_owned()),
            reason: Some((*reason).to_owned()),
            message: Some("told".to_owned()),
            ..DeploymentCondition::default()
        });
    Deployment {
        spec: DeploymentSpec {
            replicas: Some(replicas),
            ..DeploymentSpec::default()
        },
        status: Some(DeploymentStatus {
            ready_replicas: Some(ready),
            available_replicas: Some(ready),
            conditions: Some(conditions.collect()),
            ..DeploymentStatus::default()
        }),
        ..Deployment::default()
    }
}

fn condition(status: &RevisionStatus, type_: &str) -> (ConditionStatus, String) {
    let found = status.condition(type_).unwrap();
    (found.status, found.reason.clone().unwrap_or_default())
}

fn begun() -> RevisionStatus {
    let mut status = RevisionStatus::default();
    CONDITIONS.begin(&mut status, Some(1), at(0));
    status
}

#[test]
fn deployment_conditions_become_resources_available() {
    /// Type, status and reason of a condition.
    type Told = (&'static str, &'static str, &'static str);
    let table: &[(&str, &[Told], ConditionStatus, &str)] = &[
        ("silent", &[], Unknown, "Deploying"),
        ("progressing", &[("Progressing", "True", "x")], True, ""),
        (
            "late",
            &[("Progressing", "False", "ProgressDeadlineExceeded")],
            False,
            "ProgressDeadlineExceeded",
        ),
        (
            "quota",
            &[
                ("Progressing", "True", "x"),
                ("ReplicaFailure", "True", "FailedCreate"),
            ],
            False,
            "FailedCreate",
        ),
        (
            "healed",
            &[("Progressing", "True", "x"), ("ReplicaFailure", "False", "x")],
            True,
            "",
        ),
    ];
    for (case, conditions, expected, reason) in table {
        let mut status = begun();
        take_deployment(&mut status, &deployment(1, 0, conditions), None, at(1));
        assert_eq!(
            condition(&status, RESOURCES_AVAILABLE),
            (*expected, (*reason).to_owned()),
            "{case}"
        );
    }
    let mut status = begun();
    take_deployment(&mut status, &deployment(1, 1, &[]), None, at(1));
    assert_eq!(condition(&status, CONTAINER_HEALTHY).0, True);
}

fn pod(containers: Vec<ContainerStatus>, scheduled: &str) -> Arc<Pod> {
    Arc::new(Pod {
        status: Some(PodStatus {
            conditions: Some(vec![PodCondition {
                type_: "PodScheduled".to_owned(),
                status: scheduled.to_owned(),
                reason: Some("Unschedulable".to_owned()),
                message: Some("no node".to_owned()),
                ..PodCondition::default()
            }]),
            container_statuses: Some(containers),
            ..PodStatus::default()
        }),
        ..Pod::default()
    })
}

fn exited(name: &str, exit_code: i32, message: Option<&str>) -> ContainerStatus {
    ContainerStatus {
        name: name.to_owned(),
        last_state: Some(ContainerState {
            terminated: Some(ContainerStateTerminated {
                exit_code,
                message: message.map(str::to_owned),
                ..ContainerStateTerminated::default()
            }),
            ..ContainerState::default()
        }),
        ..ContainerStatus::default()
    }
}

fn out_of_memory(said: &str) -> ContainerStatus {
    let mut status = exited("app", 137, Some(said));
    let ended = status
        .last_state
        .as_mut()
        .and_then(|state| state.terminated.as_mut());
    if let Some(ended) = ended {
        ended.reason = Some("OOMKilled".to_owned());
    }
    status
}

fn leaving(pod: Arc<Pod>) -> Arc<Pod> {
    let mut pod = (*pod).clone();
    pod.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(1)));
    Arc::new(pod)
}

fn running(name: &str) -> ContainerStatus {
    ContainerStatus {
        name: name.to_owned(),
        ..ContainerStatus::default()
    }
}

fn pulling(name: &str) -> ContainerStatus {
    waits(name, "ImagePullBackOff")
}

fn init_failed() -> Arc<Pod> {
    let mut failed = (*pod(vec![waits("app", "PodInitializing")], "True")).clone();
    if let Some(status) = &mut failed.status {
        status.init_container_statuses = Some(vec![exited("migrate", 4, Some("no schema"))]);
    }
    Arc::new(failed)
}

fn waits(name: &str, reason: &str) -> ContainerStatus {
    ContainerStatus {
        name: name.to_owned(),
        state: Some(ContainerState {
            waiting: Some(ContainerStateWaiting {
                reason: Some(reason.to_owned()),
                message: Some("no such image".to_owned()),
            }),
            ..ContainerState::default()
        }),
        ..ContainerStatus::default()
    }
}

#[test]
fn pods_show_why_nothing_is_available() {
    let cause = |reason: &str, message: &str| {
        Some(Cause {
            reason: reason.to_owned(),
            message: message.to_owned(),
        })
    };
    let late: &[(&str, &str, &str)] = &[("Progressing", "False", "ProgressDeadlineExceeded")];
    let none = Diagnosis::default();
    let table = [
        (
            "fine",
            pod(vec![], "True"),
            deployment(1, 0, &[]),
            Some(none.clone()),
        ),
        (
            "available",
            pod(vec![exited("app", 1, None)], "True"),
            deployment(1, 1, &[]),
            None,
        ),
        (
            "scaled to zero",
            pod(vec![exited("app", 1, None)], "True"),
            deployment(0, 0, &[]),
            None,
        ),
        (
            "unschedulable",
            pod(vec![], "False"),
            deployment(1, 0, &[]),
            Some(Diagnosis {
                resources: cause("Unschedulable", "no node"),
                ..none.clone()
            }),
        ),
        (
            "crashed",
            pod(
                vec![exited("queue-proxy", 9, None), exited("app", 3, Some("boom"))],
                "True",
            ),
            deployment(1, 0, &[]),
            Some(Diagnosis {
                container: cause("ExitCode3", "Container failed with: boom"),
                ..none.clone()
            }),
        ),
        (
            "ended",
            pod(vec![exited("app", 0, None)], "True"),
            deployment(1, 0, &[]),
            Some(Diagnosis {
                container: cause(
                    "ExitCode0",
                    "Container failed with: container exited with no error",
                ),
                ..none.clone()
            }),
        ),
        (
            "ended with an error, silently",
            pod(vec![exited("app", 2, None)], "True"),
            deployment(1, 0, &[]),
            Some(Diagnosis {
                container: cause(
                    "ExitCode2",
                    "Container failed with: container exited with code 2 and said nothing",
                ),
                ..none.clone()
            }),
        ),
        (
            "took too much memory",
            pod(vec![out_of_memory("loading\n")], "True"),
            deployment(1, 0, &[]),
            Some(Diagnosis {
                container: cause(
                    "ExitCode137",
                    "Container failed with: loading\ncontainer was killed: it used more memory than its limit \
                     (OOMKilled)",
                ),
                ..none.clone()
            }),
        ),
        (
            "crashed before, goes away now",
            leaving(pod(vec![exited("app", 1, None)], "True")),
            deployment(1, 0, &[]),
            None,
        ),
        (
            "pulling",
            pod(vec![pulling("app")], "True"),
            deployment(1, 0, &[]),
            Some(Diagnosis {
                waiting: cause("ImagePullBackOff", "no such image"),
                ..none.clone()
            }),
        ),
        (
            "on its way",
            pod(vec![waits("app", "ContainerCreating")], "True"),
            deployment(1, 0, &[]),
            Some(none.clone()),
        ),
        (
            "init container ends",
            init_failed(),
            deployment(1, 0, &[]),
            Some(Diagnosis {
                container: cause("ExitCode4", "Container failed with: no schema"),
                ..none.clone()
            }),
        ),
        (
            "runs and is never ready",
            pod(
                vec![ContainerStatus {
                    name: "app".into(),
                    ..Default::default()
                }],
                "True",
            ),
            deployment(1, 0, late),
            Some(Diagnosis {
                resources: cause(
                    "ProgressDeadlineExceeded",
                    "told Its containers run, but no readiness probe has succeeded: see their logs, and that the \
                     application listens on the port in $PORT, on all interfaces",
                ),
                ..none.clone()
            }),
        ),
        (
            "pulling for too long",
            pod(vec![pulling("app")], "True"),
            deployment(1, 0, late),
            Some(Diagnosis {
                resources: cause("ImagePullBackOff", "no such image"),
                ..none
            }),
        ),
    ];
    for (case, pod, deployment, expected) in table {
        assert_eq!(diagnose(&deployment, &[pod], false, None), expected, "{case}");
    }
    let unplaced = diagnose(&deployment(1, 0, &[]), &[pod(vec![], "False")], true, None);
    assert_eq!(
        unplaced,
        Some(Diagnosis::default()),
        "a cluster that adds nodes on demand"
    );
}

#[test]
fn diagnosis_overrides_the_deployment() {
    let mut status = begun();
    let cause = Cause {
        reason: "ExitCode1".to_owned(),
        message: "Container failed with: boom".to_owned(),
    };
    let diagnosis = Diagnosis {
        container: Some(cause),
        ..Diagnosis::default()
    };
    take_deployment(
        &mut status,
        &deployment(1, 0, &[("Progressing", "True", "x")]),
        Some(&diagnosis),
        at(1),
    );
    assert_eq!(condition(&status, READY), (False, "ExitCode1".to_owned()));
}

fn autoscaler(
    initialized: bool,
    named: bool,
    condition: Option<crds::conditions::Condition>,
) -> PodAutoscaler {
    let target =
        crds::conditions::Condition::new("ScaleTargetInitialized", if initialized { True } else { Unknown });
    PodAutoscaler {
        status: Some(PodAutoscalerStatus {
            conditions: condition.into_iter().chain([target]).collect(),
            service_name: named.then(|| "svc-00001".to_owned()),
            desired_scale: Some(-1),
            actual_scale: Some(2),
            ..PodAutoscalerStatus::default()
        }),
        ..PodAutoscaler::default()
    }
}

#[test]
fn autoscaler_decides_about_ready_and_active() {
    let (no_traffic, queued) = (ready(False, "NoTraffic", "m"), ready(Unknown, "Queued", "m"));
    let table = [
        (
            "silent",
            autoscaler(false, false, None),
            (Unknown, "Deploying"),
            (Unknown, "Deploying"),
        ),
        (
            "starting",
            autoscaler(false, true, Some(queued)),
            (Unknown, "Deploying"),
            (Unknown, "Queued"),
        ),
        (
            "up",
            autoscaler(true, true, Some(ready(True, "", ""))),
            (True, ""),
            (True, ""),
        ),
        (
            "at zero",
            autoscaler(true, true, Some(no_traffic.clone())),
            (True, ""),
            (False, "NoTraffic"),
        ),
        (
            "never came up",
            autoscaler(false, true, Some(no_traffic)),
            (False, "ProgressDeadlineExceeded"),
            (False, "NoTraffic"),
        ),
        (
            "lost its service",
            autoscaler(true, false, Some(ready(True, "", ""))),
            (Unknown, "Deploying"),
            (True, ""),
        ),
    ];
    for (case, autoscaler, expected_ready, expected_active) in table {
        let mut status = begun();
        take_deployment(
            &mut status,
            &deployment(1, 1, &[("Progressing", "True", "x")]),
            None,
            at(1),
        );
        take_autoscaler(&mut status, &autoscaler, true, None, at(2));
        let owned = |(status, reason): (ConditionStatus, &str)| (status, reason.to_owned());
        assert_eq!(condition(&status, READY), owned(expected_ready), "{case}");
        assert_eq!(condition(&status, "Active"), owned(expected_active), "{case}");
        assert_eq!(
            (status.actual_replicas, status.desired_replicas),
            (Some(2), None),
            "{case}"
        );
    }
}

#[test]
fn failed_resources_are_not_overwritten_by_the_autoscaler() {
    let mut status = begun();
    let failing = deployment(1, 0, &[("ReplicaFailure", "True", "FailedCreate")]);
    take_deployment(&mut status, &failing, None, at(1));
    take_autoscaler(
        &mut status,
        &autoscaler(true, true, Some(ready(True, "", ""))),
        true,
        None,
        at(2),
    );
    assert_eq!(
        condition(&status, RESOURCES_AVAILABLE),
        (False, "FailedCreate".to_owned())
    );
}

/// Pods are gone once the autoscaler has given up; what they showed stays.
#[test]
fn giving_up_keeps_the_cause() {
    let zero = deployment(0, 0, &[("Progressing", "True", "x")]);
    let gave_up = autoscaler(false, true, Some(ready(False, "NoTraffic", "m")));
    let table = [
        (
            Some(ready(False, "ImagePullBackOff", "no such image")),
            "ImagePullBackOff",
        ),
        (Some(ready(Unknown, "Deploying", "")), "ProgressDeadlineExceeded"),
        (None, "ProgressDeadlineExceeded"),
    ];
    for (earlier, expected) in table {
        let mut status = begun();
        take_deployment(&mut status, &zero, None, at(1));
        take_autoscaler(&mut status, &gave_up, false, earlier.as_ref(), at(2));
        name_cause(&mut status, None, at(2));
        assert_eq!(condition(&status, READY), (False, expected.to_owned()));
    }
}

#[test]
fn ready_names_the_end_of_the_application_before_the_deadline() {
    let mut status = begun();
    let late = deployment(1, 0, &[("Progressing", "False", "ProgressDeadlineExceeded")]);
    let diagnosis = diagnose(
        &late,
        &[pod(vec![exited("app", 7, Some("boom"))], "True")],
        false,
        None,
    );
    take_deployment(&mut status, &late, diagnosis.as_ref(), at(1));
    let gave_up = autoscaler(false, true, Some(ready(False, "NoTraffic", "m")));
    let earlier = status.condition(RESOURCES_AVAILABLE).cloned();
    take_deployment(
        &mut status,
        &deployment(0, 0, &[("Progressing", "True", "x")]),
        None,
        at(2),
    );
    take_autoscaler(&mut status, &gave_up, false, earlier.as_ref(), at(2));
    name_cause(&mut status, None, at(2));
    assert_eq!(condition(&status, READY), (False, "ExitCode7".to_owned()));
    assert_eq!(
        condition(&status, RESOURCES_AVAILABLE),
        (False, "ProgressDeadlineExceeded".to_owned())
    );
}

#[test]
fn what_a_pod_waits_for_is_told_before_it_is_a_failure() {
    let mut status = begun();
    let young = deployment(1, 0, &[("Progressing", "True", "x")]);
    let diagnosis = diagnose(&young, &[pod(vec![pulling("app")], "True")], false, None);
    take_deployment(&mut status, &young, diagnosis.as_ref(), at(1));
    take_autoscaler(
        &mut status,
        &autoscaler(false, true, Some(ready(Unknown, "Queued", "m"))),
        true,
        None,
        at(1),
    );
    name_cause(&mut status, diagnosis.as_ref(), at(1));
    assert_eq!(
        condition(&status, READY),
        (Unknown, "ImagePullBackOff".to_owned())
    );
}

#[test]
fn a_probe_that_fails_is_quoted_and_stays_when_its_pods_are_gone() {
    let late = deployment(1, 0, &[("Progressing", "False", "ProgressDeadlineExceeded")]);
    let pods = [pod(vec![running("app")], "True")];
    assert!(diagnosis::unready(&late, &pods).is_some());
    for (case, deployment, pods) in [
        (
            "has time",
            deployment(1, 0, &[("Progressing", "True", "x")]),
            &pods,
        ),
        (
            "has ended",
            late.clone(),
            &[pod(vec![exited("app", 1, None)], "True")],
        ),
        ("cannot start", late.clone(), &[pod(vec![pulling("app")], "True")]),
    ] {
        assert!(diagnosis::unready(&deployment, pods).is_none(), "{case}");
    }
    let diagnosis = diagnose(&late, &pods, false, Some("connection refused at port 8081"));
    let mut status = begun();
    take_deployment(&mut status, &late, diagnosis.as_ref(), at(1));
    let told = |status: &RevisionStatus| status.condition(READY).unwrap().message.clone().unwrap();
    let message = told(&status);
    assert!(
        message.starts_with(
            "told Its containers run, but the readiness probe fails (connection refused at port 8081): "
        ),
        "{message}"
    );
    let zero = deployment(0, 0, &[("Progressing", "False", "ProgressDeadlineExceeded")]);
    take_deployment(&mut status, &zero, None, at(2));
    assert_eq!(told(&status), message);
    let other = deployment(0, 0, &[("ReplicaFailure", "True", "FailedCreate")]);
    take_deployment(&mut status, &other, None, at(3));
    assert_eq!(told(&status), "told");
}

/// Pods were ready once; since then the application ends again and again.
#[test]
fn a_crash_loop_fails_a_revision_that_was_ready() {
    let up = autoscaler(true, true, Some(ready(Unknown, "Queued", "m")));
    let look = |status: &mut RevisionStatus, deployment: &Deployment, pods: &[Arc<Pod>]| {
        let diagnosis = diagnose(deployment, pods, false, None);
        take_deployment(status, deployment, diagnosis.as_ref(), at(1));
        let wanted = diagnosis::wants_pods(deployment);
        take_autoscaler(status, &up, wanted, None, at(1));
        name_cause(status, diagnosis.as_ref(), at(1));
        condition(status, READY)
    };
    let complete: &[(&str, &str, &str)] = &[("Progressing", "True", "NewReplicaSetAvailable")];
    let (runs, crashed) = (
        [pod(vec![running("app")], "True")],
        [pod(vec![exited("app", 1, None)], "True")],
    );
    let mut status = begun();
    let failed = (False, "ExitCode1".to_owned());
    let good = (True, String::new());
    assert_eq!(look(&mut status, &deployment(1, 1, complete), &runs), good);
    assert_eq!(look(&mut status, &deployment(1, 0, complete), &crashed), failed);
    // Another pod takes its place and has not come up yet.
    assert_eq!(look(&mut status, &deployment(1, 0, complete), &runs), failed);
    assert_eq!(look(&mut status, &deployment(1, 1, complete), &crashed), good);
    assert_eq!(look(&mut status, &deployment(1, 0, complete), &crashed), failed);
    // At zero nothing is wanted and nothing is missing.
    assert_eq!(look(&mut status, &deployment(0, 0, complete), &[]), good);
}
