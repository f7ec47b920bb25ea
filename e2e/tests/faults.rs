//! What goes wrong in the field, on one platform: bad deployments, bad registries, containers that resist.

use std::io::Write;
use std::process::ExitCode;
use std::sync::{OnceLock, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use anyhow::ensure;
use e2e::registry::{Fault, Registry};
use e2e::tools::Need;
use e2e::{Options, Platform, busybox, cases, eventually, shared, stop_shared, suite};
use serde_json::{Value, json};

const NEEDS: &[Need] = &[Need::Root, Need::Kubectl, Need::Curl, Need::Busybox];

struct World {
    platform: &'static Platform,
    /// An image with a shell.
    tools: String,
}

fn world() -> anyhow::Result<&'static World> {
    static WORLD: OnceLock<Result<World, String>> = OnceLock::new();
    let made = WORLD.get_or_init(|| {
        let make = || {
            let platform = shared()?;
            let tools = busybox::load(platform, "tools:v1")?;
            let features = r#"{"data": {"kubernetes.podspec-init-containers": "enabled"}}"#;
            let patch = [
                "patch",
                "cm/config-features",
                "-n",
                "knative-serving",
                "-p",
                features,
            ];
            platform.kubectl(&patch)?.ok()?;
            Ok(World { platform, tools })
        };
        make().map_err(|error: anyhow::Error| format!("{error:?}"))
    });
    made.as_ref().map_err(|error| anyhow::anyhow!("{error}"))
}

/// Held for reading by whoever changes objects of the shared platform, for writing by whoever counts changes.
static QUIET: RwLock<()> = RwLock::new(());

fn busy() -> RwLockReadGuard<'static, ()> {
    QUIET.read().unwrap_or_else(PoisonError::into_inner)
}

/// A Service with one container; pods get 20 s to become ready.
fn service(name: &str, container: &Value) -> Value {
    json!({
        "apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"template": {
            "metadata": {"annotations": {"serving.knative.dev/progress-deadline": "20s"}},
            "spec": {"timeoutSeconds": 5, "containers": [container]},
        }},
    })
}

fn shell(image: &str, script: &str) -> Value {
    json!({"image": image, "command": ["sh", "-c", script]})
}

fn condition(object: &Value, kind: &str) -> Value {
    let all = object["status"]["conditions"].as_array();
    let found = all
        .into_iter()
        .flatten()
        .find(|condition| condition["type"] == kind);
    found.cloned().unwrap_or_default()
}

/// A deployment that cannot work, and where its cause has to be told.
struct Bad {
    name: &'static str,
    service: Value,
    condition: &'static str,
    reasons: &'static [&'static str],
    message: String,
}

fn bad(
    name: &'static str,
    container: Value,
    condition: &'static str,
    reasons: &'static [&'static str],
    message: impl Into<String>,
) -> Bad {
    let mut container = container;
    // Small requests: all of them fit on any machine.
    container["resources"]["requests"] = json!({"cpu": "10m"});
    Bad {
        name,
        service: service(name, &container),
        condition,
        reasons,
        message: message.into(),
    }
}

const MISSING: &[&str] = &["ContainerMissing"];
const UNREADY: &[&str] = &["ProgressDeadlineExceeded"];
const PULL: &[&str] = &["ErrImagePull", "ImagePullBackOff"];

