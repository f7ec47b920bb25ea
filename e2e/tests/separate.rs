//! The platform as separate processes against a bare cluster, as Deployments would run it: nothing may hide in shared
//! memory, each process may be killed at any time, and each has an account of its own.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, ensure};
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

use e2e::programs::programs;
use e2e::tools::Need;
use e2e::{Output, cases, eventually, free_port, run, suite};
use serde_json::{Value, json};

const NEEDS: &[Need] = &[
    Need::Root,
    Need::Kubectl,
    Need::Curl,
    Need::Busybox,
    Need::Buildah,
    Need::Git,
];
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

#[path = "separate/builds.rs"]
mod builds;
#[path = "separate/pipelines.rs"]
mod pipelines;
#[path = "separate/rights.rs"]
mod rights;

use builds::a_folder_becomes_a_service;
use pipelines::{
    a_task_from_elsewhere_runs_and_is_remembered, an_event_listener_makes_what_its_triggers_say,
};
use rights::{
    accounts_may_do_all_they_need, accounts_may_do_no_more_than_they_need, kinds_of_events_become_ready,
};

static PLATFORM: Mutex<Option<Separate>> = Mutex::new(None);

/// A bare cluster with the components beside it.
struct Separate {
    data_dir: PathBuf,
    _temporary: tempfile::TempDir,
    cluster: Child,
    components: BTreeMap<&'static str, Component>,
    registry: String,
    kubeconfig: String,
    http_port: u16,
}

struct Component {
    arguments: Vec<String>,
    health: u16,
    process: Child,
}

