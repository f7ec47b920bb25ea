//! The controllers against an API server: the embedded one, or a real one (see `test-api`), which then has no other
//! controllers than these. The test stands in for the node agent.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

#[path = "support/cluster.rs"]
mod support;

use std::time::Duration;

use cluster_controllers::Controllers;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{ConfigMap, Endpoints, Event, Namespace, Pod, Service, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use support::{create, eventually};
use test_api::TestApi;

struct Cluster {
    client: Client,
    _controllers: Controllers,
    api: TestApi,
}

async fn cluster() -> Cluster {
    let api = support::api().await;
    let client = api.client();
    Cluster {
        _controllers: support::controllers(&client),
        client,
        api,
    }
}

fn deployment(name: &str, replicas: i32, image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": name },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": name } },
            "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": 0, "maxSurge": 1 } },
            "revisionHistoryLimit": 0,
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": [{ "name": "c", "image": image, "ports": [{ "name": "web", "containerPort": 8080 }] }] },
            },
        },
    })
}

/// Does what a node agent does with a pod that is bound: runs it, and confirms its deletion.
async fn run_pods(client: &Client) -> tokio::task::JoinHandle<()> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), "default");
    tokio::spawn(async move {
        loop {
            for pod in pods.list(&ListParams::default()).await.unwrap() {
                let name = pod.name_any();
                let bound = pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
                if pod.metadata.deletion_timestamp.is_some() {
                    let _ = pods
                        .delete(
                            &name,
                            &DeleteParams {
                                grace_period_seconds: Some(0),
                                ..Default::default()
                            },
                        )
                        .await;
                } else if bound && pod.status.as_ref().and_then(|s| s.pod_ip.as_ref()).is_none() {
                    let last = name.bytes().map(u32::from).sum::<u32>() % 250;
                    let status = json!({ "status": {
                        "phase": "Running", "podIP": format!("10.1.0.{last}"),
                        "conditions": [{ "type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z" }],
                    }});
                    let _ = pods
                        .patch_status(&name, &PatchParams::default(), &Patch::Merge(status))
                        .await;
                }
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_runs_rolls_scales_and_leaves_nothing_behind() {
    let cluster = cluster().await;
    let client = &cluster.client;
    let agent = run_pods(client).await;
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), "default");
    let sets: Api<ReplicaSet> = Api::namespaced(client.clone(), "default");
    let pods: Api<Pod> = Api::namespaced(client.clone(), "default");
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), "default");

    create::<Service>(
        &Api::namespaced(client.clone(), "default"),
        json!({ "metadata": { "name": "web" }, "spec": { "selector": { "app": "web" }, "ports": [{ "port": 80, "targetPort": "web" }] } }),
    )
    .await;
    create(&deployments, deployment("web", 2, "a:1")).await;
    eventually("two available replicas", || async {
        let status = deployments.get("web").await.unwrap().status?;
        (status.available_replicas == Some(2)).then_some(())
    })
    .await;
    let events: Api<Event> = Api::namespaced(client.clone(), "default");
    eventually("the events of a rollout", || async {
        let told = events.list(&ListParams::default()).await.unwrap().items;
        let tells = |kind: &str, reason: &str, start: &str, end: &str| {
            told.iter().any(|event| {
                let message = event.message.as_deref().unwrap_or_default();
                event.involved_object.kind.as_deref() == Some(kind)
                    && event.reason.as_deref() == Some(reason)
                    && message.starts_with(start)
                    && message.ends_with(end)
            })
        };
        let scaled = tells(
            "Deployment",
            "ScalingReplicaSet",
            "Scaled up replica set web-",
            " from 0 to 2",
        );
        let created = tells("ReplicaSet", "SuccessfulCreate", "Created pod: web-", "");
        let placed = tells("Pod", "Scheduled", "Successfully assigned default/web-", " to n");
        (scaled && created && placed).then_some(())
    })
    .await;
    let endpoints = || async {
        let list = slices
            .list(&ListParams::default().labels("kubernetes.io/service-name=web"))
            .await
            .unwrap();
        let slice = list.items.first()?.clone();
        let ready = slice
            .endpoints
            .iter()
            .flatten()
            .filter(|e| e.conditions.as_ref().unwrap().ready == Some(true));
        Some((ready.count(), slice.ports.iter().flatten().next()?.port))
    };
    eventually("two ready endpoints", || async {
        endpoints().await.filter(|found| *found == (2, Some(8080)))
    })
    .await;
    let old = Api::<Endpoints>::namespaced(client.clone(), "default");
    eventually("Endpoints with two addresses", || async {
        let subsets = old.get_opt("web").await.unwrap()?.subsets?;
        (subsets.first()?.addresses.as_ref()?.len() == 2).then_some(())
    })
    .await;

    // A new template replaces every pod; the old set goes, as no history is kept.
    deployments
        .patch(
            "web",
            &PatchParams::default(),
            &Patch::Merge(deployment("web", 2, "a:2")),
        )
        .await
        .unwrap();
    eventually("the rollout", || async {
        let deployment = deployments.get("web").await.unwrap();
        let status = deployment.status?;
        let done = status.observed_generation == deployment.metadata.generation
            && status.updated_replicas == Some(2)
            && status.available_replicas == Some(2)
            && status.replicas == Some(2);
        (done && sets.list(&ListParams::default()).await.unwrap().items.len() == 1).then_some(())
    })
    .await;
    let images: Vec<_> = pods
        .list(&ListParams::default())
        .await
        .unwrap()
        .into_iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
        .map(|pod| pod.spec.unwrap().containers[0].image.clone().unwrap())
        .collect();
    assert_eq!(images, ["a:2", "a:2"]);

    // Quiet: nothing is written while nothing changes.
    eventually("the Deployment to come to rest", async || {
        let before = deployments.get("web").await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        let now = deployments.get("web").await.unwrap();
        (before.resource_version() == now.resource_version()).then_some(())
    })
    .await;
    let before = deployments.get("web").await.unwrap();
    deployments
        .patch_scale(
            "web",
            &PatchParams::default(),
            &Patch::Merge(json!({ "spec": { "replicas": 2 } })),
        )
        .await
        .unwrap();
    let after = deployments.get("web").await.unwrap();
    assert_eq!(after.status, before.status);
    // A real server stores a new version for the managed fields of the scale all the same.
    assert_eq!(after.metadata.generation, before.metadata.generation);

    deployments
        .patch_scale(
            "web",
            &PatchParams::default(),
            &Patch::Merge(json!({ "spec": { "replicas": 0 } })),
        )
        .await
        .unwrap();
    eventually("no pods", || async {
        pods.list(&ListParams::default())
            .await
            .unwrap()
            .items
            .is_empty()
            .then_some(())
    })
    .await;
    eventually("zero in the status", || async {
        let status = deployments.get("web").await.unwrap().status?;
        (status.replicas.unwrap_or(0) == 0 && status.available_replicas.unwrap_or(0) == 0).then_some(())
    })
    .await;

    deployments
        .delete("web", &DeleteParams::background())
        .await
        .unwrap();
    eventually("the sets to be collected", || async {
        sets.list(&ListParams::default())
            .await
            .unwrap()
            .items
            .is_empty()
            .then_some(())
    })
    .await;
    agent.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_fits_nowhere_says_why() {
    let cluster = cluster().await;
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), "default");
    let resources = json!({ "requests": { "cpu": "64" } });
    create(&pods, json!({ "metadata": { "name": "big" }, "spec": { "containers": [{ "name": "c", "image": "i", "resources": resources }] } })).await;
    let condition = eventually("an Unschedulable condition", || async {
        let conditions = pods.get("big").await.unwrap().status?.conditions?;
        conditions
            .into_iter()
            .find(|c| c.type_ == "PodScheduled" && c.status == "False")
    })
    .await;
    assert_eq!(
        condition.message.as_deref(),
        Some("0/1 nodes are available: 1 Insufficient cpu.")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_gets_its_basics_and_is_emptied_when_it_goes() {
    let cluster = cluster().await;
    let client = &cluster.client;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    create(&namespaces, json!({ "metadata": { "name": "team" } })).await;
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "team");
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "team");
    eventually("the default account", || async {
        accounts.get_opt("default").await.unwrap()
    })
    .await;
    let root = eventually("the root certificate", || async {
        maps.get_opt("kube-root-ca.crt").await.unwrap()
    })
    .await;
    assert_eq!(root.data.unwrap()["ca.crt"], "PEM");
    accounts
        .delete("default", &DeleteParams::default())
        .await
        .unwrap();
    eventually("the default account again", || async {
        accounts.get_opt("default").await.unwrap()
    })
    .await;

    create(
        &maps,
        json!({ "metadata": { "name": "mine" }, "data": { "a": "b" } }),
    )
    .await;
    namespaces.delete("team", &DeleteParams::default()).await.unwrap();
    eventually("the namespace to go", || async {
        namespaces.get_opt("team").await.unwrap().is_none().then_some(())
    })
    .await;
    assert!(maps.list(&ListParams::default()).await.unwrap().items.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn owners_take_their_dependents_along_or_leave_them() {
    let cluster = cluster().await;
    let maps: Api<ConfigMap> = Api::namespaced(cluster.client.clone(), "default");
    let child = |name: &str, owner: &ConfigMap| {
        json!({ "metadata": { "name": name, "ownerReferences": [{
            "apiVersion": "v1", "kind": "ConfigMap", "name": owner.name_any(), "uid": owner.uid(), "blockOwnerDeletion": true }] } })
    };
    let gone = |name: &'static str| {
        let maps = maps.clone();
        async move {
            eventually(name, || async {
                maps.get_opt(name).await.unwrap().is_none().then_some(())
            })
            .await
        }
    };
    for (owner, policy) in [
        ("back", DeleteParams::background()),
        ("front", DeleteParams::foreground()),
    ] {
        let stored = create(&maps, json!({ "metadata": { "name": owner } })).await;
        create(&maps, child("kid", &stored)).await;
        maps.delete(owner, &policy).await.unwrap();
        gone("kid").await;
        gone(if owner == "back" { "back" } else { "front" }).await;
    }
    let stored = create(&maps, json!({ "metadata": { "name": "free" } })).await;
    create(&maps, child("orphan", &stored)).await;
    maps.delete("free", &DeleteParams::orphan()).await.unwrap();
    gone("free").await;
    let orphan = maps.get("orphan").await.unwrap();
    assert!(orphan.owner_references().is_empty());

    // An owner that never existed counts as gone.
    let ghost: ConfigMap =
        serde_json::from_value(json!({ "metadata": { "name": "ghost", "uid": "no-such-uid" } })).unwrap();
    create(&maps, child("haunted", &ghost)).await;
    gone("haunted").await;
}

