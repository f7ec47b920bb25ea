//! The agent against the real API server: pods from creation to deletion, restarts of the agent, leftovers.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests are tests"
)]

mod support;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cluster_apiserver::{ApiServer, Config as ApiConfig};
use cluster_images::{FileSource, ImageStore, LayerBuild, LayerFile, StoreConfig};
use cluster_network::{Config as NetworkConfig, Network};
use cluster_node::{LogOptions, NodeAgent, NodeConfig};
use futures::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Node, Pod, Secret, Service, ServiceAccount};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::wait::await_condition;
use kube::{Api, Client};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(30);
const IMAGE: &str = "localhost:5000/busybox:1";
const NODE: &str = "node-1";

struct World {
    dir: tempfile::TempDir,
    api: ApiServer,
    client: Client,
    images: ImageStore,
    network: Network,
    agent: Option<NodeAgent>,
}

impl World {
    async fn new(name: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let api = ApiServer::open(ApiConfig::ephemeral(dir.path().join("api")))
            .await
            .unwrap();
        let client = api.client();
        let images = ImageStore::open(StoreConfig::new(dir.path().join("images"))).unwrap();
        build_busybox(&images).await;
        let network = Network::start(NetworkConfig {
            name: format!("{name}-{}", std::process::id()),
            data_dir: dir.path().join("network"),
            pod_cidr: None,
            service_cidr: None,
        })
        .await
        .unwrap();
        let accounts: Api<ServiceAccount> = Api::default_namespaced(client.clone());
        if accounts.get_opt("default").await.unwrap().is_none() {
            let account = serde_json::from_value(json!({"metadata": {"name": "default"}})).unwrap();
            accounts.create(&PostParams::default(), &account).await.unwrap();
        }
        let mut world = Self {
            dir,
            api,
            client,
            images,
            network,
            agent: None,
        };
        world.start_agent().await;
        world
    }

    async fn start_agent(&mut self) {
        let config = NodeConfig::new(
            self.client.clone(),
            NODE,
            self.dir.path().join("node"),
            self.images.clone(),
            self.network.clone(),
            support::shim_program(),
        );
        self.agent = Some(NodeAgent::start(config).await.unwrap());
    }

    fn agent(&self) -> &NodeAgent {
        self.agent.as_ref().unwrap()
    }

    fn pods(&self) -> Api<Pod> {
        Api::default_namespaced(self.client.clone())
    }

    async fn create(&self, name: &str, spec: Value) -> Pod {
        let mut spec = spec;
        spec["nodeName"] = json!(NODE);
        for container in spec["containers"].as_array_mut().unwrap() {
            container["image"] = container.get("image").cloned().unwrap_or(json!(IMAGE));
        }
        for container in spec
            .get_mut("initContainers")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            container["image"] = container.get("image").cloned().unwrap_or(json!(IMAGE));
        }
        let pod = json!({"metadata": {"name": name, "labels": {"app": name}}, "spec": spec});
        self.pods()
            .create(&PostParams::default(), &serde_json::from_value(pod).unwrap())
            .await
            .unwrap()
    }

    /// Waits until the pod, as JSON, satisfies the condition.
    async fn until(&self, name: &str, what: &str, condition: impl Fn(&Value) -> bool) -> Value {
        let wanted =
            |pod: Option<&Pod>| pod.is_some_and(|pod| condition(&serde_json::to_value(pod).unwrap()));
        match tokio::time::timeout(PATIENCE, await_condition(self.pods(), name, wanted)).await {
            Ok(found) => serde_json::to_value(found.unwrap().unwrap()).unwrap(),
            Err(_) => panic!(
                "{name} never was {what}: {}\n{}",
                serde_json::to_string_pretty(&self.pods().get(name).await.unwrap().status).unwrap(),
                self.events(name).await.join("\n"),
            ),
        }
    }

    async fn until_ready(&self, name: &str) -> Value {
        self.until(name, "ready", |pod| condition(pod, "Ready") == "True")
            .await
    }

    async fn until_phase(&self, name: &str, phase: &str) -> Value {
        self.until(name, phase, |pod| pod["status"]["phase"] == phase)
            .await
    }

    async fn until_gone(&self, name: &str) {
        let gone = |pod: Option<&Pod>| pod.is_none();
        tokio::time::timeout(PATIENCE, await_condition(self.pods(), name, gone))
            .await
            .unwrap()
            .unwrap();
    }

    async fn delete(&self, name: &str, parameters: DeleteParams) {
        self.pods().delete(name, &parameters).await.unwrap();
    }

    async fn log(&self, pod: &str, container: &str, options: LogOptions) -> String {
        let stream = self.agent().logs("default", pod, container, options).unwrap();
        let pieces: Vec<_> = stream.collect().await;
        pieces
            .into_iter()
            .map(|piece| String::from_utf8_lossy(&piece.unwrap()).into_owned())
            .collect()
    }

    async fn events(&self, pod: &str) -> Vec<String> {
        let events: Api<Event> = Api::default_namespaced(self.client.clone());
        let list = events.list(&ListParams::default()).await.unwrap();
        let about = list
            .items
            .into_iter()
            .filter(|event| event.involved_object.name.as_deref() == Some(pod));
        about
            .map(|event| {
                format!(
                    "{} {}",
                    event.reason.unwrap_or_default(),
                    event.message.unwrap_or_default()
                )
            })
            .collect()
    }

    async fn until_event(&self, pod: &str, start: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self
            .events(pod)
            .await
            .iter()
            .any(|event| event.starts_with(start))
        {
            assert!(
                Instant::now() < deadline,
                "no event {start}: {:#?}",
                self.events(pod).await
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Stops everything and proves that no process, mount, link or control group is left.
    async fn stop(mut self) {
        self.agent.take().unwrap().stop(true).await;
        let uids = pod_dirs(self.dir.path());
        assert!(uids.is_empty(), "{uids:?}");
        self.api.shutdown().await;
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        assert!(!mounts.contains(self.dir.path().to_str().unwrap()), "{mounts}");
        assert_eq!(shims_of(self.dir.path()), Vec::<i32>::new());
    }
}

/// A test that failed half-way leaves no pods to the next ones. (After [`World::stop`] there is nothing to do.)
impl Drop for World {
    fn drop(&mut self) {
        for shim in shims_of(self.dir.path()) {
            let groups = std::fs::read_to_string(format!("/proc/{shim}/cgroup")).unwrap_or_default();
            let unified = groups.lines().find_map(|line| line.strip_prefix("0::"));
            let pod = unified
                .and_then(|path| path.strip_suffix("/shim"))
                .unwrap_or("/nowhere");
            for root in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"] {
                let _ = std::fs::write(format!("{root}{pod}/cgroup.kill"), "1");
            }
        }
        if let (Ok(runtime), network) = (tokio::runtime::Handle::try_current(), self.network.clone()) {
            tokio::task::block_in_place(|| runtime.block_on(async move { network.stop().await.ok() }));
        }
    }
}

fn condition(pod: &Value, kind: &str) -> String {
    let conditions = pod["status"]["conditions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let found = conditions.iter().find(|condition| condition["type"] == kind);
    found.map_or(String::new(), |condition| {
        condition["status"].as_str().unwrap().to_owned()
    })
}

fn pod_dirs(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir.join("node/pods")).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// Shims whose pod directory is below `dir`.
fn shims_of(dir: &Path) -> Vec<i32> {
    let dir = std::fs::canonicalize(dir).unwrap();
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.contains("\0shim\0") && line.contains(dir.to_str().unwrap())
    })
    .collect()
}

