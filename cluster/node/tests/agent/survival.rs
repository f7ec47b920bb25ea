//! Agents and shims that end, and what the next one finds.

use cluster_node::LogOptions;
use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};

use crate::world::{World, condition, sh, shims_of};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root: namespaces, mounts, links and control groups"]
async fn pods_survive_their_agent_and_leftovers_go() {
    let mut world = World::new("adopt").await;
    let probe = json!({"exec": {"command": ["true"]}});
    let mut container = sh("c", "while true; do echo tick; busybox usleep 20000; done");
    container["readinessProbe"] = probe;
    world
        .create("kept", json!({"containers": [container.clone()]}))
        .await;
    world.create("orphan", json!({"containers": [container]})).await;
    let before = world.until_ready("kept").await;
    world.until_ready("orphan").await;
    assert_eq!(shims_of(world.dir.path()).len(), 2);

    world.agent.take().unwrap().stop(false).await;
    assert_eq!(shims_of(world.dir.path()).len(), 2, "pods do not need the agent");
    world
        .delete("orphan", DeleteParams::default().grace_period(0))
        .await;
    world.until_gone("orphan").await;
    world.start_agent().await;
    // A pod that is no more is removed.
    world.until_shims(1).await;
    assert_eq!(world.network.attached(), 1);
    let after = world.pods().get("kept").await.unwrap();
    let after = serde_json::to_value(after).unwrap();
    for field in ["podIP", "containerStatuses", "conditions"] {
        assert_eq!(after["status"][field], before["status"][field], "{field}");
    }
    // It is not only shown but governed again.
    let follow = LogOptions {
        follow: true,
        tail_lines: Some(0),
        ..LogOptions::default()
    };
    let mut stream = world.agent().logs("default", "kept", "", follow).unwrap();
    assert_eq!(&stream.next().await.unwrap().unwrap()[..5], b"tick\n");
    drop(stream);
    world
        .delete("kept", DeleteParams::default().grace_period(1))
        .await;
    world.until_gone("kept").await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root: namespaces, mounts, links and control groups"]
async fn a_pod_whose_shim_was_killed_comes_back() {
    let world = World::new("revive").await;
    world
        .create(
            "p",
            json!({"terminationGracePeriodSeconds": 1, "containers": [sh("c", "trap '' TERM; sleep 1000")]}),
        )
        .await;
    world.until_ready("p").await;
    let shim = shims_of(world.dir.path())[0];
    assert!(
        std::process::Command::new("kill")
            .args(["-9", &shim.to_string()])
            .status()
            .unwrap()
            .success()
    );
    let pod = world
        .until("p", "running again", |pod| {
            pod["status"]["containerStatuses"][0]["restartCount"] == 1 && condition(pod, "Ready") == "True"
        })
        .await;
    assert_eq!(
        pod["status"]["containerStatuses"][0]["lastState"]["terminated"]["reason"],
        "ContainerStatusUnknown"
    );
    // Its process ignores SIGTERM: the grace period ends it.
    world.delete("p", DeleteParams::default()).await;
    world.until_gone("p").await;
    world.stop().await;
}

/// An agent that was killed while it connected a pod has noted the address, but not written the hosts file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root: namespaces, mounts, links and control groups"]
async fn a_pod_that_was_being_connected_is_connected_by_the_next_agent() {
    let mut world = World::new("half").await;
    let mut container = sh("c", "sleep 1000");
    container["envFrom"] = json!([{"configMapRef": {"name": "late"}}]);
    world.create("half", json!({"containers": [container]})).await;
    let waiting = |pod: &Value| {
        pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == "CreateContainerConfigError"
    };
    let pod = world.until("half", "waiting for its ConfigMap", waiting).await;
    world.agent.take().unwrap().stop(false).await;
    let uid = pod["metadata"]["uid"].as_str().unwrap();
    let hosts = world.dir.path().join("node/pods").join(uid).join("etc/hosts");
    std::fs::remove_file(&hosts).unwrap();
    world.start_agent().await;
    let late = serde_json::from_value(json!({"metadata": {"name": "late"}})).unwrap();
    let maps: Api<ConfigMap> = Api::default_namespaced(world.client.clone());
    maps.create(&PostParams::default(), &late).await.unwrap();
    world.until_ready("half").await;
    assert!(hosts.exists());
    world
        .delete("half", DeleteParams::default().grace_period(1))
        .await;
    world.until_gone("half").await;
    world.stop().await;
}
