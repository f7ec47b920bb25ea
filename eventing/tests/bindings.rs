//! Sink bindings reach the workloads they are for, and let go of them.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

#[path = "support/cluster.rs"]
mod cluster;

use cluster::{Cluster, eventually};
use crds::serving::Service as KnativeService;
use crds::sources::{ContainerSource, SinkBinding};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use reconciler::Object;
use serde_json::{Value, json};

const MARK: &str = "eventing.spindrift.dev/sink-binding";

/// A workload with two containers, of which one has a variable of its own.
async fn create_workload<K: Object<Scope = NamespaceResourceScope>>(cluster: &Cluster, name: &str) {
    let pod = json!({
        "initContainers": [{"name": "first", "image": "x"}],
        "containers": [{"name": "main", "image": "x", "env": [{"name": "OWN", "value": "1"}]}],
    });
    cluster
        .create::<K>(json!({
            "metadata": {"name": name, "labels": {"app": name}},
            "spec": {
                "selector": {"matchLabels": {"app": name}}, "serviceName": name,
                "template": {"metadata": {"labels": {"app": name}}, "spec": pod},
            },
        }))
        .await;
}

async fn create_binding(cluster: &Cluster, name: &str, sink: Value, subject: Value) {
    let mut subject = subject;
    subject["namespace"] = json!("default");
    cluster
        .create::<SinkBinding>(
            json!({"metadata": {"name": name}, "spec": {"sink": sink, "subject": subject}}),
        )
        .await;
}

fn deployment(name: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": name})
}

/// The environment of each container, as `NAME=value` in the order in which it is written.
fn environments(workload: &Value) -> Vec<Vec<String>> {
    let pod = &workload["spec"]["template"]["spec"];
    let containers =
        ["initContainers", "containers"].map(|list| pod[list].as_array().cloned().unwrap_or_default());
    let text = |variable: &Value| {
        let value = variable["value"].as_str().unwrap_or_default();
        format!("{}={value}", variable["name"].as_str().unwrap())
    };
    let env = |container: &Value| {
        let env = container["env"].as_array().cloned().unwrap_or_default();
        env.iter().map(text).collect()
    };
    containers.concat().iter().map(env).collect()
}

async fn workload<K: Object<Scope = NamespaceResourceScope>>(cluster: &Cluster, name: &str) -> Value {
    serde_json::to_value(cluster.get::<K>(name).await.unwrap()).unwrap()
}