async fn build_busybox(images: &ImageStore) {
    let file = |path: &str, source: FileSource, mode: u32| LayerFile {
        path: path.into(),
        source,
        mode,
    };
    let mut files = vec![
        file(
            "bin/busybox",
            FileSource::Host(PathBuf::from("/bin/busybox")),
            0o755,
        ),
        file(
            "etc/passwd",
            FileSource::Bytes(b"root:x:0:0::/:/bin/sh\napp:x:1000:1000::/:/bin/sh\n".to_vec()),
            0o644,
        ),
        file("tmp", FileSource::Directory, 0o777),
    ];
    for applet in [
        "sh", "echo", "sleep", "cat", "id", "ls", "true", "false", "hostname", "httpd", "touch", "grep",
    ] {
        files.push(file(
            &format!("bin/{applet}"),
            FileSource::Symlink("busybox".into()),
            0o777,
        ));
    }
    let build = LayerBuild {
        name: IMAGE.into(),
        files,
        cmd: vec!["sh".into()],
        env: vec!["PATH=/bin".into(), "FROM_IMAGE=yes".into()],
        ..LayerBuild::default()
    };
    images.build(build).await.unwrap();
}

fn sh(name: &str, script: &str) -> Value {
    json!({"name": name, "command": ["sh", "-c", script]})
}

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
        test -s /t/token && echo token; touch /e/x /mem/x && echo volumes; id; cat /etc/hostname; \
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
                {"name": "e", "mountPath": "/e"}, {"name": "mem", "mountPath": "/mem"}],
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
        "yes from-map {ip} from-map-x 500\nonehushapp=\"c\"\ntoken\nvolumes\n\
         uid=1000(app) gid=1000 groups=2000\nc\nnameserver {gateway}\n1\nread-only\n"
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
    // A start signal by annotation does not wait for the next refresh.
    let patch = json!({"metadata": {"annotations": {"ready": "go"}}});
    world
        .pods()
        .patch("c", &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .unwrap();
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
    let deadline = Instant::now() + Duration::from_secs(5);
    while !std::fs::read_to_string(&file).unwrap().contains("go") {
        assert!(Instant::now() < deadline, "the annotation does not arrive");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
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
    assert_eq!(
        pod["status"]["containerStatuses"][0]["state"]["terminated"]["reason"],
        "OOMKilled"
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
    let alive = world
        .dir
        .path()
        .join("node/pods")
        .join(uid)
        .join("containers/c.0/upper/tmp/alive");
    let shim = shims_of(&world.dir.path().join("node/pods").join(uid))[0];
    let merged = alive.to_str().unwrap().replace("/upper/", "/rootfs/");
    std::fs::remove_file(format!("/proc/{shim}/root{merged}")).unwrap();
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
    assert_eq!(
        shims_of(world.dir.path()).len(),
        1,
        "a pod that is no more is removed"
    );
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
