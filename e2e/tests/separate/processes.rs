//! A bare cluster, and the components of the platform as processes beside it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, ensure};
use e2e::programs::programs;
use e2e::{Output, eventually, free_port, run};
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use serde_json::Value;

const COMPONENTS: [&str; 13] = [
    "webhook",
    "controller",
    "autoscaler",
    "activator",
    "gateway",
    "eventing-controller",
    "broker",
    "event-sources",
    "event-sinks",
    "pipelines-controller",
    "resolvers",
    "run-archive",
    "push-controller",
];

static PLATFORM: Mutex<Option<Separate>> = Mutex::new(None);

/// A bare cluster with the components beside it.
pub(super) struct Separate {
    pub(super) data_dir: PathBuf,
    _temporary: tempfile::TempDir,
    cluster: Child,
    pub(super) components: BTreeMap<&'static str, Component>,
    pub(super) registry: String,
    pub(super) kubeconfig: String,
    pub(super) http_port: u16,
}

pub(super) struct Component {
    arguments: Vec<String>,
    health: u16,
    pub(super) process: Child,
}

pub(super) fn spindrift() -> anyhow::Result<Command> {
    let mut command = Command::new(programs()?.join("spindrift"));
    command.env("NO_COLOR", "1").stdin(Stdio::null());
    Ok(command)
}

impl Separate {
    fn start() -> anyhow::Result<Self> {
        let temporary = tempfile::Builder::new().prefix("spindrift-e2e-").tempdir()?;
        let data_dir = temporary.path().to_path_buf();
        let mut cluster = logged(&data_dir, "cluster", |command| {
            command
                // It tells what it denies to whom.
                .args([
                    "cluster",
                    "up",
                    "--log",
                    "info,cluster_apiserver::authz=debug",
                    "--data-dir",
                ])
                .arg(&data_dir);
        })?;
        let run_file = eventually("the cluster to be ready", || {
            ensure!(
                cluster.try_wait()?.is_none(),
                "it ended: {}",
                log(&data_dir, "cluster")
            );
            let run: Value = serde_json::from_str(&std::fs::read_to_string(data_dir.join("run.json"))?)?;
            ensure!(run["ready"] == true, "not ready: {}", log(&data_dir, "cluster"));
            Ok(run)
        });
        let text = |run: &Value, field: &str| run[field].as_str().unwrap_or_default().to_owned();
        let run_file = match run_file {
            Ok(run_file) => run_file,
            Err(error) => {
                let _ = cluster.kill();
                return Err(error);
            }
        };
        let mut platform = Self {
            registry: text(&run_file, "registry"),
            kubeconfig: text(&run_file, "kubeconfig"),
            http_port: free_port()?,
            components: BTreeMap::new(),
            _temporary: temporary,
            data_dir,
            cluster,
        };
        platform.install()?;
        Ok(platform)
    }