/// A kind of the group `test.example` that has one version.
fn definition(kind: &str, version: &str) -> CustomResourceDefinition {
    let singular = kind.to_lowercase();
    let definition = json!({
        "metadata": { "name": format!("{singular}s.test.example") },
        "spec": {
            "group": "test.example", "scope": "Namespaced",
            "names": { "kind": kind, "plural": format!("{singular}s"), "singular": singular },
            "versions": [{ "name": version, "served": true, "storage": true, "schema": { "openAPIV3Schema": {
                "type": "object", "x-kubernetes-preserve-unknown-fields": true } } }],
        },
    });
    serde_json::from_value(definition).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kinds_that_the_preferred_version_of_their_group_lacks_go_like_others() {
    let cluster = cluster().await;
    let client = &cluster.client;
    cluster
        .api
        .define(&[definition("Grown", "v1"), definition("Young", "v1beta1")])
        .await;
    let young = ApiResource::from_gvk(&GroupVersionKind::gvk("test.example", "v1beta1", "Young"));
    let create_young = async |namespace: &str, mut object: Value| {
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &young);
        object["apiVersion"] = json!("test.example/v1beta1");
        object["kind"] = json!("Young");
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        api.create(&PostParams::default(), &object).await.unwrap();
        api
    };
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
    let owner = create(&maps, json!({ "metadata": { "name": "owner" } })).await;
    let owned = json!({ "metadata": { "name": "owned", "ownerReferences": [{
        "apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner.uid() }] } });
    let children = create_young("default", owned).await;
    maps.delete("owner", &DeleteParams::background()).await.unwrap();
    eventually("the child to go", || async {
        children.get_opt("owned").await.unwrap().is_none().then_some(())
    })
    .await;

    let namespaces: Api<Namespace> = Api::all(client.clone());
    create(&namespaces, json!({ "metadata": { "name": "crew" } })).await;
    let crew = create_young("crew", json!({ "metadata": { "name": "member" } })).await;
    namespaces.delete("crew", &DeleteParams::default()).await.unwrap();
    eventually("the namespace to go", || async {
        namespaces.get_opt("crew").await.unwrap().is_none().then_some(())
    })
    .await;
    assert!(crew.list(&ListParams::default()).await.unwrap().items.is_empty());
}
