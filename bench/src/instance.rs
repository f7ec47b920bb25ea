//! A running platform, on a folder of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};

/// How often the file is looked at that says when the platform is up.
const LOOK: Duration = Duration::from_millis(5);
/// How often kubectl is asked: it takes a tenth of a second of a core each time, which the platform is to have.
pub const ASK: Duration = Duration::from_millis(500);
/// Longest wait for one state.
const LIMIT: Duration = Duration::from_secs(180);
pub struct Instance {
    pub child: Child,
    pub folder: PathBuf,
    pub status: Value,
}

impl Instance {
    /// Starts `spindrift up` on `folder`; returns it with the time until it was ready.
    pub fn start(bin: &Path, folder: &Path) -> anyhow::Result<(Self, Duration)> {
        let start = Instant::now();
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(folder.join("bench.log"))?;
        let child = Command::new(bin.join("spindrift"))
            .args(["up", "--data-dir"])
            .arg(folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot start spindrift: build it with `cargo build --release`")?;
        let pid = child.id();
        let mut instance = Self {
            child,
            folder: folder.to_path_buf(),
            status: Value::Null,
        };
        let status = wait("the platform", LOOK, || {
            let text = std::fs::read_to_string(folder.join("run.json")).ok()?;
            let run: Value = serde_json::from_str(&text).ok()?;
            (run["ready"] == true && run["pid"] == pid).then_some(run)
        })?;
        instance.status = status;
        Ok((instance, start.elapsed()))
    }

    pub fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = Command::new("kubectl")
            .env(
                "KUBECONFIG",
                self.status["kubeconfig"].as_str().unwrap_or_default(),
            )
            .args(arguments)
            .output()
            .context("kubectl is needed on PATH")?;
        ensure!(
            output.status.success(),
            "kubectl: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// A client of its API, over HTTPS as any other.
    pub async fn client(&self) -> anyhow::Result<Client> {
        client_of(self.status["kubeconfig"].as_str().unwrap_or_default()).await
    }

    pub fn gateway(&self) -> SocketAddr {
        let url = self.status["gatewayUrl"].as_str().unwrap_or_default();
        let port = url
            .trim_end_matches('/')
            .rsplit(':')
            .next()
            .and_then(|port| port.parse().ok())
            .unwrap_or(8080);
        SocketAddr::from((Ipv4Addr::LOCALHOST, port))
    }

    /// Creates services `<prefix>-0` … with this initial scale, in one call.
    pub fn create(&self, prefix: &str, count: usize, initial_scale: usize) -> anyhow::Result<()> {
        let image = format!("{}/hello", self.status["registry"].as_str().unwrap_or_default());
        let items: Vec<Value> = (0..count)
            .map(|index| {
                json!({
                    "apiVersion": "serving.knative.dev/v1", "kind": "Service",
                    "metadata": { "name": format!("{prefix}-{index}") },
                    "spec": { "template": {
                        "metadata": { "annotations": {
                            "autoscaling.knative.dev/initial-scale": initial_scale.to_string(),
                            "autoscaling.knative.dev/window": "6s",
                        } },
                        "spec": { "containers": [{ "image": image }] },
                    } },
                })
            })
            .collect();
        let file = self.folder.join("bench.json");
        std::fs::write(
            &file,
            serde_json::to_vec(&json!({ "apiVersion": "v1", "kind": "List", "items": items }))?,
        )?;
        self.kubectl(&["create", "-f", &file.to_string_lossy()])
            .map(|_| ())
    }

    pub fn ready(&self, prefix: &str) -> usize {
        let path = "jsonpath={range .items[*]}{.metadata.name} {.status.conditions[?(@.type==\"Ready\")].status}{\"\\n\"}{end}";
        let listed = self.kubectl(&["get", "ksvc", "-o", path]).unwrap_or_default();
        listed
            .lines()
            .filter(|line| line.starts_with(prefix) && line.ends_with(" True"))
            .count()
    }

    pub fn pods(&self) -> usize {
        self.kubectl(&["get", "pods", "-o", "name"])
            .map_or(usize::MAX, |listed| listed.lines().count())
    }

    pub fn stop(mut self) -> anyhow::Result<()> {
        Command::new("kill")
            .args(["-INT", &self.child.id().to_string()])
            .status()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = Command::new("kill")
                .args(["-INT", &self.child.id().to_string()])
                .status();
            let _ = self.child.wait();
        }
    }
}

/// A client of the cluster of a kubeconfig.
pub async fn client_of(kubeconfig: &str) -> anyhow::Result<Client> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

/// Looks until there is something to see.
pub fn wait<T>(what: &str, every: Duration, mut look: impl FnMut() -> Option<T>) -> anyhow::Result<T> {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(value) = look() {
            return Ok(value);
        }
        ensure!(Instant::now() < deadline, "timed out waiting for {what}");
        std::thread::sleep(every);
    }
}
