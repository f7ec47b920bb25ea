//! The platform as a whole.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::{http, percentile, process, say};

/// How often the file is looked at that says when the platform is up.
const LOOK: Duration = Duration::from_millis(5);
/// How often kubectl is asked: it takes a tenth of a second of a core each time, which the platform is to have.
const ASK: Duration = Duration::from_millis(500);
/// Longest wait for one state.
const LIMIT: Duration = Duration::from_secs(180);
/// How long the idle platform is watched.
const IDLE: Duration = Duration::from_secs(20);

struct Instance {
    child: Child,
    folder: std::path::PathBuf,
    status: Value,
}

impl Instance {
    /// Starts `spindrift up` on `folder`; returns it with the time until it was ready.
    fn start(bin: &Path, folder: &Path) -> anyhow::Result<(Self, Duration)> {
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

    fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
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

    fn gateway(&self) -> SocketAddr {
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
    fn create(&self, prefix: &str, count: usize, initial_scale: usize) -> anyhow::Result<()> {
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

    fn ready(&self, prefix: &str) -> usize {
        let path = "jsonpath={range .items[*]}{.metadata.name} {.status.conditions[?(@.type==\"Ready\")].status}{\"\\n\"}{end}";
        let listed = self.kubectl(&["get", "ksvc", "-o", path]).unwrap_or_default();
        listed
            .lines()
            .filter(|line| line.starts_with(prefix) && line.ends_with(" True"))
            .count()
    }

    fn pods(&self) -> usize {
        self.kubectl(&["get", "pods", "-o", "name"])
            .map_or(usize::MAX, |listed| listed.lines().count())
    }

    fn stop(mut self) -> anyhow::Result<()> {
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

fn wait<T>(what: &str, every: Duration, mut look: impl FnMut() -> Option<T>) -> anyhow::Result<T> {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(value) = look() {
            return Ok(value);
        }
        ensure!(Instant::now() < deadline, "timed out waiting for {what}");
        std::thread::sleep(every);
    }
}

/// Measures and prints.
pub fn measure(bin: &Path, wakes: usize, together: usize, created: usize) -> anyhow::Result<()> {
    let folder = std::env::temp_dir().join(format!("spindrift-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let (instance, cold) = Instance::start(bin, &folder)?;
    say(&format!(
        "up on an empty folder                {:8.2} s",
        cold.as_secs_f64()
    ));
    idle(&instance)?;
    one_after_the_other(&instance, wakes)?;
    at_once(&instance, together)?;
    if created > 0 {
        create_together(&instance, created)?;
    }
    instance.stop()?;
    let (instance, warm) = Instance::start(bin, &folder)?;
    say(&format!(
        "up again on what is stored           {:8.2} s",
        warm.as_secs_f64()
    ));
    instance.stop()?;
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

fn idle(instance: &Instance) -> anyhow::Result<()> {
    let pid = instance.child.id();
    let before = process::cpu_seconds(pid)?;
    std::thread::sleep(IDLE);
    let share = (process::cpu_seconds(pid)? - before) / IDLE.as_secs_f64() * 100.0;
    say(&format!(
        "idle, without user pods: resident    {:8.1} MiB",
        process::resident_mib(pid)?
    ));
    say(&format!(
        "idle, without user pods: CPU         {share:8.2} % of a core"
    ));
    Ok(())
}

/// Each wake-up is that of a service which has never had a pod, so that none is left from before.
fn one_after_the_other(instance: &Instance, wakes: usize) -> anyhow::Result<()> {
    instance.create("wake", wakes, 0)?;
    wait("the services", ASK, || {
        (instance.ready("wake-") == wakes).then_some(())
    })?;
    let mut times = Vec::new();
    for index in 0..wakes {
        let answer = http::get(instance.gateway(), &format!("wake-{index}.default.localhost"))?;
        ensure!(answer.status == 200, "wake-{index} answered {}", answer.status);
        times.push(answer.first_byte.as_secs_f64() * 1000.0);
    }
    times.sort_by(f64::total_cmp);
    say(&format!(
        "wake from zero to the first byte     {:8.0} ms p50, {:.0} ms p99 ({wakes} wake-ups)",
        percentile(&times, 0.5),
        percentile(&times, 0.99)
    ));
    let sidecars: Vec<f64> = process::named("queue-proxy")
        .into_iter()
        .filter_map(|pid| process::resident_mib(pid).ok())
        .collect();
    if let Some(largest) = sidecars.iter().copied().reduce(f64::max) {
        say(&format!(
            "queue-proxy after one request        {largest:8.1} MiB resident (largest of {})",
            sidecars.len()
        ));
    }
    instance.kubectl(&["delete", "ksvc", "--all"])?;
    wait("the pods to go", ASK, || (instance.pods() == 0).then_some(()))
}

fn at_once(instance: &Instance, count: usize) -> anyhow::Result<()> {
    instance.create("burst", count, 0)?;
    wait("the services", ASK, || {
        (instance.ready("burst-") == count).then_some(())
    })?;
    let gateway = instance.gateway();
    let start = Instant::now();
    let requests: Vec<_> = (0..count)
        .map(|index| {
            std::thread::spawn(move || http::get(gateway, &format!("burst-{index}.default.localhost")))
        })
        .collect();
    let answered = requests
        .into_iter()
        .filter_map(|request| request.join().ok()?.ok())
        .filter(|answer| answer.status == 200)
        .count();
    say(&format!(
        "{count} services woken at once            {:8.2} s, {answered} answered 200",
        start.elapsed().as_secs_f64()
    ));
    instance.kubectl(&["delete", "ksvc", "--all"])?;
    wait("the pods to go", ASK, || (instance.pods() == 0).then_some(()))
}

fn create_together(instance: &Instance, count: usize) -> anyhow::Result<()> {
    let start = Instant::now();
    instance.create("many", count, 1)?;
    wait("the services", ASK, || {
        (instance.ready("many-") == count).then_some(())
    })?;
    say(&format!(
        "{count} services created, all Ready       {:8.1} s",
        start.elapsed().as_secs_f64()
    ));
    wait("the pods to go", ASK, || (instance.pods() == 0).then_some(()))?;
    say(&format!(
        "and at zero again after              {:8.1} s",
        start.elapsed().as_secs_f64()
    ));
    let pid = instance.child.id();
    let before = process::cpu_seconds(pid)?;
    std::thread::sleep(IDLE);
    let share = (process::cpu_seconds(pid)? - before) / IDLE.as_secs_f64() * 100.0;
    say(&format!(
        "with {count} services at zero: resident  {:8.1} MiB",
        process::resident_mib(pid)?
    ));
    say(&format!(
        "with {count} services at zero: CPU       {share:8.2} % of a core"
    ));
    Ok(())
}
