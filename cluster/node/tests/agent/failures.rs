//! Containers that crash, cannot start or fail their probes.

use cluster_node::LogOptions;
use kube::api::DeleteParams;
use serde_json::{Value, json};

use crate::world::{World, condition, sh, shims_of};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root: namespaces, mounts, links and control groups"]
async fn crashes_are_restarted_with_a_growing_wait() {
    let world = World::new("crash").await;
    let mut crash = sh("c", "echo run; echo why >&2; exit 3");
    crash["terminationMessagePolicy"] = json!("FallbackToLogsOnError");
    world.create("crash", json!({"containers": [crash]})).await;
    let pod = world
        .until("crash", "backing off", |pod| {
            pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == "CrashLoopBackOff"
        })
        .await;
    let status = &pod["status"]["containerStatuses"][0];
    // The first restart is immediate, the second one waits ten seconds.
    assert_eq!(status["restartCount"], 1);
    assert_eq!(status["lastState"]["terminated"]["exitCode"], 3);
    assert_eq!(status["lastState"]["terminated"]["reason"], "Error");
    assert!(
        status["lastState"]["terminated"]["message"]
            .as_str()
            .unwrap()
            .contains("why")
    );
    assert!(
        status["state"]["waiting"]["message"]
            .as_str()
            .unwrap()
            .starts_with("back-off 10s restarting failed container=c")
    );
    assert_eq!(pod["status"]["phase"], "Running");
    let previous = LogOptions {
        previous: true,
        tail_lines: Some(1),
        ..LogOptions::default()
    };
    assert!(!world.log("crash", "c", previous).await.is_empty());
    world.delete("crash", DeleteParams::default()).await;
    world.until_gone("crash").await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root: namespaces, mounts, links and control groups"]
async fn what_cannot_start_says_why() {
    let world = World::new("faults").await;
    let waits = |reason: &'static str| {
        move |pod: &Value| pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == reason
    };
    let one = |image: &str| json!({"containers": [{"name": "c", "image": image, "imagePullPolicy": "IfNotPresent"}]});
    world.create("absent", one("localhost:5000/absent:1")).await;
    world
        .until("absent", "backing off", waits("ImagePullBackOff"))
        .await;
    world.create("wrong", one("Not An Image")).await;
    world.until("wrong", "refused", waits("InvalidImageName")).await;
    world
        .create("never", json!({"containers": [{"name": "c", "image": "localhost:5000/absent:1", "imagePullPolicy": "Never"}]}))
        .await;
    world.until("never", "refused", waits("ErrImageNeverPull")).await;
    let mut unset = sh("c", "true");
    unset["env"] = json!([{"name": "X", "valueFrom": {"secretKeyRef": {"name": "gone", "key": "k"}}}]);
    world.create("unset", json!({"containers": [unset]})).await;
    let pod = world
        .until("unset", "refused", waits("CreateContainerConfigError"))
        .await;
    assert_eq!(
        pod["status"]["containerStatuses"][0]["state"]["waiting"]["message"],
        "secret \"gone\" not found"
    );
    assert_eq!(pod["status"]["containerStatuses"][0]["restartCount"], 0);
    world
        .create(
            "typo",
            json!({"restartPolicy": "Never", "containers": [{"name": "c", "command": ["nonsense"]}]}),
        )
        .await;
    let pod = world.until_phase("typo", "Failed").await;
    let ended = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
    assert_eq!(
        (ended["exitCode"].clone(), ended["reason"].clone()),
        (json!(128), json!("StartError"))
    );
    assert!(
        ended["message"]
            .as_str()
            .unwrap()
            .contains("executable file not found in $PATH")
    );
    let mut root = sh("c", "true");
    root["securityContext"] = json!({"runAsNonRoot": true});
    world.create("root", json!({"containers": [root]})).await;
    world
        .until("root", "refused", waits("CreateContainerConfigError"))
        .await;
    let mut greedy = json!({"name": "c", "command": ["busybox", "tail", "/dev/zero"]});
    greedy["resources"] = json!({"limits": {"memory": "16Mi"}});
    world
        .create(
            "greedy",
            json!({"restartPolicy": "Never", "containers": [greedy]}),
        )
        .await;
    let pod = world.until_phase("greedy", "Failed").await;
    let ended = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
    assert_eq!(
        (ended["reason"].clone(), ended["exitCode"].clone()),
        (json!("OOMKilled"), json!(137))
    );
    world.create("late", json!({"activeDeadlineSeconds": 1, "terminationGracePeriodSeconds": 0, "containers": [sh("c", "sleep 1000")]})).await;
    let pod = world.until_phase("late", "Failed").await;
    assert_eq!(pod["status"]["reason"], "DeadlineExceeded");
    world
        .until("late", "ended", |pod| {
            pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 137
        })
        .await;
    for name in [
        "absent", "wrong", "never", "unset", "typo", "root", "greedy", "late",
    ] {
        world.delete(name, DeleteParams::default()).await;
        world.until_gone(name).await;
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root: namespaces, mounts, links and control groups"]
async fn probes_and_hooks_govern_a_container() {
    let world = World::new("probes").await;
    let spec = json!({"terminationGracePeriodSeconds": 20, "containers": [{
        "name": "c", "command": ["sh", "-c", "touch /tmp/alive; httpd -f -p 8080 -h /tmp & while true; do sleep 0.1; done"],
        "startupProbe": {"exec": {"command": ["cat", "/tmp/alive"]}, "periodSeconds": 1},
        "livenessProbe": {"exec": {"command": ["cat", "/tmp/alive"]}, "periodSeconds": 1, "failureThreshold": 1,
                          "terminationGracePeriodSeconds": 1},
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 1},
        "lifecycle": {"postStart": {"exec": {"command": ["touch", "/tmp/ready"]}},
                      "preStop": {"exec": {"command": ["sh", "-c", "echo stopping > /proc/1/fd/1"]}}},
    }]});
    world.create("p", spec).await;
    let pod = world.until_ready("p").await;
    // Without the file the liveness probe fails, and the restart brings the file back.
    let uid = pod["metadata"]["uid"].as_str().unwrap();
    let pod_dir = world.dir.path().join("node/pods").join(uid);
    let shim = shims_of(&pod_dir)[0];
    // Where only the pod sees it.
    let alive = pod_dir.join("run/bundles/c.0/rootfs/tmp/alive");
    std::fs::remove_file(format!("/proc/{shim}/root{}", alive.display())).unwrap();
    let pod = world
        .until("p", "restarted", |pod| {
            pod["status"]["containerStatuses"][0]["restartCount"] == 1 && condition(pod, "Ready") == "True"
        })
        .await;
    assert_eq!(
        pod["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"],
        137
    );
    world.until_event("p", "Unhealthy Liveness probe failed").await;
    world
        .until_event(
            "p",
            "Killing Container c failed liveness probe, will be restarted",
        )
        .await;
    let previous = LogOptions {
        previous: true,
        ..LogOptions::default()
    };
    assert_eq!(world.log("p", "c", previous).await, "stopping\n");
    world.delete("p", DeleteParams::default().grace_period(1)).await;
    world.until_gone("p").await;
    world.until_event("p", "Killing Stopping container c").await;
    world.stop().await;
}
