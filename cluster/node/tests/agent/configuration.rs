//! What reaches a container, and what it may do.

use cluster_node::LogOptions;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::world::{PATIENCE, World, sh, shims_of};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root: namespaces, mounts, links and control groups"]
async fn configuration_reaches_the_container() {
    let world = World::new("config").await;
    let maps: Api<ConfigMap> = Api::default_namespaced(world.client.clone());
    let map = json!({"metadata": {"name": "m"}, "data": {"KEY": "from-map", "file.txt": "one"}});
    maps.create(&PostParams::default(), &serde_json::from_value(map).unwrap())
        .await
        .unwrap();
    let secrets: Api<Secret> = Api::default_namespaced(world.client.clone());
    let secret =
        json!({"metadata": {"name": "s"}, "stringData": {"token": "hush"}, "data": {"token": "aHVzaA=="}});
    secrets
        .create(&PostParams::default(), &serde_json::from_value(secret).unwrap())
        .await
        .unwrap();
    let services: Api<Service> = Api::default_namespaced(world.client.clone());
    let service = json!({"metadata": {"name": "db"}, "spec": {"ports": [{"port": 5432}]}});
    services
        .create(&PostParams::default(), &serde_json::from_value(service).unwrap())
        .await
        .unwrap();
    let script = "echo $FROM_IMAGE $KEY $IP $NAME $CPU; cat /m/file.txt /s/token /d/labels; echo; \
        test -s /t/token && set -- $(ls -lnL /t/token) && echo token $1 $3 $4; touch /e/x /mem/x && echo volumes; id; cat /etc/hostname; \
        cat /one.txt; touch /deep/y && ls /mem/new /deep && echo; \
        grep nameserver /etc/resolv.conf; grep -c $IP /etc/hosts; touch /m/x 2>/dev/null || echo read-only; sleep 1000";
    let spec = json!({
        "securityContext": {"runAsUser": 1000, "fsGroup": 2000},
        "containers": [{
            "name": "c", "command": ["sh", "-c", script],
            "envFrom": [{"configMapRef": {"name": "m"}}],
            "env": [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                    {"name": "NAME", "value": "$(KEY)-x"},
                    {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}}],
            "resources": {"limits": {"cpu": "500m", "memory": "64Mi"}},
            "volumeMounts": [
                {"name": "m", "mountPath": "/m", "readOnly": true}, {"name": "s", "mountPath": "/s"},
                {"name": "d", "mountPath": "/d"}, {"name": "t", "mountPath": "/t"},
                {"name": "e", "mountPath": "/e"}, {"name": "mem", "mountPath": "/mem"},
                {"name": "m", "mountPath": "/one.txt", "subPath": "file.txt"},
                {"name": "mem", "mountPath": "/deep", "subPath": "new/deep"}],
        }],
        "volumes": [
            {"name": "m", "configMap": {"name": "m"}}, {"name": "s", "secret": {"secretName": "s"}},
            {"name": "d", "downwardAPI": {"items": [
                {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
                {"path": "annotations", "fieldRef": {"fieldPath": "metadata.annotations"}}]}},
            {"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}},
            {"name": "e", "emptyDir": {}}, {"name": "mem", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}],
    });
    world.create("c", spec).await;
    let pod = world.until_ready("c").await;
    let ip = pod["status"]["podIP"].as_str().unwrap();
    assert_eq!(pod["status"]["qosClass"], "Guaranteed");
    let gateway = world.network.gateway_ip();
    let wanted = format!(
        "yes from-map {ip} from-map-x 500\nonehushapp=\"c\"\ntoken -rw-r----- 1000 2000\nvolumes\n\
         uid=1000(app) gid=1000 groups=1000,2000\nc\none/deep:\ny\n\n/mem/new:\ndeep\n\nnameserver {gateway}\n1\nread-only\n"
    );
    let deadline = Instant::now() + PATIENCE;
    loop {
        let log = world.log("c", "", LogOptions::default()).await;
        if log == wanted {
            break;
        }
        assert!(Instant::now() < deadline, "{log}\ninstead of\n{wanted}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let uid = pod["metadata"]["uid"].as_str().unwrap();
    let shim = shims_of(&world.dir.path().join("node/pods").join(uid))[0];
    let file = PathBuf::from(format!("/proc/{shim}/root"))
        .join(
            world
                .dir
                .path()
                .join("node/pods")
                .join(uid)
                .strip_prefix("/")
                .unwrap(),
        )
        .join("memory/projected-d/annotations");
    // A start signal by annotation does not wait for the next refresh, nor does one that comes right after another change.
    for round in 0..20 {
        for step in ["ready", "steady", "go"] {
            let patch = json!({"metadata": {"annotations": {"signal": format!("{step}-{round}-")}}});
            world
                .pods()
                .patch("c", &PatchParams::default(), &Patch::Merge(&patch))
                .await
                .unwrap();
        }
        let deadline = Instant::now() + Duration::from_secs(5);
        while !std::fs::read_to_string(&file)
            .unwrap()
            .contains(&format!("go-{round}-"))
        {
            assert!(Instant::now() < deadline, "the annotation does not arrive");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root: namespaces, mounts, links and control groups"]
async fn strict_and_lax_security_contexts_both_serve() {
    let world = World::new("security").await;
    // What a careful sidecar asks for, on a port that would need a right elsewhere.
    let mut strict = sh(
        "c",
        "touch /x 2>/dev/null || echo read-only; grep -E 'CapEff|NoNew|Seccomp:' /proc/self/status; exec httpd -f -p 80 -h /bin",
    );
    strict["readinessProbe"] = json!({"tcpSocket": {"port": 80}});
    strict["securityContext"] = json!({
        "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "runAsNonRoot": true, "runAsUser": 65532,
        "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}});
    world.create("strict", json!({"containers": [strict]})).await;
    world.until_ready("strict").await;
    let log = world.log("strict", "c", LogOptions::default()).await;
    assert_eq!(
        log,
        "read-only\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n"
    );

    let mut lax = sh(
        "c",
        "hostname > /proc/sys/kernel/hostname && echo may; ls /proc | grep -c '^[0-9]'; sleep 1000",
    );
    lax["securityContext"] = json!({"privileged": true});
    world.create("lax", json!({"hostNetwork": true, "hostPID": true, "terminationGracePeriodSeconds": 0, "containers": [lax]})).await;
    let pod = world.until_ready("lax").await;
    assert_eq!(
        pod["status"]["podIP"],
        json!(world.network.gateway_ip().to_string())
    );
    let deadline = Instant::now() + PATIENCE;
    while world.log("lax", "c", LogOptions::default()).await.lines().count() < 2 {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let log = world.log("lax", "c", LogOptions::default()).await;
    let mut lines = log.lines();
    assert_eq!(lines.next(), Some("may"));
    assert!(
        lines.next().unwrap().parse::<usize>().unwrap() > 10,
        "it sees the machine's processes: {log}"
    );
    world.delete("lax", DeleteParams::default()).await;
    world.until_gone("lax").await;
    world.stop().await;
}
