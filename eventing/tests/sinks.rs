//! Job sinks say where they take events in, once their Job can be made.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

#[path = "support/cluster.rs"]
mod cluster;

use cluster::Cluster;
use crds::sinks::JobSink;
use k8s_openapi::api::batch::v1::Job;
use serde_json::{Value, json};

fn spec(restart: &str) -> Value {
    json!({"job": {"spec": {"template": {"spec": {
        "restartPolicy": restart,
        "containers": [{
            "name": "c", "image": "i", "volumeMounts": [{"name": "jobsink-event", "mountPath": "/mine"}],
        }],
    }}}}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_is_ready_when_its_job_can_be_made() {
    let cluster = Cluster::start().await;
    cluster
        .create::<JobSink>(json!({"metadata": {"name": "s"}, "spec": spec("Always")}))
        .await;
    // Nothing serves yet, but what the user has to mend comes first.
    let refused = cluster
        .condition::<JobSink>("s", "Ready", "False", "InvalidJob")
        .await;
    let message = refused.message.unwrap();
    assert!(message.contains("restartPolicy"), "{message}");
    cluster
        .patch::<JobSink>("s", json!({"spec": spec("Never")}))
        .await;
    cluster
        .condition::<JobSink>("s", "Ready", "False", "EndpointSlicesUnavailable")
        .await;
    cluster.open("job-sink").await;
    let sink: JobSink = cluster.ready("s").await;
    let status = sink.status.unwrap();
    assert_eq!(
        status.address.unwrap().url.as_deref(),
        Some("http://job-sink.knative-eventing.svc.cluster.local/default/s")
    );
    assert_eq!(status.job.unwrap().selector, "sinks.knative.dev/job-sink-name=s");
    cluster
        .condition::<JobSink>("s", "EventPoliciesReady", "True", "OIDCDisabled")
        .await;
    assert!(cluster.names_of::<Job>().await.is_empty());
    // The second of two looks changes nothing.
    cluster.settle().await;
    let before = cluster.api.requests().writes();
    cluster
        .patch::<JobSink>("s", json!({"metadata": {"labels": {"a": "b"}}}))
        .await;
    cluster.settle().await;
    assert_eq!(cluster.api.requests().writes(), before + 1);
}