fn spindrift() -> anyhow::Result<Command> {
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

    fn ready(&self, name: &str) -> anyhow::Result<()> {
        let component = self.components.get(name).context("no such component")?;
        eventually(&format!("{name} to be ready"), || {
            let url = format!("http://127.0.0.1:{}/readyz", component.health);
            let answer = run(Command::new("curl").args(["-sS", "-f", "--max-time", "5", &url]))?;
            ensure!(answer.code == 0, "{}{}", answer.text(), log(&self.data_dir, name));
            Ok(())
        })
    }

    /// SIGTERM, and then the end by itself.
    fn stop(&mut self, name: &'static str) -> anyhow::Result<()> {
        let component = self.components.get_mut(name).context("no such component")?;
        let id = Pid::from_raw(i32::try_from(component.process.id())?);
        signal::kill(id, Signal::SIGTERM)?;
        let status = eventually(&format!("the end of {name}"), || {
            component.process.try_wait()?.context("it runs")
        })?;
        ensure!(status.success(), "{name} ended with {status}");
        Ok(())
    }

    /// Holders of the leases of events whose names start with `prefix`: empty if nobody holds it.
    fn holders(&self, prefix: &str) -> anyhow::Result<Vec<String>> {
        let fields = r#"jsonpath={range .items[*]}{.metadata.name} {.spec.holderIdentity}{"\n"}{end}"#;
        let text = self
            .kubectl(&["-n", "knative-eventing", "get", "leases", "-o", fields])?
            .ok()?;
        let leases = text.lines().filter_map(|line| line.split_once(' '));
        let holders = leases.filter(|(name, _)| name.starts_with(prefix));
        Ok(holders.map(|(_, holder)| holder.to_owned()).collect())
    }

    /// SIGKILL.
    fn kill(&mut self, name: &'static str) -> anyhow::Result<()> {
        let component = self.components.get_mut(name).context("no such component")?;
        component.process.kill()?;
        component.process.wait()?;
        Ok(())
    }

    fn start_again(&mut self, name: &'static str) -> anyhow::Result<()> {
        let component = self.components.get(name).context("no such component")?;
        let process = self.spawn(name, &component.arguments, component.health)?;
        if let Some(component) = self.components.get_mut(name) {
            component.process = process;
        }
        self.ready(name)
    }

    fn program(&self, name: &str, arguments: &[&str]) -> anyhow::Result<Output> {
        run(Command::new(programs()?.join(name))
            .env("KUBECONFIG", &self.kubeconfig)
            .env("NO_COLOR", "1")
            .args(arguments))
    }

    fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        run(Command::new("kubectl")
            .env("KUBECONFIG", &self.kubeconfig)
            .args(arguments))
    }

    /// Asks for `host` at `address`, `host:port`.
    fn curl(&self, address: &str, host: &str) -> anyhow::Result<String> {
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

    fn ask(&self, service: &str) -> anyhow::Result<String> {
        let gateway = format!("127.0.0.1:{}", self.http_port);
        self.curl(&gateway, &format!("{service}.default.localhost"))
    }

    fn create(&self, name: &str) -> anyhow::Result<()> {
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

    fn at_zero(&self, service: &str) -> anyhow::Result<()> {
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
    fn ask_revision(&self, revision: &str) -> anyhow::Result<String> {
        let field = "jsonpath={.spec.clusterIP}";
        let address = self.kubectl(&["get", "service", revision, "-o", field])?.ok()?;
        self.curl(address.trim(), &format!("{revision}.default.svc.cluster.local"))
    }

    /// Creates a Service that serving's admission must refuse.
    fn refused(&self) -> anyhow::Result<()> {
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

fn logged(
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

fn log(data_dir: &std::path::Path, name: &str) -> String {
    let text = std::fs::read_to_string(data_dir.join(format!("{name}.log"))).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// The platform, for one test at a time.
fn platform() -> anyhow::Result<MutexGuard<'static, Option<Separate>>> {
    let mut platform = PLATFORM.lock().unwrap_or_else(PoisonError::into_inner);
    if platform.is_none() {
        *platform = Some(Separate::start()?);
    }
    Ok(platform)
}

fn separate_processes_serve_refuse_scale_to_zero_and_wake() -> anyhow::Result<()> {
    let platform = platform()?;
    let platform = platform.as_ref().context("it does not run")?;
    platform.create("web")?;
    ensure!(platform.ask("web")? == "Hello World!");
    platform.refused()?;
    platform.at_zero("web")?;
    ensure!(platform.ask("web")? == "Hello World!", "the gateway wakes it");
    platform.at_zero("web")?;
    ensure!(
        platform.ask_revision("web-00001")? == "Hello World!",
        "the activator wakes it"
    );
    platform.program("kn", &["service", "delete", "web"])?.ok()?;
    Ok(())
}

fn every_component_may_be_killed_and_started_again() -> anyhow::Result<()> {
    let mut platform = platform()?;
    let platform = platform.as_mut().context("it does not run")?;
    platform.create("tough")?;
    ensure!(platform.ask("tough")? == "Hello World!");

    // Nobody but the gateway is needed for what runs already.
    for name in ["webhook", "controller", "autoscaler", "activator"] {
        platform.kill(name)?;
        ensure!(platform.ask("tough")? == "Hello World!", "without {name}");
    }
    // Writes wait for the webhook: without it nothing unchecked gets in.
    let update = ["service", "update", "tough", "--env", "TARGET=again"];
    let unchecked = platform.program("kn", &update)?;
    ensure!(
        unchecked.code != 0 && unchecked.stderr.contains("failed calling webhook"),
        "{}",
        unchecked.text()
    );
    for name in ["webhook", "controller", "autoscaler", "activator"] {
        platform.start_again(name)?;
    }
    platform.refused()?;
    platform.program("kn", &update)?.ok()?;
    ensure!(platform.ask("tough")? == "Hello again!");
    platform.at_zero("tough")?;
    ensure!(platform.ask_revision("tough-00002")? == "Hello again!");

    platform.kill("gateway")?;
    ensure!(platform.ask("tough").is_err(), "somebody else answers");
    platform.start_again("gateway")?;
    eventually("the gateway to know its routes", || {
        ensure!(platform.ask("tough")? == "Hello again!");
        Ok(())
    })?;
    platform.at_zero("tough")?;
    ensure!(platform.ask("tough")? == "Hello again!");
    platform.program("kn", &["service", "delete", "tough"])?.ok()?;
    Ok(())
}

impl Separate {
    /// Posts to a Service of events through the gateway; returns the status.
    fn post(&self, service: &str, path: &str, id: &str) -> anyhow::Result<String> {
        let host = format!("Host: {service}.knative-eventing.localhost");
        let (id, url) = (
            format!("ce-id: {id}"),
            format!("http://127.0.0.1:{}{path}", self.http_port),
        );
        let headers = [
            "ce-specversion: 1.0",
            "ce-type: dev.example.hello",
            "ce-source: /me",
        ];
        let mut curl = Command::new("curl");
        curl.args([
            "-sS",
            "--max-time",
            "60",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "-d",
            "x",
            "-H",
            &host,
        ]);
        curl.args(headers.iter().flat_map(|header| ["-H", header]));
        run(curl.args(["-H", &id, &url]))?.ok()
    }

    fn displays(&self, ids: &[String]) -> anyhow::Result<()> {
        eventually("the events to be displayed", || {
            let display = ["logs", "deploy/display-00001-deployment", "-c", "user-container"];
            let text = self.kubectl(&display)?.ok()?;
            let seen: Vec<&str> = text
                .lines()
                .filter_map(|line| line.strip_prefix("  id: "))
                .collect();
            let missing: Vec<_> = ids
                .iter()
                .filter(|id| !seen.contains(&id.as_str()))
                .take(5)
                .collect();
            ensure!(missing.is_empty(), "missing {missing:?} … of {}", ids.len());
            Ok(())
        })
    }

    fn apply(&self, object: &Value) -> anyhow::Result<()> {
        let file = tempfile::Builder::new().suffix(".json").tempfile()?;
        std::fs::write(file.path(), object.to_string())?;
        let path = file.path().to_string_lossy().into_owned();
        self.kubectl(&["apply", "-f", &path])?.ok()?;
        Ok(())
    }

    fn is_ready(&self, object: &str) -> anyhow::Result<()> {
        self.kubectl(&["wait", object, "--for=condition=Ready", "--timeout=90s"])?
            .ok()?;
        Ok(())
    }
}

fn no_accepted_event_is_lost_when_components_of_events_are_killed() -> anyhow::Result<()> {
    let mut platform = platform()?;
    let platform = platform.as_mut().context("it does not run")?;
    platform.program("kn", &["broker", "create", "default"])?.ok()?;
    let image = format!("{}/event-display", platform.registry);
    let stays = "autoscaling.knative.dev/min-scale=1";
    let service = [
        "service",
        "create",
        "display",
        "--image",
        &image,
        "--annotation-revision",
        stays,
    ];
    platform.program("kn", &service)?.ok()?;
    let trigger = [
        "trigger",
        "create",
        "all",
        "--broker",
        "default",
        "--sink",
        "ksvc:display",
    ];
    platform.program("kn", &trigger)?.ok()?;
    platform.is_ready("trigger/all")?;
    let mut accepted = Vec::new();
    let mut post = |platform: &Separate, id: String| {
        let code = platform.post("broker-ingress", "/default/default", &id)?;
        ensure!(code == "202", "event {id}: {code}");
        accepted.push(id);
        anyhow::Ok(())
    };
    post(platform, "first".to_owned())?;
    // Only the broker is needed for what is set up already.
    platform.kill("eventing-controller")?;
    platform.kill("event-sources")?;
    post(platform, "alone".to_owned())?;
    for number in 0..30 {
        post(platform, number.to_string())?;
    }
    platform.kill("broker")?;
    let code = platform.post("broker-ingress", "/default/default", "refused")?;
    ensure!(code.starts_with('5'), "somebody else accepts: {code}");
    platform.start_again("broker")?;
    post(platform, "last".to_owned())?;
    platform.displays(&accepted)?;

    platform.start_again("eventing-controller")?;
    platform.start_again("event-sources")?;
    let code = platform.post("github-source", "/default/none", "x")?;
    ensure!(code == "404", "the receiver of webhooks: {code}");
    // Those that were killed could not give their leases back; these wait for their end, and then work.
    platform.program("kn", &["broker", "create", "second"])?.ok()?;
    platform.is_ready("broker/second")?;
    gives_leases_back(platform)
}

fn an_event_waits_for_what_makes_its_job() -> anyhow::Result<()> {
    let mut platform = platform()?;
    let platform = platform.as_mut().context("it does not run")?;
    let image = format!("{}/event-display", platform.registry);
    let pod = json!({ "restartPolicy": "Never", "containers": [{ "name": "c", "image": image }] });
    let sink = json!({ "apiVersion": "sinks.knative.dev/v1alpha1", "kind": "JobSink" });
    let with = |mut object: Value, name: &str, spec: Value| {
        object["metadata"] = json!({ "name": name });
        object["spec"] = spec;
        object
    };
    let mut subscriber = sink.clone();
    subscriber["name"] = "late".into();
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": [
        with(sink, "late", json!({ "job": { "spec": { "template": { "spec": pod }, "suspend": true } } })),
        with(
            json!({ "apiVersion": "eventing.knative.dev/v1", "kind": "Trigger" }),
            "late",
            json!({ "broker": "late", "subscriber": { "ref": subscriber } }),
        ),
    ]});
    platform.program("kn", &["broker", "create", "late"])?.ok()?;
    let file = platform.data_dir.join("late.json");
    std::fs::write(&file, list.to_string())?;
    platform
        .kubectl(&["apply", "-f", &file.to_string_lossy()])?
        .ok()?;
    platform.is_ready("jobsink/late")?;
    platform.is_ready("trigger/late")?;

    platform.kill("event-sinks")?;
    for _ in 0..2 {
        let code = platform.post("broker-ingress", "/default/late", "same")?;
        ensure!(code == "202", "{code}");
    }
    platform.start_again("event-sinks")?;
    let jobs = |platform: &Separate, expected: usize| {
        eventually("the jobs of the events", || {
            let label = "sinks.knative.dev/job-sink-name=late";
            let names = platform
                .kubectl(&["get", "jobs", "-l", label, "-o", "name"])?
                .ok()?;
            ensure!(names.lines().count() == expected, "{names:?} and not {expected}");
            Ok(())
        })
    };
    jobs(platform, 1)?;
    let code = platform.post("broker-ingress", "/default/late", "other")?;
    ensure!(code == "202", "{code}");
    jobs(platform, 2)?;
    platform.stop("event-sinks")?;
    platform.start_again("event-sinks")
}

fn a_request_gets_an_answer() -> anyhow::Result<()> {
    let platform = platform()?;
    let platform = platform.as_ref().context("it does not run")?;
    platform.program("kn", &["broker", "create", "asked"])?.ok()?;
    let image = format!("{}/event-display", platform.registry);
    let service = ["service", "create", "answers", "--image", &image];
    let answer = ["--env", "REPLY_TYPE=dev.example.answer"];
    platform
        .program("kn", &[&service[..], &answer[..]].concat())?
        .ok()?;
    let trigger = ["trigger", "create", "questions", "--broker", "asked"];
    let filter = ["--filter", "type=dev.example.hello", "--sink", "ksvc:answers"];
    platform
        .program("kn", &[&trigger[..], &filter[..]].concat())?
        .ok()?;
    platform.apply(&json!({
        "apiVersion": "eventing.knative.dev/v1alpha1", "kind": "RequestReply", "metadata": { "name": "front" },
        "spec": { "timeout": "PT30S", "brokerRef": {
            "apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "name": "asked",
        }},
    }))?;
    for object in ["broker/asked", "trigger/questions", "requestreply/front"] {
        platform.is_ready(object)?;
    }
    // The processes may not know yet what is ready.
    eventually("an answer", || {
        let code = platform.post("request-reply", "/default/front", "question")?;
        ensure!(code == "200", "{code}");
        Ok(())
    })
}

/// The one that comes next need not wait for the end of the leases.
fn gives_leases_back(platform: &mut Separate) -> anyhow::Result<()> {
    for (name, prefix) in [
        ("eventing-controller", "eventing-controller."),
        ("event-sources", "event-sources."),
    ] {
        let process = platform.components.get(name).context("no such component")?;
        let identity = format!("_{}", process.process.id());
        eventually("it to hold all leases", || {
            let holders = platform.holders(prefix)?;
            let all = !holders.is_empty() && holders.iter().all(|holder| holder.ends_with(&identity));
            ensure!(all, "{prefix}: {holders:?}");
            Ok(())
        })?;
        platform.stop(name)?;
        let holders = platform.holders(prefix)?;
        ensure!(holders.iter().all(String::is_empty), "{prefix}: {holders:?}");
        platform.start_again(name)?;
    }
    platform.program("kn", &["broker", "create", "third"])?.ok()?;
    platform.is_ready("broker/third")
}

fn finish() -> anyhow::Result<()> {
    // It lives in a static, which is never dropped.
    drop(PLATFORM.lock().unwrap_or_else(PoisonError::into_inner).take());
    Ok(())
}

fn main() -> ExitCode {
    suite(
        cases![NEEDS => [
            separate_processes_serve_refuse_scale_to_zero_and_wake,
            every_component_may_be_killed_and_started_again,
            no_accepted_event_is_lost_when_components_of_events_are_killed,
            an_event_waits_for_what_makes_its_job,
            a_request_gets_an_answer,
            a_task_from_elsewhere_runs_and_is_remembered,
            an_event_listener_makes_what_its_triggers_say,
            a_folder_becomes_a_service,
            kinds_of_events_become_ready,
            accounts_may_do_no_more_than_they_need,
            accounts_may_do_all_they_need,
        ]],
        finish,
    )
}
