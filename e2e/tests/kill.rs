//! The server is killed at random instants, without a chance to clean up, and goes on where it was.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use e2e::remains::Remains;
use e2e::tools::{Case, Need};
use e2e::{Options, Platform, busybox, eventually, suite};
use serde_json::{Value, json};

const NEEDS: &[Need] = &[Need::Root, Need::Kubectl, Need::Curl, Need::Busybox];
/// Kills of each kind.
const ROUNDS: u32 = 3;
const PODS: usize = 4;

/// Random instants that can be had again: `SPINDRIFT_SEED=…` repeats a run.
struct Dice(u64);

impl Dice {
    fn new() -> Self {
        let given = std::env::var("SPINDRIFT_SEED")
            .ok()
            .and_then(|text| text.parse().ok());
        let now = || std::time::UNIX_EPOCH.elapsed().map_or(1, |since| since.as_secs());
        let seed = given.unwrap_or_else(now);
        say(&format!("SPINDRIFT_SEED={seed}"));
        Self(seed | 1)
    }

    /// A time below `limit` (xorshift64, Marsaglia 2003).
    fn below(&mut self, limit: Duration) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        limit.mul_f64((self.0 >> 11) as f64 / (1u64 << 53) as f64)
    }
}

#[expect(
    clippy::print_stderr,
    reason = "a test tells its seed where it is found after a failure"
)]
fn say(text: &str) {
    eprintln!("{text}");
}

/// `kubectl proxy`: the API without TLS, for requests by the hundred.
struct Proxy {
    child: Child,
    port: u16,
}

impl Proxy {
    fn start(platform: &Platform) -> anyhow::Result<Self> {
        let mut child = Command::new("kubectl")
            .arg("--kubeconfig")
            .arg(platform.data_dir().join("kubeconfig"))
            .args(["proxy", "--port=0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no output")?).read_line(&mut line)?;
        let port = line.trim().rsplit(':').next().and_then(|port| port.parse().ok());
        Ok(Self {
            child,
            port: port.with_context(|| format!("no port in {line:?}"))?,
        })
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a request and gives the status code.
fn send(port: u16, host: &str, method: &str, path: &str, body: &str) -> anyhow::Result<u16> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let code = answer.get(9..12).and_then(|code| std::str::from_utf8(code).ok());
    // An answer that was cut off is none.
    ensure!(answer.windows(4).any(|end| end == b"\r\n\r\n"), "cut off");
    Ok(code.context("no status")?.parse()?)
}

fn service(name: &str, image: &str, pods: usize) -> Value {
    json!({
        "apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"template": {
            "metadata": {"annotations": {"autoscaling.knative.dev/min-scale": pods.to_string()}},
            "spec": {"timeoutSeconds": 5, "containers": [{"image": image, "resources": {"requests": {"cpu": "10m"}}}]},
        }},
    })
}

/// Uids of the pods that the API has.
fn pods(platform: &Platform) -> anyhow::Result<BTreeSet<String>> {
    let list = platform.get(&["pods", "-A"])?;
    let items = list["items"].as_array().cloned().unwrap_or_default();
    let uids = items
        .iter()
        .filter_map(|pod| pod["metadata"]["uid"].as_str().map(str::to_owned));
    Ok(uids.collect())
}

/// Everything on the machine belongs to a pod that there is, and every pod has its part.
fn nothing_is_left_over(platform: &Platform, known: &mut BTreeSet<String>) -> anyhow::Result<()> {
    eventually(
        "the machine to have the pods of the API, and nothing else",
        || {
            let uids = pods(platform)?;
            known.extend(uids.iter().cloned());
            let found = Remains::of(platform.data_dir(), known)?;
            for (what, there) in [
                ("folders", &found.folders),
                ("shims", &found.shims),
                ("control groups", &found.groups),
                ("addresses", &found.addresses),
            ] {
                ensure!(*there == uids, "{what}: {there:?}, but pods: {uids:?}");
            }
            ensure!(
                found.stray_links.is_empty() && found.mounts.is_empty(),
                "{found:?}"
            );
            Ok(())
        },
    )
}