fn bad_deployments(world: &World, registries: &Registries) -> Vec<Bad> {
    let tools = world.tools.as_str();
    let image = |image: String| json!({"image": image});
    let lookup = "failed to resolve image to digest";
    let serve = "exec httpd -f -p 8080 -h /tmp";
    let mut oom = shell(tools, "head -c 200000000 /dev/zero | tail -c 200000000");
    oom["resources"] = json!({"limits": {"memory": "50Mi"}});
    let mut unready = shell(tools, serve);
    unready["readinessProbe"] = json!({"httpGet": {"path": "/no/such/page"}});
    let mut no_map = shell(tools, serve);
    no_map["env"] = json!([{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "nope", "key": "k"}}}]);
    let mut no_secret = shell(tools, serve);
    no_secret["envFrom"] = json!([{"secretRef": {"name": "nope"}}]);
    let mut init = bad(
        "init",
        shell(tools, serve),
        "ContainerHealthy",
        &["ExitCode4"],
        "no schema",
    );
    init.service["spec"]["template"]["spec"]["initContainers"] =
        json!([{"name": "migrate", "image": tools, "command": ["sh", "-c", "echo no schema; exit 4"]}]);
    let absent = format!("{}/absent:v1", world.platform.registry());
    vec![
        bad("absent", image(absent), "ContainerHealthy", MISSING, lookup),
        bad(
            "unreachable",
            image("localhost:1/app:v1".into()),
            "ContainerHealthy",
            MISSING,
            "Connection refused",
        ),
        bad(
            "hanging",
            image(registries.hangs.image()),
            "ContainerHealthy",
            MISSING,
            "did not answer within",
        ),
        bad(
            "refused",
            image(registries.unauthorized.image()),
            "ContainerHealthy",
            MISSING,
            "401",
        ),
        bad(
            "broken",
            image(registries.broken.image()),
            "ContainerHealthy",
            MISSING,
            "500",
        ),
        bad(
            "wrong-bytes",
            image(registries.wrong.image()),
            "ResourcesAvailable",
            PULL,
            "has digest",
        ),
        bad(
            "stalling",
            image(registries.stalls.image()),
            "ResourcesAvailable",
            PULL,
            "stopped sending",
        ),
        bad(
            "crash",
            shell(tools, "echo no database; exit 7"),
            "ContainerHealthy",
            &["ExitCode7"],
            "no database",
        ),
        bad(
            "command",
            json!({"image": tools, "command": ["/no/such"]}),
            "ContainerHealthy",
            &["ExitCode128"],
            "/no/such",
        ),
        bad("oom", oom, "ContainerHealthy", &["ExitCode137"], ""),
        bad(
            "port",
            shell(tools, "exec httpd -f -p 9999"),
            "ResourcesAvailable",
            UNREADY,
            "readiness probe",
        ),
        bad(
            "unready",
            unready,
            "ResourcesAvailable",
            UNREADY,
            "readiness probe",
        ),
        bad(
            "no-map",
            no_map,
            "ResourcesAvailable",
            &["CreateContainerConfigError"],
            "configmap \"nope\" not found",
        ),
        bad(
            "no-secret",
            no_secret,
            "ResourcesAvailable",
            &["CreateContainerConfigError"],
            "secret \"nope\" not found",
        ),
        init,
    ]
}

struct Registries {
    hangs: Registry,
    unauthorized: Registry,
    broken: Registry,
    wrong: Registry,
    stalls: Registry,
}

impl Registries {
    fn start() -> anyhow::Result<Self> {
        Ok(Self {
            hangs: Registry::start(Fault::Hangs)?,
            unauthorized: Registry::start(Fault::Unauthorized)?,
            broken: Registry::start(Fault::Broken)?,
            wrong: Registry::start(Fault::WrongBytes)?,
            stalls: Registry::start(Fault::Stalls)?,
        })
    }
}

