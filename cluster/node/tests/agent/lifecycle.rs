//! A pod from its creation to its deletion.

use cluster_node::LogOptions;
use futures::StreamExt;
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::DeleteParams;
use serde_json::json;
use std::time::{Duration, Instant};

use crate::world::{NODE, World, condition, pod_dirs, sh};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root: namespaces, mounts, links and control groups"]
async fn a_pod_lives_from_creation_to_deletion() {
    let world = World::new("life").await;
    let nodes: Api<Node> = Api::all(world.client.clone());
    assert!(
        nodes
            .get(NODE)
            .await
            .unwrap()
            .status
            .unwrap()
            .capacity
            .unwrap()
            .contains_key("cpu")
    );
    let script = "echo hello; trap 'echo bye; exit 0' TERM; while true; do sleep 0.05; done";
    world
        .create("web", json!({"containers": [sh("a", script), sh("b", script)]}))
        .await;
    let pod = world.until_ready("web").await;
    let status = &pod["status"];
    assert_eq!(status["phase"], "Running");
    assert!(status["podIP"].is_string() && status["startTime"].is_string());
    assert_eq!(status["qosClass"], "BestEffort");
    for kind in [
        "PodScheduled",
        "Initialized",
        "ContainersReady",
        "PodReadyToStartContainers",
    ] {
        assert_eq!(condition(&pod, kind), "True", "{kind}");
    }
    let container = &status["containerStatuses"][0];
    assert_eq!(
        (container["restartCount"].clone(), container["started"].clone()),
        (json!(0), json!(true))
    );
    assert!(container["imageID"].as_str().unwrap().contains("@sha256:"));
    assert!(container["state"]["running"]["startedAt"].is_string());
    for event in ["Pulled", "Created", "Started"] {
        world.until_event("web", event).await;
    }
    assert_eq!(world.log("web", "a", LogOptions::default()).await, "hello\n");
    let follow = world
        .agent()
        .logs(
            "default",
            "web",
            "a",
            LogOptions {
                follow: true,
                ..LogOptions::default()
            },
        )
        .unwrap();

    world
        .delete("web", DeleteParams::default().grace_period(20))
        .await;
    world.until_gone("web").await;
    let followed: Vec<_> = follow.collect().await;
    let text: String = followed
        .into_iter()
        .map(|p| String::from_utf8(p.unwrap().to_vec()).unwrap())
        .collect();
    assert_eq!(text, "hello\nbye\n");
    assert!(pod_dirs(world.dir.path()).is_empty());
    assert_eq!(world.network.attached(), 0);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root: namespaces, mounts, links and control groups"]
async fn a_cold_start_takes_well_under_a_second() {
    let world = World::new("cold").await;
    let spec = json!({"containers": [
        {"name": "app", "command": ["httpd", "-f", "-p", "8080", "-h", "/bin"],
         "readinessProbe": {"httpGet": {"path": "/busybox", "port": 8080}}},
        {"name": "side", "command": ["httpd", "-f", "-p", "8081", "-h", "/bin"]}]});
    world.create("warm-up", spec.clone()).await;
    world.until_ready("warm-up").await;
    let mut took = Vec::new();
    for number in 0..5 {
        let name = format!("cold-{number}");
        let began = Instant::now();
        world.create(&name, spec.clone()).await;
        world.until_ready(&name).await;
        took.push(began.elapsed());
    }
    println!("created to ready: {took:?}");
    took.sort();
    assert!(took[2] < Duration::from_millis(1000), "{took:?}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root: namespaces, mounts, links and control groups"]
async fn init_containers_run_in_order_and_jobs_complete() {
    let world = World::new("init").await;
    let mount = json!([{"name": "v", "mountPath": "/v"}]);
    let mut steps = [
        sh("one", "echo 1 >> /v/x"),
        sh("two", "echo 2 >> /v/x"),
        sh("main", "cat /v/x; echo done > /dev/termination-log"),
    ];
    steps
        .iter_mut()
        .for_each(|step| step["volumeMounts"] = mount.clone());
    let [one, two, main] = steps;
    world
        .create(
            "job",
            json!({"restartPolicy": "Never", "initContainers": [one, two], "containers": [main],
                   "volumes": [{"name": "v", "emptyDir": {}}]}),
        )
        .await;
    let pod = world.until_phase("job", "Succeeded").await;
    let ended = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
    assert_eq!(
        (ended["exitCode"].clone(), ended["reason"].clone()),
        (json!(0), json!("Completed"))
    );
    assert_eq!(ended["message"], "done\n");
    assert_eq!(pod["status"]["initContainerStatuses"][1]["ready"], true);
    assert_eq!(world.log("job", "main", LogOptions::default()).await, "1\n2\n");

    world
        .create("bad", json!({"restartPolicy": "Never", "initContainers": [sh("one", "exit 4")], "containers": [sh("main", "true")]}))
        .await;
    let pod = world.until_phase("bad", "Failed").await;
    assert_eq!(
        pod["status"]["initContainerStatuses"][0]["state"]["terminated"]["exitCode"],
        4
    );
    assert_eq!(
        pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"],
        "PodInitializing"
    );
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root: namespaces, mounts, links and control groups"]
async fn what_an_ended_container_occupied_goes_while_its_pod_goes_on() {
    let world = World::new("ended").await;
    let spec = json!({"restartPolicy": "Never", "terminationGracePeriodSeconds": 1,
                      "containers": [sh("short", "echo kept; echo much > /file"), sh("long", "sleep 600")]});
    world.create("p", spec).await;
    let pod = world
        .until("p", "half over", |pod| {
            let all = pod["status"]["containerStatuses"].as_array();
            let mut all = all.into_iter().flatten();
            all.any(|shown| shown["name"] == "short" && shown["state"]["terminated"].is_object())
        })
        .await;
    let uid = pod["metadata"]["uid"].as_str().unwrap();
    let run = world
        .dir
        .path()
        .join("node/pods")
        .join(uid)
        .join("containers/short.0");
    let start = Instant::now();
    while run.join("upper").exists() {
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "the writable layer stays"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(run.join("exit.json").exists(), "its record stays");
    assert_eq!(world.log("p", "short", LogOptions::default()).await, "kept\n");
    world.delete("p", DeleteParams::default()).await;
    world.until_gone("p").await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root: namespaces, mounts, links and control groups"]
async fn what_mounts_need_is_not_made_in_each_container() {
    let world = World::new("points").await;
    let mounts = json!([{"name": "v", "mountPath": "/absent/deep"}, {"name": "v", "mountPath": "/tmp/x"}]);
    let container = |name: &str, script: &str| {
        let mut container = sh(name, script);
        container["volumeMounts"] = mounts.clone();
        container
    };
    let script = "until [ -e /absent/deep/go ]; do sleep 0.05; done; ls -ld /absent /tmp; ls /absent /tmp";
    let spec = json!({"restartPolicy": "Never", "volumes": [{"name": "v", "emptyDir": {}}],
                      "containers": [container("a", script), container("b", "touch /tmp/x/go")]});
    let pod = world.create("p", spec).await;
    let uid = pod.metadata.uid.unwrap();
    world
        .until("p", "over", |pod| pod["status"]["phase"] == "Succeeded")
        .await;
    let log = world.log("p", "a", LogOptions::default()).await;
    let lines: Vec<&str> = log.lines().collect();
    assert!(
        lines[0].starts_with("drwxr-xr-x") && lines[0].ends_with("/absent"),
        "{log}"
    );
    assert!(log.contains("deep\n") && log.contains("x\n"), "{log}");
    let node = world.dir.path().join("node");
    let made = node.join("pods").join(uid).join("containers/a.0/upper/absent");
    assert!(!made.exists(), "in the writable layer");
    let layers = std::fs::read_dir(node.join("mount-points")).unwrap();
    assert_eq!(layers.count(), 1, "both containers have the same mounts");
    world.delete("p", DeleteParams::default()).await;
    world.until_gone("p").await;
    world.stop().await;
}
