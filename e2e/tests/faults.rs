//! Deployments that cannot work: each tells its cause, costs little, and heals when the cause is gone.

use std::process::ExitCode;
use std::sync::{OnceLock, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use anyhow::ensure;
use e2e::registry::{Fault, Registry};
use e2e::tools::Need;
use e2e::{Platform, busybox, cases, eventually, shared, stop_shared, suite};
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

fn main() -> ExitCode {
    suite(
        cases![NEEDS => [
            every_bad_deployment_names_its_cause_and_costs_little,
            mended_services_become_ready_and_the_old_revision_serves_all_along,
        ]],
        stop_shared,
    )
}