fn every_bad_deployment_names_its_cause_and_costs_little() -> anyhow::Result<()> {
    let world = world()?;
    let platform = world.platform;
    let registries = Registries::start()?;
    let all = bad_deployments(world, &registries);
    let namespace = "bad";
    platform.kubectl(&["create", "namespace", namespace])?.ok()?;
    let list: Vec<&Value> = all.iter().map(|bad| &bad.service).collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": list}).to_string();
    let start = Instant::now();
    platform.apply(&list, &["-n", namespace])?.ok()?;
    let mut open: Vec<&Bad> = all.iter().collect();
    eventually("all causes to be told", || {
        let revisions = platform.get(&["revisions", "-n", namespace])?;
        let services = platform.get(&["ksvc", "-n", namespace])?;
        open.retain(|bad| tells(bad, &revisions, &services).is_err());
        match open.first() {
            None => Ok(()),
            Some(bad) => tells(bad, &revisions, &services),
        }
    })?;
    // The slowest is a registry that stalls: 30 s of silence are allowed.
    ensure!(
        start.elapsed() < Duration::from_secs(120),
        "{:?}",
        start.elapsed()
    );

    // What failed is tried again, with pauses that grow.
    // Most writes are those of events: a failing probe is counted each second, for each of a dozen pods.
    let _quiet = QUIET.write().unwrap_or_else(PoisonError::into_inner);
    let version = || -> anyhow::Result<u64> {
        let list = platform
            .kubectl(&["get", "--raw", "/api/v1/namespaces/bad/configmaps"])?
            .ok()?;
        let list: Value = serde_json::from_str(&list)?;
        Ok(list["metadata"]["resourceVersion"]
            .as_str()
            .unwrap_or_default()
            .parse()?)
    };
    let (before, asked) = (version()?, registries.broken.requests());
    std::thread::sleep(Duration::from_secs(10));
    let writes = version()? - before;
    ensure!(
        writes < 300,
        "{writes} writes in ten seconds in which nothing happens"
    );
    ensure!(
        registries.broken.requests() - asked <= 4,
        "a broken registry is hammered"
    );
    let pods = platform.get(&["pods", "-n", namespace])?;
    for pod in pods["items"].as_array().into_iter().flatten() {
        for container in pod["status"]["containerStatuses"]
            .as_array()
            .into_iter()
            .flatten()
        {
            ensure!(
                container["restartCount"].as_u64() < Some(8),
                "restarts in a loop: {pod:#}"
            );
        }
    }
    platform
        .kubectl(&["delete", "namespace", namespace, "--wait=false"])?
        .ok()?;
    Ok(())
}

/// Whether Revision, Configuration and Service of a bad deployment say what they should.
fn tells(bad: &Bad, revisions: &Value, services: &Value) -> anyhow::Result<()> {
    let find = |list: &Value, name: &str| {
        let items = list["items"].as_array().cloned().unwrap_or_default();
        items
            .into_iter()
            .find(|item| item["metadata"]["name"] == name)
            .unwrap_or_default()
    };
    let revision = find(revisions, &format!("{}-00001", bad.name));
    let (cause, ready) = (condition(&revision, bad.condition), condition(&revision, "Ready"));
    let has = |condition: &Value| {
        condition["status"] == "False"
            && bad.reasons.iter().any(|reason| condition["reason"] == *reason)
            && condition["message"]
                .as_str()
                .unwrap_or_default()
                .contains(&bad.message)
    };
    ensure!(
        has(&cause) && has(&ready),
        "{}: {:#}",
        bad.name,
        revision["status"]
    );
    let ready = condition(&find(services, bad.name), "Ready");
    let message = ready["message"].as_str().unwrap_or_default();
    ensure!(
        ready["status"] == "False" && ready["reason"] == "RevisionFailed" && message.contains(&bad.message),
        "{}: {ready:#}",
        bad.name
    );
    Ok(())
}

/// `Hello <target>!` is what the sample answers.
fn hello(target: &str) -> Value {
    json!({"image": format!("{}/hello", registry()), "env": [{"name": "TARGET", "value": target}]})
}

fn registry() -> String {
    world().map(|world| world.platform.registry()).unwrap_or_default()
}