fn acknowledged_objects_survive(platform: &mut Platform, dice: &mut Dice, round: u32) -> anyhow::Result<()> {
    let proxy = Proxy::start(platform)?;
    let (done, next) = (AtomicBool::new(false), AtomicUsize::new(0));
    let acknowledged = Mutex::new(BTreeSet::new());
    let image = format!("{}/hello", platform.registry());
    let killed: anyhow::Result<()> = std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let name = format!("kept-{round}-{number}");
                    let (path, kind, body) = match number % 10 {
                        0 => (
                            "/apis/serving.knative.dev/v1/namespaces/default/services",
                            "service.serving.knative.dev",
                            service(&name, &image, 0),
                        ),
                        _ => (
                            "/api/v1/namespaces/default/configmaps",
                            "configmap",
                            json!({"metadata": {"name": name}, "data": {"text": "x".repeat(500)}}),
                        ),
                    };
                    let mut body = body;
                    if number % 10 == 0 {
                        // No pods: this is about what is stored.
                        body["spec"]["template"]["metadata"]["annotations"]["autoscaling.knative.dev/initial-scale"] = json!("0");
                    }
                    if matches!(send(proxy.port, "localhost", "POST", path, &body.to_string()), Ok(201)) {
                        acknowledged.lock().map(|mut all| all.insert(format!("{kind}/{name}"))).ok();
                    }
                }
            });
        }
        let acknowledged = || acknowledged.lock().map_or(0, |all| all.len());
        let start = Instant::now();
        while acknowledged() < 100 && start.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(dice.below(Duration::from_millis(500)));
        let killed = platform.kill();
        done.store(true, Ordering::Relaxed);
        killed
    });
    killed?;
    drop(proxy);
    let acknowledged = acknowledged.into_inner().unwrap_or_default();
    ensure!(
        acknowledged.len() >= 100,
        "only {} creates were acknowledged",
        acknowledged.len()
    );
    platform.restart()?;
    let there = platform
        .kubectl(&["get", "configmaps,ksvc", "-o", "name"])?
        .ok()?;
    let there: BTreeSet<&str> = there.lines().collect();
    let lost: Vec<&String> = acknowledged
        .iter()
        .filter(|name| !there.contains(name.as_str()))
        .collect();
    ensure!(
        lost.is_empty(),
        "of {} acknowledged objects are gone: {lost:?}",
        acknowledged.len()
    );
    platform
        .kubectl(&["delete", "ksvc", "--all", "--wait=false"])?
        .ok()?;
    Ok(())
}

/// Kills it while pods of a new service are pulled, started and probed, and while requests come in.
fn scale_up_goes_on(
    platform: &mut Platform,
    dice: &mut Dice,
    round: u32,
    known: &mut BTreeSet<String>,
) -> anyhow::Result<()> {
    // An image that was never unpacked: some instants lie between pull and start.
    let fresh = busybox::load(platform, &format!("fresh:{round}"))?;
    let name = format!("burst-{round}");
    let mut burst = service(&name, &fresh, PODS);
    burst["spec"]["template"]["spec"]["containers"][0]["command"] =
        json!(["httpd", "-f", "-p", "8080", "-h", "/tmp"]);
    let done = AtomicBool::new(false);
    let port = platform.http_port();
    let asked = AtomicUsize::new(0);
    let restarted: anyhow::Result<Duration> = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                if send(port, "web.default.localhost", "GET", "/", "").is_ok() {
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let result = (|| {
            platform.apply(&burst.to_string(), &[])?.ok()?;
            std::thread::sleep(dice.below(Duration::from_secs(3)));
            known.extend(pods(platform)?);
            platform.kill()?;
            let killed = Instant::now();
            platform.restart()?;
            eventually("the service to answer again", || {
                let code = send(platform.http_port(), "web.default.localhost", "GET", "/", "")?;
                ensure!(code == 200, "answered {code}");
                Ok(())
            })?;
            Ok(killed.elapsed())
        })();
        done.store(true, Ordering::Relaxed);
        result
    });
    let restarted = restarted?;
    ensure!(asked.load(Ordering::Relaxed) > 0, "no request was answered");
    ensure!(
        restarted < Duration::from_secs(60),
        "it took {restarted:?} until the service answered again"
    );
    platform
        .kubectl(&[
            "wait",
            "ksvc",
            &name,
            "web",
            "--for=condition=Ready",
            "--timeout=120s",
        ])?
        .ok()?;
    eventually("exactly the pods that are wanted", || {
        let selector = format!("serving.knative.dev/service={name}");
        let list = platform.get(&["pods", "-l", &selector])?;
        let items = list["items"].as_array().context("no list")?;
        let ready = items.iter().filter(|pod| {
            let conditions = pod["status"]["conditions"].as_array();
            conditions
                .into_iter()
                .flatten()
                .any(|c| c["type"] == "Ready" && c["status"] == "True")
        });
        let ready = ready.count();
        ensure!(
            items.len() == PODS && ready == PODS,
            "{} pods, {ready} ready",
            items.len()
        );
        Ok(())
    })?;
    nothing_is_left_over(platform, known)?;
    platform
        .kubectl(&["delete", "ksvc", &name, "--wait=false"])?
        .ok()?;
    Ok(())
}

