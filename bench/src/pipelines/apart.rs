//! A bare cluster with the controller of pipelines beside it.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::instance::{client_of, wait};

const LOOK: Duration = Duration::from_millis(20);

pub struct Apart {
    bin: PathBuf,
    folder: PathBuf,
    cluster: Child,
    controller: Option<Child>,
    push: Option<Child>,
    kubeconfig: String,
    /// Holds the program whose run is a step that does nothing.
    pub image: String,
}

impl Apart {
    /// Starts both, on `folder`.
    pub fn start(bin: &Path, folder: &Path) -> anyhow::Result<Self> {
        let cluster = spawn(bin, folder, "cluster", |command| {
            command.args(["cluster", "up", "--data-dir"]).arg(folder);
        })?;
        let pid = cluster.id();
        let mut apart = Self {
            bin: bin.to_path_buf(),
            folder: folder.to_path_buf(),
            cluster,
            controller: None,
            push: None,
            kubeconfig: String::new(),
            image: String::new(),
        };
        let run = wait("the cluster", LOOK, || {
            let text = std::fs::read_to_string(folder.join("run.json")).ok()?;
            let run: Value = serde_json::from_str(&text).ok()?;
            (run["ready"] == true && run["pid"] == pid).then_some(run)
        })?;
        apart.kubeconfig = run["kubeconfig"].as_str().unwrap_or_default().to_owned();
        let images = apart.spindrift(&["image", "components", "--data-dir", &folder.to_string_lossy()])?;
        let image = |name: &str| {
            let found = images.lines().find(|line| line.contains(name));
            found
                .map(str::to_owned)
                .with_context(|| format!("there is no image {name}: {images}"))
        };
        apart.image = image("spindrift/entrypoint")?;
        apart.spindrift(&["install", "--sidecar-image", &image("spindrift/queue-proxy")?])?;
        let entrypoint = apart.image.clone();
        let kubeconfig = apart.kubeconfig.clone();
        apart.controller = Some(spawn(bin, folder, "controller", |command| {
            command.env("KUBECONFIG", kubeconfig).args([
                "pipelines-controller",
                "--entrypoint-image",
                &entrypoint,
            ]);
        })?);
        Ok(apart)
    }

    /// Its process.
    pub fn controller(&self) -> u32 {
        self.controller.as_ref().map_or(0, Child::id)
    }

    /// Starts what receives pushes, at an address of its own.
    pub fn start_push(&mut self) -> anyhow::Result<SocketAddr> {
        let listen = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let kubeconfig = self.kubeconfig.clone();
        // Nothing is built here.
        let image = self.image.clone();
        let push = spawn(&self.bin, &self.folder, "push", |command| {
            command.env("KUBECONFIG", kubeconfig).args([
                "push-controller",
                "--builder-image",
                &image,
                "--registry",
                "registry.invalid",
                "--listen",
                &listen.to_string(),
            ]);
        })?;
        self.push = Some(push);
        Ok(listen)
    }

    pub async fn client(&self) -> anyhow::Result<Client> {
        client_of(&self.kubeconfig).await
    }

    /// Sets what `spindrift up` sets for one machine.
    pub async fn tell_of_one_machine(&self, client: Client) -> anyhow::Result<()> {
        let settings = json!({
            "coschedule": "disabled",
            "running-in-environment-with-injected-sidecars": "false",
        });
        let maps: Api<ConfigMap> = Api::namespaced(client, "tekton-pipelines");
        let change = Patch::Merge(json!({ "data": settings }));
        maps.patch("feature-flags", &PatchParams::default(), &change)
            .await?;
        Ok(())
    }

    /// Runs `spindrift`, and gives what it wrote.
    fn spindrift(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = Command::new(self.bin.join("spindrift"))
            .env("KUBECONFIG", &self.kubeconfig)
            .env("NO_COLOR", "1")
            .args(arguments)
            .output()
            .context("cannot run spindrift")?;
        ensure!(
            output.status.success(),
            "spindrift {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Ends both, and what is left of pods.
    pub fn stop(mut self) -> anyhow::Result<()> {
        self.end();
        self.spindrift(&["down", "--data-dir", &self.folder.to_string_lossy()])
            .map(drop)
    }

    fn end(&mut self) {
        for child in self
            .push
            .iter_mut()
            .chain(&mut self.controller)
            .chain([&mut self.cluster])
        {
            if matches!(child.try_wait(), Ok(None)) {
                let _ = Command::new("kill")
                    .args(["-INT", &child.id().to_string()])
                    .status();
                let _ = child.wait();
            }
        }
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        self.end();
    }
}

/// Starts `spindrift`, whose words go into a file.
fn spawn(bin: &Path, folder: &Path, name: &str, tell: impl FnOnce(&mut Command)) -> anyhow::Result<Child> {
    let log = std::fs::File::create(folder.join(format!("bench-{name}.log")))?;
    let mut command = Command::new(bin.join("spindrift"));
    tell(&mut command);
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("cannot start spindrift: build it with `cargo build --release`")
}