/// A good revision serves while its successors fail, and until one works.
fn mended_services_become_ready_and_the_old_revision_serves_all_along() -> anyhow::Result<()> {
    let _busy = busy();
    let world = world()?;
    let platform = world.platform;
    let absent = format!("{}/late:v1", world.platform.registry());
    let mut no_map = hello("new");
    no_map["envFrom"] = json!([{"configMapRef": {"name": "late"}}]);
    let cases = [
        (
            "mend-image",
            json!({"image": absent, "command": ["httpd", "-f", "-p", "8080"]}),
        ),
        ("mend-crash", shell(&world.tools, "exit 3")),
        ("mend-map", no_map),
    ];
    for (name, _) in &cases {
        platform
            .apply(&service(name, &hello("old")).to_string(), &[])?
            .ok()?;
    }
    let wait = [
        "wait",
        "ksvc",
        "mend-image",
        "mend-crash",
        "mend-map",
        "--for=condition=Ready",
        "--timeout=120s",
    ];
    platform.kubectl(&wait)?.ok()?;
    for (name, container) in &cases {
        platform.apply(&service(name, container).to_string(), &[])?.ok()?;
    }
    let host = |name: &str| format!("{name}.default.localhost");
    for (name, _) in &cases {
        eventually("the failure to be told", || {
            ensure!(
                platform.curl(&host(name), "/", &[])?.ok()?.trim() == "Hello old!",
                "{name} is down"
            );
            let service = platform.get(&["ksvc", name])?;
            let configuration = condition(&service, "ConfigurationsReady");
            let failed =
                configuration["status"] == "False" || configuration["reason"] == "CreateContainerConfigError";
            ensure!(failed, "{service:#}");
            ensure!(service["status"]["latestReadyRevisionName"] == format!("{name}-00001"));
            Ok(())
        })?;
    }
    // Two heal without a new revision: what was missing comes.
    busybox::load(platform, "late:v1")?;
    platform
        .kubectl(&["create", "configmap", "late", "--from-literal=A=B"])?
        .ok()?;
    platform
        .apply(&service("mend-crash", &hello("new")).to_string(), &[])?
        .ok()?;
    platform.kubectl(&wait)?.ok()?;
    for name in ["mend-crash", "mend-map"] {
        eventually("traffic to the mended revision", || {
            let answer = platform.curl(&host(name), "/", &[])?.ok()?;
            ensure!(answer.trim() == "Hello new!", "{name} says {answer}");
            Ok(())
        })?;
    }
    for (name, _) in &cases {
        platform
            .kubectl(&["delete", "ksvc", name, "--wait=false"])?
            .ok()?;
    }
    Ok(())
}

fn pod(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})
}

fn pod_status(platform: &Platform, name: &str) -> anyhow::Result<Value> {
    Ok(platform.get(&["pod", name])?["status"].clone())
}

fn until_running(platform: &Platform, name: &str) -> anyhow::Result<()> {
    eventually("a running pod", || {
        let status = pod_status(platform, name)?;
        ensure!(status["phase"] == "Running", "{status:#}");
        Ok(())
    })
}

fn a_hanging_registry_holds_up_no_other_pull_and_is_given_up() -> anyhow::Result<()> {
    let _busy = busy();
    let platform = world()?.platform;
    let registry = Registry::start(Fault::Hangs)?;
    let hangs = |name: &str| {
        pod(
            name,
            json!({"containers": [{"name": "c", "image": registry.pinned()}]}),
        )
    };
    let names: Vec<String> = (0..6).map(|number| format!("hangs-{number}")).collect();
    for name in &names {
        platform.apply(&hangs(name).to_string(), &[])?.ok()?;
    }
    eventually("pulls that hang", || {
        ensure!(registry.requests() >= 4);
        Ok(())
    })?;
    let container = json!({"name": "c", "image": world()?.tools, "imagePullPolicy": "Always", "command": ["sleep", "999"]});
    let start = Instant::now();
    platform
        .apply(
            &pod("not-held-up", json!({"containers": [container]})).to_string(),
            &[],
        )?
        .ok()?;
    until_running(platform, "not-held-up")?;
    ensure!(
        start.elapsed() < Duration::from_secs(20),
        "it was held up for {:?}",
        start.elapsed()
    );
    eventually("a pull to be given up", || {
        let mut told = Vec::new();
        for name in &names {
            let waiting = &pod_status(platform, name)?["containerStatuses"][0]["state"]["waiting"];
            told.push(format!("{waiting}"));
        }
        ensure!(
            told.iter()
                .any(|told| told.contains("ImagePull") && told.contains("localhost:")),
            "{told:?}"
        );
        Ok(())
    })?;
    let mut delete = vec!["delete", "pod", "not-held-up", "--grace-period=0", "--wait=false"];
    delete.extend(names.iter().map(String::as_str));
    platform.kubectl(&delete)?.ok()?;
    Ok(())
}

