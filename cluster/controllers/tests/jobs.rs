//! Jobs against an API server, as in `workloads`. The test stands in for the node agent.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

#[path = "support/cluster.rs"]
mod support;

use std::time::Duration;

use k8s_openapi::api::batch::v1::{Job, JobStatus};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use support::{controllers, create, eventually};

fn job(name: &str, image: &str, spec: Value) -> Value {
    let mut all = json!({ "template": { "spec": {
        "restartPolicy": "Never", "containers": [{ "name": "c", "image": image }],
    }}});
    for (key, value) in spec.as_object().unwrap() {
        all[key] = value.clone();
    }
    json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": name }, "spec": all })
}

/// Does what a node agent does with a pod that is bound: image `ok` succeeds, `bad` fails, any other runs on.
fn run_pods(client: &Client) -> tokio::task::JoinHandle<()> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), "default");
    tokio::spawn(async move {
        loop {
            for pod in pods.list(&ListParams::default()).await.unwrap() {
                let name = pod.name_any();
                if pod.metadata.deletion_timestamp.is_some() {
                    let now = DeleteParams {
                        grace_period_seconds: Some(0),
                        ..Default::default()
                    };
                    let _ = pods.delete(&name, &now).await;
                    continue;
                }
                let spec = pod.spec.as_ref().unwrap();
                let phase = match spec.containers[0].image.as_deref() {
                    Some("ok") => "Succeeded",
                    Some("bad") => "Failed",
                    _ => "Running",
                };
                let shown = pod.status.as_ref().and_then(|status| status.phase.as_deref());
                if spec.node_name.is_some() && shown != Some(phase) {
                    let status = json!({ "status": { "phase": phase } });
                    let _ = pods
                        .patch_status(&name, &PatchParams::default(), &Patch::Merge(status))
                        .await;
                }
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
}

async fn status(client: &Client, name: &str) -> JobStatus {
    let jobs: Api<Job> = Api::namespaced(client.clone(), "default");
    jobs.get(name).await.unwrap().status.unwrap_or_default()
}

/// The reason of a condition that is true.
fn reason(status: &JobStatus, kind: &str) -> Option<String> {
    let conditions = status.conditions.iter().flatten();
    let condition = conditions
        .into_iter()
        .find(|condition| condition.type_ == kind && condition.status == "True");
    condition.and_then(|condition| condition.reason.clone())
}

async fn ends(client: &Client, name: &str, kind: &str) -> JobStatus {
    eventually(&format!("{name} to be {kind}"), || async {
        let status = status(client, name).await;
        reason(&status, kind).map(|_| status)
    })
    .await
}

async fn pods_of(client: &Client, name: &str) -> Vec<Pod> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), "default");
    let of = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={name}"));
    pods.list(&of).await.unwrap().items
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_pod_is_counted_once_however_often_the_controller_dies() {
    let api = support::api().await;
    let client = api.client();
    let agent = run_pods(&client);
    let jobs: Api<Job> = Api::namespaced(client.clone(), "default");
    create(
        &jobs,
        job("many", "ok", json!({ "completions": 12, "parallelism": 3 })),
    )
    .await;
    let mut lifetime = 1;
    let done = loop {
        let lives = controllers(&client);
        // Dies at another place each time, and lives longer in the end.
        tokio::time::sleep(Duration::from_millis(lifetime)).await;
        lives.stop().await;
        // What it had sent is stored in order: after this, nothing of it is under way. A process that is killed takes
        // the API server with it, and what was under way.
        create::<ConfigMap>(
            &Api::namespaced(client.clone(), "default"),
            json!({ "metadata": { "name": format!("after-{lifetime}") } }),
        )
        .await;
        lifetime += 3;
        let status = status(&client, "many").await;
        if reason(&status, "Complete").is_some() {
            break status;
        }
        assert!(lifetime < 2000, "never completes: {status:?}");
    };
    assert_eq!((done.succeeded, done.failed, done.active), (Some(12), None, None));
    let _controllers = controllers(&client);
    eventually("every pod to be let go", || async {
        let pods = pods_of(&client, "many").await;
        assert_eq!(pods.len(), 12);
        pods.iter().all(|pod| pod.finalizers().is_empty()).then_some(())
    })
    .await;

    jobs.delete("many", &DeleteParams::background()).await.unwrap();
    eventually("the pods to go with their job", || async {
        pods_of(&client, "many").await.is_empty().then_some(())
    })
    .await;
    agent.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_fails_ends_its_pods_and_goes_after_its_time() {
    let api = support::api().await;
    let client = api.client();
    let _controllers = controllers(&client);
    let agent = run_pods(&client);
    let jobs: Api<Job> = Api::namespaced(client.clone(), "default");
    create(&jobs, job("bad", "bad", json!({ "backoffLimit": 0 }))).await;
    let status = ends(&client, "bad", "Failed").await;
    assert_eq!(reason(&status, "Failed").as_deref(), Some("BackoffLimitExceeded"));
    assert_eq!((status.failed, status.succeeded), (Some(1), None));

    create(
        &jobs,
        job(
            "long",
            "run",
            json!({ "activeDeadlineSeconds": 1, "ttlSecondsAfterFinished": 2, "parallelism": 2 }),
        ),
    )
    .await;
    let status = ends(&client, "long", "Failed").await;
    assert_eq!(reason(&status, "Failed").as_deref(), Some("DeadlineExceeded"));
    assert_eq!(status.failed, Some(2));
    eventually("the job and its pods to go", || async {
        let gone = jobs.get_opt("long").await.unwrap().is_none();
        (gone && pods_of(&client, "long").await.is_empty()).then_some(())
    })
    .await;
    assert_eq!(pods_of(&client, "bad").await.len(), 1);
    agent.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_can_be_suspended_numbered_and_left() {
    let api = support::api().await;
    let client = api.client();
    let _controllers = controllers(&client);
    let agent = run_pods(&client);
    let jobs: Api<Job> = Api::namespaced(client.clone(), "default");
    let suspend = |suspend: bool| Patch::Merge(json!({ "spec": { "suspend": suspend } }));
    let params = PatchParams::default();
    create(&jobs, job("rests", "run", json!({}))).await;
    let active = |count: Option<i32>| {
        let client = client.clone();
        eventually("the number of active pods", move || {
            let client = client.clone();
            async move { (status(&client, "rests").await.active == count).then_some(()) }
        })
    };
    active(Some(1)).await;
    jobs.patch("rests", &params, &suspend(true)).await.unwrap();
    active(None).await;
    eventually("the pod to go", || async {
        pods_of(&client, "rests").await.is_empty().then_some(())
    })
    .await;
    let suspended = status(&client, "rests").await;
    assert_eq!(reason(&suspended, "Suspended").as_deref(), Some("JobSuspended"));
    assert_eq!(suspended.failed, None);
    jobs.patch("rests", &params, &suspend(false)).await.unwrap();
    active(Some(1)).await;

    // Orphaned, a pod is let go, so that it can be deleted.
    let orphan = DeleteParams {
        propagation_policy: Some(kube::api::PropagationPolicy::Orphan),
        ..Default::default()
    };
    jobs.delete("rests", &orphan).await.unwrap();
    eventually("the pod to be let go", || async {
        let pods = pods_of(&client, "rests").await;
        let free = |pod: &Pod| pod.finalizers().is_empty() && pod.owner_references().is_empty();
        (pods.len() == 1 && pods.iter().all(free)).then_some(())
    })
    .await;

    let indexed = json!({ "completions": 3, "parallelism": 3, "completionMode": "Indexed" });
    create(&jobs, job("numbered", "ok", indexed)).await;
    let status = ends(&client, "numbered", "Complete").await;
    assert_eq!(
        (status.completed_indexes.as_deref(), status.succeeded),
        (Some("0-2"), Some(3))
    );
    let mut numbers: Vec<String> = pods_of(&client, "numbered")
        .await
        .iter()
        .map(|pod| pod.labels()["batch.kubernetes.io/job-completion-index"].clone())
        .collect();
    numbers.sort();
    assert_eq!(numbers, ["0", "1", "2"]);
    agent.abort();
}