/// Waits until every container of a workload is told of `sink`, or of none.
async fn told<K: Object<Scope = NamespaceResourceScope>>(
    cluster: &Cluster,
    name: &str,
    sink: Option<&str>,
) -> Value {
    let what = format!("{} {name} to be told of {sink:?}", K::kind(&()));
    eventually(&what, async || {
        let workload = workload::<K>(cluster, name).await;
        let told = |env: &Vec<String>| match sink {
            Some(sink) => {
                env.contains(&format!("K_SINK={sink}")) && env.contains(&"K_CE_OVERRIDES=".to_owned())
            }
            None => !env.iter().any(|variable| variable.starts_with("K_")),
        };
        let marked = workload["metadata"]["annotations"][MARK].is_string() == sink.is_some();
        (marked && environments(&workload).iter().all(told)).then_some(workload)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workload_is_told_of_the_sink_until_the_binding_goes() {
    let cluster = Cluster::start().await;
    create_workload::<Deployment>(&cluster, "web").await;
    let before = environments(&workload::<Deployment>(&cluster, "web").await);
    let sink = json!({"ref": {"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "name": "default"}});
    create_binding(&cluster, "hook", sink, deployment("web")).await;
    cluster
        .condition::<SinkBinding>("hook", "Ready", "False", "NoAddressable")
        .await;
    cluster
        .condition::<SinkBinding>("hook", "SinkProvided", "False", "NotFound")
        .await;
    told::<Deployment>(&cluster, "web", None).await;

    // The sink appears, and moves.
    cluster.create_broker("default", json!({})).await;
    let url = "http://broker-ingress.knative-eventing.svc.cluster.local/default/default";
    let bound = told::<Deployment>(&cluster, "web", Some(url)).await;
    assert_eq!(
        environments(&bound),
        [
            vec![format!("K_SINK={url}"), "K_CE_OVERRIDES=".to_owned()],
            vec![
                "OWN=1".to_owned(),
                format!("K_SINK={url}"),
                "K_CE_OVERRIDES=".to_owned()
            ],
        ]
    );
    let binding: SinkBinding = cluster.ready("hook").await;
    assert_eq!(binding.status.unwrap().sink_uri.as_deref(), Some(url));
    let change = json!({"spec": {"sink": {"ref": null, "uri": "http://other"}}});
    cluster.patch::<SinkBinding>("hook", change).await;
    told::<Deployment>(&cluster, "web", Some("http://other")).await;
    // What somebody takes out comes back.
    let containers = json!([{"name": "main", "image": "x"}]);
    let change = json!({"spec": {"template": {"spec": {"containers": containers}}}});
    cluster.patch::<Deployment>("web", change).await;
    told::<Deployment>(&cluster, "web", Some("http://other")).await;
    let change = json!({"spec": {"template": {"spec": {"containers": [
        {"name": "main", "image": "x", "env": [{"name": "OWN", "value": "1"}]},
    ]}}}});
    cluster.patch::<Deployment>("web", change).await;
    told::<Deployment>(&cluster, "web", Some("http://other")).await;
    cluster.ready::<SinkBinding>("hook").await;
    cluster.settle().await;

    cluster.delete::<SinkBinding>("hook").await;
    let after = told::<Deployment>(&cluster, "web", None).await;
    assert_eq!(environments(&after), before);
    eventually("the binding to be gone", async || {
        cluster.get::<SinkBinding>("hook").await.is_none().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_selector_follows_labels_and_a_changed_subject_lets_go() {
    let cluster = Cluster::start().await;
    create_workload::<Deployment>(&cluster, "one").await;
    create_workload::<Deployment>(&cluster, "two").await;
    create_workload::<StatefulSet>(&cluster, "set").await;
    let subject =
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "selector": {"matchLabels": {"bind": "yes"}}});
    create_binding(&cluster, "hook", json!({"uri": "http://sink"}), subject).await;
    cluster.ready::<SinkBinding>("hook").await;
    let labelled = json!({"metadata": {"labels": {"bind": "yes"}}});
    cluster.patch::<Deployment>("one", labelled.clone()).await;
    told::<Deployment>(&cluster, "one", Some("http://sink")).await;
    told::<Deployment>(&cluster, "two", None).await;
    cluster.patch::<Deployment>("two", labelled).await;
    told::<Deployment>(&cluster, "two", Some("http://sink")).await;
    cluster
        .patch::<Deployment>("one", json!({"metadata": {"labels": {"bind": null}}}))
        .await;
    told::<Deployment>(&cluster, "one", None).await;

    let change = json!({"spec": {"subject": {"kind": "StatefulSet", "name": "set", "selector": null}}});
    cluster.patch::<SinkBinding>("hook", change).await;
    told::<StatefulSet>(&cluster, "set", Some("http://sink")).await;
    told::<Deployment>(&cluster, "two", None).await;
    let binding = eventually("only the present kind to be remembered", async || {
        let binding: SinkBinding = cluster.ready("hook").await;
        let kinds = binding
            .status?
            .annotations?
            .get("eventing.spindrift.dev/bound-kinds")
            .cloned()?;
        (kinds == "apps/v1 StatefulSet").then_some(kinds)
    })
    .await;
    assert_eq!(binding, "apps/v1 StatefulSet");
    cluster.delete::<SinkBinding>("hook").await;
    told::<StatefulSet>(&cluster, "set", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_bound_is_told() {
    let cluster = Cluster::start().await;
    let sink = json!({"uri": "http://sink"});
    create_binding(&cluster, "missing", sink.clone(), deployment("later")).await;
    let told_of = cluster
        .condition::<SinkBinding>("missing", "Ready", "False", "SubjectMissing")
        .await;
    assert_eq!(
        told_of.message.as_deref(),
        Some("deployments.apps \"later\" not found")
    );
    create_workload::<Deployment>(&cluster, "later").await;
    told::<Deployment>(&cluster, "later", Some("http://sink")).await;
    cluster.ready::<SinkBinding>("missing").await;

    // A second one has to wait until the first goes.
    create_binding(
        &cluster,
        "second",
        json!({"uri": "http://second"}),
        deployment("later"),
    )
    .await;
    cluster
        .condition::<SinkBinding>("second", "Ready", "False", "SubjectTaken")
        .await;
    told::<Deployment>(&cluster, "later", Some("http://sink")).await;
    cluster.delete::<SinkBinding>("missing").await;
    told::<Deployment>(&cluster, "later", Some("http://second")).await;
    cluster.ready::<SinkBinding>("second").await;

    // Nobody may change the pods of a Job.
    let pod = json!({"restartPolicy": "Never", "containers": [{"name": "main", "image": "x"}]});
    cluster
        .create::<Job>(json!({"metadata": {"name": "job"}, "spec": {"template": {"spec": pod}}}))
        .await;
    let job = json!({"apiVersion": "batch/v1", "kind": "Job", "name": "job"});
    create_binding(&cluster, "late", sink.clone(), job).await;
    cluster
        .condition::<SinkBinding>("late", "Ready", "False", "SubjectImmutable")
        .await;
    let jobs = json!({"apiVersion": "batch/v1", "kind": "Job", "selector": {}});
    cluster
        .patch::<SinkBinding>(
            "late",
            json!({"spec": {"subject": {"name": null, "selector": jobs["selector"]}}}),
        )
        .await;
    cluster
        .condition::<SinkBinding>("late", "SinkBindingAvailable", "True", "JobsNotBound")
        .await;

    let nothing = json!({"apiVersion": "example.com/v1", "kind": "Thing", "name": "t"});
    create_binding(&cluster, "unknown", sink.clone(), nothing).await;
    cluster
        .condition::<SinkBinding>("unknown", "Ready", "False", "SubjectTrackingFailed")
        .await;
    let map = json!({"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "name": "b"});
    cluster.create_broker("b", json!({})).await;
    create_binding(&cluster, "no-pods", sink, map).await;
    cluster
        .condition::<SinkBinding>("no-pods", "Ready", "False", "SubjectNotPodSpecable")
        .await;
    // All of them can be deleted.
    for name in ["second", "late", "unknown", "no-pods"] {
        cluster.delete::<SinkBinding>(name).await;
    }
    eventually("the bindings to be gone", async || {
        cluster.names_of::<SinkBinding>().await.is_empty().then_some(())
    })
    .await;
    told::<Deployment>(&cluster, "later", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn excluded_workloads_are_left_alone() {
    let cluster = Cluster::start().await;
    create_workload::<Deployment>(&cluster, "web").await;
    create_binding(&cluster, "hook", json!({"uri": "http://sink"}), deployment("web")).await;
    told::<Deployment>(&cluster, "web", Some("http://sink")).await;
    let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
    let label = async |value: Value| {
        let change = Patch::Merge(json!({"metadata": {"labels": {"bindings.knative.dev/exclude": value}}}));
        namespaces
            .patch("default", &PatchParams::default(), &change)
            .await
            .unwrap();
    };
    label(json!("true")).await;
    told::<Deployment>(&cluster, "web", None).await;
    cluster
        .condition::<SinkBinding>("hook", "Ready", "False", "SubjectExcluded")
        .await;
    label(Value::Null).await;
    told::<Deployment>(&cluster, "web", Some("http://sink")).await;
    cluster.ready::<SinkBinding>("hook").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_knative_service_is_bound_too() {
    let cluster = Cluster::start().await;
    cluster.create_addressable("web", None).await;
    let subject = json!({"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": "web"});
    create_binding(&cluster, "hook", json!({"uri": "http://sink"}), subject).await;
    told::<KnativeService>(&cluster, "web", Some("http://sink")).await;
    cluster.ready::<SinkBinding>("hook").await;
    cluster.delete::<SinkBinding>("hook").await;
    told::<KnativeService>(&cluster, "web", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_source_runs_its_containers_when_the_sink_is_known() {
    let cluster = Cluster::start().await;
    let sink = json!({"ref": {"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "name": "default"}});
    let pod = json!({"containers": [{"name": "beat-0", "image": "x", "env": [{"name": "K_SINK", "value": "mine"}]}]});
    cluster
        .create::<ContainerSource>(json!({
            "metadata": {"name": "beat"}, "spec": {"sink": sink, "template": {"spec": pod}},
        }))
        .await;
    cluster
        .condition::<ContainerSource>("beat", "Ready", "False", "NoAddressable")
        .await;
    cluster
        .condition::<ContainerSource>("beat", "ReceiveAdapterReady", "Unknown", "SinkUnknown")
        .await;
    assert!(cluster.names_of::<Deployment>().await.is_empty());
    cluster.create_broker("default", json!({})).await;
    let url = "http://broker-ingress.knative-eventing.svc.cluster.local/default/default";
    eventually("the Deployment", async || {
        cluster.get::<Deployment>("beat-deployment").await
    })
    .await;
    told::<Deployment>(&cluster, "beat-deployment", Some(url)).await;
    cluster
        .condition::<ContainerSource>("beat", "SinkBindingReady", "True", "")
        .await;

    // What the controller of Deployments would say.
    let deployment: Deployment = cluster.get("beat-deployment").await.unwrap();
    let deployments: Api<Deployment> = Api::namespaced(cluster.client.clone(), "default");
    let status = json!({"status": {
        "observedGeneration": deployment.metadata.generation,
        "conditions": [{"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"}],
    }});
    deployments
        .patch_status("beat-deployment", &PatchParams::default(), &Patch::Merge(status))
        .await
        .unwrap();
    let source: ContainerSource = cluster.ready("beat").await;
    assert_eq!(source.status.unwrap().sink_uri.as_deref(), Some(url));
    // Both write into the same Deployment, and neither undoes the other.
    cluster.settle().await;
    let bound = workload::<Deployment>(&cluster, "beat-deployment").await;
    assert_eq!(
        environments(&bound),
        [[format!("K_SINK={url}"), "K_CE_OVERRIDES=".to_owned()]]
    );

    let pod = json!({"containers": [{"name": "beat-0", "image": "y"}]});
    cluster
        .patch::<ContainerSource>("beat", json!({"spec": {"template": {"spec": pod}}}))
        .await;
    eventually("the new image, bound", async || {
        let workload = workload::<Deployment>(&cluster, "beat-deployment").await;
        let image = &workload["spec"]["template"]["spec"]["containers"][0]["image"];
        let bound = environments(&workload) == [[format!("K_SINK={url}"), "K_CE_OVERRIDES=".to_owned()]];
        (image == "y" && bound).then_some(())
    })
    .await;
}