fn containers_that_resist_are_bounded() -> anyhow::Result<()> {
    let _busy = busy();
    let world = world()?;
    let (platform, tools) = (world.platform, world.tools.as_str());
    let container = |script: &str| json!({"name": "c", "image": tools, "command": ["sh", "-c", script]});
    let mut hook = container("sleep 1000");
    hook["lifecycle"] = json!({"preStop": {"exec": {"command": ["sleep", "1000"]}}});
    let mut unhealthy = container("exec httpd -f -p 8080 -h /tmp");
    unhealthy["livenessProbe"] = json!({"httpGet": {"path": "/no", "port": 8080}, "periodSeconds": 1, "failureThreshold": 1,
        "terminationGracePeriodSeconds": 1});
    let pods = [
        (
            "stubborn",
            2,
            container("trap '' TERM; while true; do sleep 1; done"),
        ),
        ("hook", 3, hook),
        ("unhealthy", 1, unhealthy),
        (
            "flood",
            1,
            container("timeout 5 yes a line of a flood that is to fill the disk of this machine; sleep 1000"),
        ),
        ("bomb", 1, container("while true; do sleep 1000 & done")),
    ];
    for (name, grace, container) in pods {
        let spec = json!({"terminationGracePeriodSeconds": grace, "restartPolicy": "Never", "containers": [container]});
        let spec = match name {
            "unhealthy" => json!({"terminationGracePeriodSeconds": 1, "containers": spec["containers"]}),
            _ => spec,
        };
        platform.apply(&pod(name, spec).to_string(), &[])?.ok()?;
    }
    for name in ["stubborn", "hook"] {
        until_running(platform, name)?;
        let start = Instant::now();
        platform.kubectl(&["delete", "pod", name])?.ok()?;
        let took = start.elapsed();
        ensure!(
            took > Duration::from_secs(2) && took < Duration::from_secs(20),
            "{name} took {took:?} to end"
        );
    }
    eventually("the bomb to meet its limit", || {
        let ended = &pod_status(platform, "bomb")?["containerStatuses"][0]["state"]["terminated"];
        ensure!(
            ended["message"].as_str().is_some() || ended["exitCode"].as_i64() > Some(0),
            "{ended}"
        );
        Ok(())
    })?;
    ensure!(platform.kubectl(&["logs", "bomb"])?.ok()?.contains("can't fork"));
    eventually("a second failure of the probe", || {
        let container = &pod_status(platform, "unhealthy")?["containerStatuses"][0];
        ensure!(container["restartCount"].as_u64() >= Some(2), "{container:#}");
        ensure!(
            container["state"]["waiting"]["reason"] == "CrashLoopBackOff",
            "{container:#}"
        );
        Ok(())
    })?;
    let logs = platform.data_dir().join("node/logs");
    let mut bytes = 0;
    for folder in std::fs::read_dir(&logs)?.flatten() {
        if folder.file_name().to_string_lossy().starts_with("default_flood_") {
            bytes += size(&folder.path())?;
        }
    }
    // Five files of ten mebibytes, as the kubelet keeps; the one that is written may be a buffer longer.
    ensure!(bytes > 10 << 20, "the flood wrote {bytes} bytes only");
    ensure!(bytes < 60 << 20, "{bytes} bytes of logs of one container");
    platform
        .kubectl(&[
            "delete",
            "pod",
            "unhealthy",
            "flood",
            "bomb",
            "--grace-period=1",
            "--wait=false",
        ])?
        .ok()?;
    Ok(())
}