    fn install(&mut self) -> anyhow::Result<()> {
        let made = run(spindrift()?
            .args(["image", "components", "--data-dir"])
            .arg(&self.data_dir))?;
        let made = made.ok()?;
        let mut images = made.lines().map(str::to_owned);
        let sidecar = images.next().context("no sidecar was made")?;
        let entrypoint = images.next().context("no entrypoint was made")?;
        let listener = images.next().context("no event listener was made")?;
        // The API listens for pods at the address of this machine on their network.
        let inside = self
            .kubectl(&[
                "get",
                "endpointslice",
                "kubernetes",
                "-o",
                "jsonpath={.endpoints[0].addresses[0]}",
            ])?
            .ok()?;
        let port = self.http_port.to_string();
        let installed = [
            &["install", "--sidecar-image", &sidecar, "--domain", "localhost"][..],
            &["--component-address", &inside, "--gateway-port", &port],
        ]
        .concat();
        run(spindrift()?.env("KUBECONFIG", &self.kubeconfig).args(&installed))?.ok()?;
        let external = format!("127.0.0.1:{}", self.http_port);
        let at = |port: u16| format!("{inside}:{port}");
        let folder = self.data_dir.join("apart").to_string_lossy().into_owned();
        let key = self.data_dir.join("registry-key").to_string_lossy().into_owned();
        let runs = self.data_dir.join("runs-apart").to_string_lossy().into_owned();
        let arguments: [Vec<String>; 13] = [
            vec!["--listen".into(), at(8443)],
            vec![],
            vec!["--stats-address".into(), at(8080)],
            vec!["--listen".into(), inside.clone()],
            vec!["--external".into(), external, "--internal".into(), at(8081)],
            vec![],
            [
                ["--listen", &at(8082)],
                ["--listen-tls", &at(8445)],
                ["--dns", &at(53)],
                ["--events-dir", &folder],
            ]
            .concat()
            .into_iter()
            .map(str::to_owned)
            .collect(),
            vec!["--listen".into(), at(8083), "--dns".into(), at(53)],
            [
                ["--listen", &at(8084)],
                ["--listen-tls", &at(8446)],
                ["--request-reply", &at(8087)],
                ["--request-reply-tls", &at(8447)],
                ["--dns", &at(53)],
            ]
            .concat()
            .into_iter()
            .map(str::to_owned)
            .collect(),
            [
                ["--entrypoint-image", &entrypoint],
                ["--event-listener-image", &listener],
            ]
            .concat()
            .into_iter()
            .map(str::to_owned)
            .collect(),
            vec![],
            vec!["--listen".into(), at(8089), "--runs-dir".into(), runs],
            [
                ["--listen", &at(8085)],
                ["--builder-image", &self.builder_image()?],
                ["--registry", &self.registry],
                ["--pod-registry", &at(self.pods_port()?)],
                ["--pod-registry-key", &key],
            ]
            .concat()
            .into_iter()
            .map(str::to_owned)
            .collect(),
        ];
        for (name, arguments) in COMPONENTS.into_iter().zip(arguments) {
            let health = free_port()?;
            let process = self.spawn(name, &arguments, health)?;
            let component = Component {
                arguments,
                health,
                process,
            };
            self.components.insert(name, component);
        }
        for name in COMPONENTS {
            self.ready(name)?;
        }
        // Half a minute, six times, is a long time to wait for.
        let soon = r#"{"data": {"scale-to-zero-grace-period": "2s"}}"#;
        let map = ["-n", "knative-serving", "patch", "configmap", "config-autoscaler"];
        self.kubectl(&[&map[..], &["--type=merge", "-p", soon]].concat())?
            .ok()?;
        let wrong = r#"{"data": {"scale-to-zero-grace-period": "soon"}}"#;
        let refused = self.kubectl(&[&map[..], &["--type=merge", "-p", wrong]].concat())?;
        ensure!(
            refused
                .stderr
                .contains("admission webhook \"config.webhook.serving.knative.dev\" denied the request"),
            "{}",
            refused.text()
        );
        Ok(())
    }

    fn spawn(&self, name: &'static str, arguments: &[String], health: u16) -> anyhow::Result<Child> {
        let kubeconfig = self.credentials(name)?;
        logged(&self.data_dir, name, |command| {
            command
                .env("KUBECONFIG", kubeconfig)
                .args([name, "--log", "info", "--health-address"])
                .arg(format!("127.0.0.1:{health}"))
                .args(arguments);
        })
    }

    pub(super) fn ready(&self, name: &str) -> anyhow::Result<()> {
        let component = self.components.get(name).context("no such component")?;
        eventually(&format!("{name} to be ready"), || {
            let url = format!("http://127.0.0.1:{}/readyz", component.health);
            let answer = run(Command::new("curl").args(["-sS", "-f", "--max-time", "5", &url]))?;
            ensure!(answer.code == 0, "{}{}", answer.text(), log(&self.data_dir, name));
            Ok(())
        })
    }

    /// SIGTERM, and then the end by itself.
    pub(super) fn stop(&mut self, name: &'static str) -> anyhow::Result<()> {
        let component = self.components.get_mut(name).context("no such component")?;
        let id = Pid::from_raw(i32::try_from(component.process.id())?);
        signal::kill(id, Signal::SIGTERM)?;
        let status = eventually(&format!("the end of {name}"), || {
            component.process.try_wait()?.context("it runs")
        })?;
        ensure!(status.success(), "{name} ended with {status}");
        Ok(())
    }

    /// SIGKILL.
    pub(super) fn kill(&mut self, name: &'static str) -> anyhow::Result<()> {
        let component = self.components.get_mut(name).context("no such component")?;
        component.process.kill()?;
        component.process.wait()?;
        Ok(())
    }

    pub(super) fn start_again(&mut self, name: &'static str) -> anyhow::Result<()> {
        let component = self.components.get(name).context("no such component")?;
        let process = self.spawn(name, &component.arguments, component.health)?;
        if let Some(component) = self.components.get_mut(name) {
            component.process = process;
        }
        self.ready(name)
    }

    pub(super) fn program(&self, name: &str, arguments: &[&str]) -> anyhow::Result<Output> {
        run(Command::new(programs()?.join(name))
            .env("KUBECONFIG", &self.kubeconfig)
            .env("NO_COLOR", "1")
            .args(arguments))
    }

