//! One node with its API server, its images and its network, and what tests ask of it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cluster_apiserver::{ApiServer, Config as ApiConfig};
use cluster_images::{FileSource, ImageStore, LayerBuild, LayerFile, StoreConfig};
use cluster_network::{Config as NetworkConfig, Network};
use cluster_node::{LogOptions, NodeAgent, NodeConfig};
use futures::StreamExt;
use k8s_openapi::api::core::v1::{Event, Pod, ServiceAccount};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::runtime::wait::await_condition;
use kube::{Api, Client};
use serde_json::{Value, json};

pub(crate) const PATIENCE: Duration = Duration::from_secs(90);
pub(crate) const IMAGE: &str = "localhost:5000/busybox:1";
pub(crate) const NODE: &str = "node-1";

pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) api: ApiServer,
    pub(crate) client: Client,
    pub(crate) images: ImageStore,
    pub(crate) network: Network,
    pub(crate) agent: Option<NodeAgent>,
}

impl World {
    pub(crate) async fn new(name: &str) -> Self {
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

    pub(crate) async fn start_agent(&mut self) {
        let config = NodeConfig::new(
            self.client.clone(),
            NODE,
            self.dir.path().join("node"),
            self.images.clone(),
            self.network.clone(),
            crate::support::shim_program(),
        );
        self.agent = Some(NodeAgent::start(config).await.unwrap());
    }

    pub(crate) fn agent(&self) -> &NodeAgent {
        self.agent.as_ref().unwrap()
    }

    pub(crate) fn pods(&self) -> Api<Pod> {
        Api::default_namespaced(self.client.clone())
    }

    pub(crate) async fn create(&self, name: &str, spec: Value) -> Pod {
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
    pub(crate) async fn until(&self, name: &str, what: &str, condition: impl Fn(&Value) -> bool) -> Value {
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

    pub(crate) async fn until_ready(&self, name: &str) -> Value {
        self.until(name, "ready", |pod| condition(pod, "Ready") == "True")
            .await
    }

    pub(crate) async fn until_phase(&self, name: &str, phase: &str) -> Value {
        self.until(name, phase, |pod| pod["status"]["phase"] == phase)
            .await
    }

    pub(crate) async fn until_gone(&self, name: &str) {
        let gone = |pod: Option<&Pod>| pod.is_none();
        tokio::time::timeout(PATIENCE, await_condition(self.pods(), name, gone))
            .await
            .unwrap()
            .unwrap();
    }

    pub(crate) async fn delete(&self, name: &str, parameters: DeleteParams) {
        self.pods().delete(name, &parameters).await.unwrap();
    }

    pub(crate) async fn log(&self, pod: &str, container: &str, options: LogOptions) -> String {
        let stream = self.agent().logs("default", pod, container, options).unwrap();
        let pieces: Vec<_> = stream.collect().await;
        pieces
            .into_iter()
            .map(|piece| String::from_utf8_lossy(&piece.unwrap()).into_owned())
            .collect()
    }

    pub(crate) async fn events(&self, pod: &str) -> Vec<String> {
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

    pub(crate) async fn until_event(&self, pod: &str, start: &str) {
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
    pub(crate) async fn stop(mut self) {
        self.agent.take().unwrap().stop(true).await;
        let uids = pod_dirs(self.dir.path());
        assert!(uids.is_empty(), "{uids:?}");
        self.api.shutdown().await;
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        assert!(!mounts.contains(self.dir.path().to_str().unwrap()), "{mounts}");
        self.until_shims(0).await;
    }

    /// Waits until that many shims run: one that was killed is still there for a moment.
    pub(crate) async fn until_shims(&self, count: usize) {
        let start = tokio::time::Instant::now();
        while shims_of(self.dir.path()).len() != count {
            let shims = shims_of(self.dir.path());
            assert!(start.elapsed() < PATIENCE, "{shims:?} where {count} should run");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
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

pub(crate) fn condition(pod: &Value, kind: &str) -> String {
    let conditions = pod["status"]["conditions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let found = conditions.iter().find(|condition| condition["type"] == kind);
    found.map_or(String::new(), |condition| {
        condition["status"].as_str().unwrap().to_owned()
    })
}

pub(crate) fn pod_dirs(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir.join("node/pods")).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// Shims whose pod directory is below `dir`.
pub(crate) fn shims_of(dir: &Path) -> Vec<i32> {
    let dir = std::fs::canonicalize(dir).unwrap();
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.contains("\0shim\0") && line.contains(dir.to_str().unwrap())
    })
    .collect()
}

pub(crate) async fn build_busybox(images: &ImageStore) {
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

pub(crate) fn sh(name: &str, script: &str) -> Value {
    json!({"name": name, "command": ["sh", "-c", script]})
}