fn size(path: &std::path::Path) -> anyhow::Result<u64> {
    let meta = path.symlink_metadata()?;
    if !meta.is_dir() {
        return Ok(meta.len());
    }
    std::fs::read_dir(path)?
        .flatten()
        .map(|entry| size(&entry.path()))
        .sum()
}

/// A file system of its own, as small as a test needs it.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(mebibytes: u32) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let size = format!("size={mebibytes}m");
        let flags = nix::mount::MsFlags::empty();
        nix::mount::mount(
            Some("tmpfs"),
            folder.path(),
            Some("tmpfs"),
            flags,
            Some(size.as_str()),
        )?;
        Ok(Self(folder))
    }

    fn filler(&self) -> std::path::PathBuf {
        self.0.path().join("filler")
    }

    /// Writes until nothing more fits.
    fn fill(&self) -> anyhow::Result<()> {
        let mut file = std::fs::File::create(self.filler())?;
        for size in [1 << 20, 4096] {
            let block = vec![0; size];
            while file.write_all(&block).is_ok() {}
        }
        Ok(())
    }

    fn free(&self) -> anyhow::Result<()> {
        Ok(std::fs::remove_file(self.filler())?)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = nix::mount::umount2(self.0.path(), nix::mount::MntFlags::MNT_DETACH);
    }
}

fn a_full_disk_refuses_writes_and_loses_nothing() -> anyhow::Result<()> {
    let disk = SmallDisk::mount(700)?;
    let data_dir = disk.0.path().join("data");
    std::fs::create_dir(&data_dir)?;
    let options = Options {
        data_dir: Some(data_dir),
        ..Options::default()
    };
    let mut platform = Platform::start(options)?;
    let create = |platform: &Platform, name: &str| {
        let text = format!("--from-literal=text={}", "x".repeat(20_000));
        platform.kubectl(&["create", "configmap", name, text.as_str()])
    };
    create(&platform, "before")?.ok()?;
    disk.fill()?;
    let refused = create(&platform, "refused")?;
    ensure!(
        refused.code != 0 && refused.stderr.contains("No space left on device"),
        "{}",
        refused.text()
    );
    let ready = |platform: &Platform| platform.kubectl(&["get", "--raw", "/readyz"]);
    // Not only at that moment: small writes of the platform's own may still find their place.
    for _ in 0..8 {
        let readiness = ready(&platform)?;
        ensure!(readiness.code != 0, "ready on a full disk: {}", readiness.text());
        std::thread::sleep(Duration::from_millis(500));
    }
    let loaded = busybox::load(&platform, "tools:v1");
    ensure!(
        loaded
            .as_ref()
            .is_err_and(|error| error.to_string().contains("No space left on device")),
        "{loaded:?}"
    );
    disk.free()?;
    eventually("the platform to be ready again", || ready(&platform)?.ok())?;
    eventually("writes to be taken again", || create(&platform, "after")?.ok())?;
    busybox::load(&platform, "tools:v1")?;
    disk.fill()?;
    platform.kill()?;
    disk.free()?;
    platform.restart()?;
    let there = platform.kubectl(&["get", "configmaps", "-o", "name"])?.ok()?;
    for (name, expected) in [("before", true), ("after", true), ("refused", false)] {
        let name = format!("configmap/{name}");
        ensure!(
            there.lines().any(|line| line == name) == expected,
            "{name}: {there}"
        );
    }
    platform.stop()
}

fn main() -> ExitCode {
    suite(
        cases![NEEDS => [
            every_bad_deployment_names_its_cause_and_costs_little,
            mended_services_become_ready_and_the_old_revision_serves_all_along,
            a_hanging_registry_holds_up_no_other_pull_and_is_given_up,
            a_full_disk_refuses_writes_and_loses_nothing,
            containers_that_resist_are_bounded,
        ]],
        stop_shared,
    )
}