fn nothing_at_all(platform: &Platform, known: &BTreeSet<String>) -> anyhow::Result<()> {
    let found = Remains::of(platform.data_dir(), known)?;
    let nothing = found.shims.is_empty()
        && found.groups.is_empty()
        && found.addresses.is_empty()
        && found.stray_links.is_empty()
        && found.mounts.is_empty();
    ensure!(nothing, "{found:?}");
    Ok(())
}

fn killed_servers_go_on_where_they_were() -> anyhow::Result<()> {
    let mut dice = Dice::new();
    let mut platform = Platform::start(Options::default())?;
    let mut known = BTreeSet::new();
    let web = service("web", &format!("{}/hello", platform.registry()), 1);
    platform.apply(&web.to_string(), &[])?.ok()?;
    platform
        .kubectl(&["wait", "ksvc/web", "--for=condition=Ready", "--timeout=60s"])?
        .ok()?;
    for round in 0..ROUNDS {
        scale_up_goes_on(&mut platform, &mut dice, round, &mut known)?;
    }
    for round in 0..ROUNDS {
        acknowledged_objects_survive(&mut platform, &mut dice, round)?;
        platform.apply(&web.to_string(), &[])?.ok()?;
        platform
            .kubectl(&["wait", "ksvc/web", "--for=condition=Ready", "--timeout=60s"])?
            .ok()?;
    }
    nothing_is_left_over(&platform, &mut known)?;

    // `spindrift down` after a kill: what was left behind goes.
    known.extend(pods(&platform)?);
    platform.kill()?;
    let down = e2e::run(
        platform
            .program("spindrift")
            .args(["down", "--data-dir"])
            .arg(platform.data_dir()),
    )?;
    down.ok()?;
    nothing_at_all(&platform, &known)?;
    // And it starts again, with everything that was stored; Ctrl-C leaves nothing either.
    platform.restart()?;
    eventually("the service to answer", || {
        let answer = platform.curl("web.default.localhost", "/", &[])?.ok()?;
        ensure!(answer.trim() == "Hello World!", "{answer}");
        Ok(())
    })?;
    known.extend(pods(&platform)?);
    let start = Instant::now();
    platform.stop()?;
    // Pods that end in time need no grace period, and nobody else takes over whom to wait for.
    ensure!(
        start.elapsed() < Duration::from_secs(20),
        "Ctrl-C took {:?}",
        start.elapsed()
    );
    nothing_at_all(&platform, &known)
}

fn main() -> ExitCode {
    suite(
        vec![Case {
            name: "killed_servers_go_on_where_they_were",
            needs: NEEDS,
            test: killed_servers_go_on_where_they_were,
        }],
        || Ok(()),
    )
}