    pub(super) fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        run(Command::new("kubectl")
            .env("KUBECONFIG", &self.kubeconfig)
            .args(arguments))
    }

    /// Asks for `host` at `address`, `host:port`.
    pub(super) fn curl(&self, address: &str, host: &str) -> anyhow::Result<String> {
        let output = run(Command::new("curl").args([
            "-sS",
            "-f",
            "--max-time",
            "60",
            "-H",
            &format!("Host: {host}"),
            &format!("http://{address}/"),
        ]))?;
        Ok(output.ok()?.trim().to_owned())
    }

    pub(super) fn ask(&self, service: &str) -> anyhow::Result<String> {
        let gateway = format!("127.0.0.1:{}", self.http_port);
        self.curl(&gateway, &format!("{service}.default.localhost"))
    }

    pub(super) fn create(&self, name: &str) -> anyhow::Result<()> {
        let image = format!("{}/hello", self.registry);
        let short = "autoscaling.knative.dev/window=6s";
        let arguments = [
            "service",
            "create",
            name,
            "--image",
            &image,
            "--annotation-revision",
            short,
        ];
        self.program("kn", &arguments)?.ok()?;
        Ok(())
    }

    pub(super) fn at_zero(&self, service: &str) -> anyhow::Result<()> {
        let selector = format!("serving.knative.dev/service={service}");
        eventually("no pods", || {
            let pods = self
                .kubectl(&["get", "pods", "-l", &selector, "-o", "name"])?
                .ok()?;
            ensure!(pods.trim().is_empty(), "left: {pods}");
            Ok(())
        })
    }

    /// Asks the revision's own Service, whose endpoints at zero are the activators.
    pub(super) fn ask_revision(&self, revision: &str) -> anyhow::Result<String> {
        let field = "jsonpath={.spec.clusterIP}";
        let address = self.kubectl(&["get", "service", revision, "-o", field])?.ok()?;
        self.curl(address.trim(), &format!("{revision}.default.svc.cluster.local"))
    }

    /// Creates a Service that serving's admission must refuse.
    pub(super) fn refused(&self) -> anyhow::Result<()> {
        let file = tempfile::Builder::new().suffix(".yaml").tempfile()?;
        let manifest = format!(
            "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata:\n  name: bad\nspec:\n  template:\n    spec:\n      \
             containerConcurrency: -10\n      containers:\n        - image: {}/hello\n",
            self.registry
        );
        std::fs::write(file.path(), manifest)?;
        let path = file.path().to_string_lossy().into_owned();
        let answer = self.kubectl(&["create", "-f", &path])?;
        ensure!(answer.code != 0, "it was accepted");
        let expected = "admission webhook \"validation.webhook.serving.knative.dev\" denied the request: validation \
                        failed: expected 0 <= -10 <= 1000: spec.template.spec.containerConcurrency";
        ensure!(answer.stderr.contains(expected), "{}", answer.text());
        Ok(())
    }
}

impl Drop for Separate {
    fn drop(&mut self) {
        for component in self.components.values_mut() {
            let _ = component.process.kill();
            let _ = component.process.wait();
        }
        let stopped = spindrift().and_then(|mut command| {
            run(command.args(["down", "--data-dir"]).arg(&self.data_dir)).map(|_| ())
        });
        if stopped.is_err() {
            let _ = self.cluster.kill();
        }
        let _ = self.cluster.wait();
    }
}

pub(super) fn logged(
    data_dir: &std::path::Path,
    name: &str,
    arrange: impl FnOnce(&mut Command),
) -> anyhow::Result<Child> {
    let file = std::fs::File::options()
        .create(true)
        .append(true)
        .open(data_dir.join(format!("{name}.log")))?;
    let mut command = spindrift()?;
    arrange(&mut command);
    command
        .stdout(file.try_clone()?)
        .stderr(file)
        .spawn()
        .with_context(|| format!("cannot start {name}"))
}

pub(super) fn log(data_dir: &std::path::Path, name: &str) -> String {
    let text = std::fs::read_to_string(data_dir.join(format!("{name}.log"))).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// The platform, for one test at a time.
pub(super) fn platform() -> anyhow::Result<MutexGuard<'static, Option<Separate>>> {
    let mut platform = PLATFORM.lock().unwrap_or_else(PoisonError::into_inner);
    if platform.is_none() {
        *platform = Some(Separate::start()?);
    }
    Ok(platform)
}

pub(super) fn finish() -> anyhow::Result<()> {
    // It lives in a static, which is never dropped.
    drop(PLATFORM.lock().unwrap_or_else(PoisonError::into_inner).take());
    Ok(())
}
