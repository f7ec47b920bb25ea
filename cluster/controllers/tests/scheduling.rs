//! Where pods are placed, against an API server as in `workloads`: on the one node there is, or not.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

#[path = "support/cluster.rs"]
mod support;

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use support::{controllers, create, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_are_placed_with_and_away_from_others() {
    let api = support::api().await;
    let client = api.client();
    let nodes: Api<Node> = Api::all(client.clone());
    let label = json!({ "metadata": { "labels": { "kubernetes.io/hostname": "n" } } });
    nodes
        .patch("n", &PatchParams::default(), &Patch::Merge(label))
        .await
        .unwrap();
    let _controllers = controllers(&client);
    let all: Api<Pod> = Api::namespaced(client.clone(), "default");
    let pod = |name: &str, app: &str, kind: &str, other: &str| {
        json!({
            "metadata": { "name": name, "labels": { "app": app } },
            "spec": {
                "containers": [{ "name": "c", "image": "i" }],
                "affinity": { kind: { "requiredDuringSchedulingIgnoredDuringExecution": [
                    { "labelSelector": { "matchLabels": { "app": other } }, "topologyKey": "kubernetes.io/hostname" },
                ]}},
            },
        })
    };
    let placed = async |name: &str| {
        let pod = all.get(name).await.unwrap();
        let reasons = pod
            .status
            .iter()
            .flat_map(|status| status.conditions.iter().flatten());
        let reason = reasons
            .filter(|one| one.type_ == "PodScheduled" && one.status == "False")
            .find_map(|one| one.message.clone());
        match pod.spec.unwrap().node_name {
            Some(_) => Some(String::new()),
            None => reason,
        }
    };
    let waits = "0/1 nodes are available: 1 node(s) didn't match pod affinity rules.";
    let away = "0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules.";
    create(&all, pod("follower", "follower", "podAffinity", "leader")).await;
    assert_eq!(eventually("a reason", || placed("follower")).await, waits);
    // The first of a group goes where it likes; with it, the one that waits.
    create(&all, pod("leader", "leader", "podAffinity", "leader")).await;
    for name in ["leader", "follower"] {
        eventually(name, || async { placed(name).await.filter(String::is_empty) }).await;
    }
    // Made at the same time, one of them gets the node.
    let lonely: Vec<Value> = ["a", "b", "c", "d"]
        .map(|name| pod(name, "lonely", "podAntiAffinity", "lonely"))
        .to_vec();
    futures::future::join_all(lonely.into_iter().map(|pod| create(&all, pod))).await;
    let mut won = Vec::new();
    for name in ["a", "b", "c", "d"] {
        let outcome = eventually(name, || placed(name)).await;
        match outcome.is_empty() {
            true => won.push(name),
            false => assert_eq!(outcome, away),
        }
    }
    assert_eq!(won.len(), 1);
    let now = DeleteParams {
        grace_period_seconds: Some(0),
        ..Default::default()
    };
    all.delete(won[0], &now).await.unwrap();
    eventually("another one to get the node", || async {
        for name in ["a", "b", "c", "d"].into_iter().filter(|name| *name != won[0]) {
            if placed(name).await?.is_empty() {
                return Some(());
            }
        }
        None
    })
    .await;

    // A node that is cordoned takes nobody.
    let cordon = Patch::Merge(json!({ "spec": { "unschedulable": true } }));
    nodes.patch("n", &PatchParams::default(), &cordon).await.unwrap();
    create(&all, pod("late", "late", "podAffinity", "leader")).await;
    assert_eq!(
        eventually("a reason", || placed("late")).await,
        "0/1 nodes are available: 1 node(s) were unschedulable."
    );
    let uncordon = Patch::Merge(json!({ "spec": { "unschedulable": null } }));
    nodes
        .patch("n", &PatchParams::default(), &uncordon)
        .await
        .unwrap();
    eventually("late", || async { placed("late").await.filter(String::is_empty) }).await;
}
