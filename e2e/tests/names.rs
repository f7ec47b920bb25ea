//! Names and addresses as a container sees them, on a machine without any network.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use e2e::tools::Need;
use e2e::workload::{at_zero, pod, ready};
use e2e::{Platform, Workload, busybox, cases, eventually, offline, shared, stop_shared, suite};
use serde_json::{Value, json};

const NEEDS: &[Need] = &[Need::Root, Need::Kubectl, Need::Curl, Need::Busybox];
/// The other namespace.
const OTHER: &str = "other";

struct World {
    platform: &'static Platform,
    tools: String,
}

/// Two namespaces, each with a web server behind Services of several kinds.
fn world() -> anyhow::Result<&'static World> {
    static WORLD: OnceLock<Result<World, String>> = OnceLock::new();
    offline::enter()?;
    let made = WORLD.get_or_init(|| make().map_err(|error| format!("{error:?}")));
    made.as_ref().map_err(|error| anyhow::anyhow!("{error}"))
}

fn make() -> anyhow::Result<World> {
    let platform = shared()?;
    let tools = busybox::load(platform, "tools:v1")?;
    platform.kubectl(&["create", "namespace", OTHER])?.ok()?;
    for namespace in ["default", OTHER] {
        let mut objects = vec![
            service("web", json!({"ports": [{"port": 80, "targetPort": 8080}]})),
            service(
                "headless",
                json!({"clusterIP": "None", "ports": [{"port": 8080}]}),
            ),
        ];
        for number in 0..2 {
            // Each answers with its namespace and its own address, which is what `hostname -i` would print.
            let script = format!("echo {namespace} $ADDRESS >/tmp/index.html; exec httpd -f -p 8080 -h /tmp");
            let address =
                json!({"name": "ADDRESS", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}});
            let container = json!({"name": "c", "image": tools, "command": ["sh", "-c", script], "env": [address],
                "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}});
            let mut server = pod(&format!("server-{number}"), json!({"containers": [container]}));
            server["metadata"]["labels"] = json!({"app": "web"});
            objects.push(server);
        }
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
        platform.apply(&list.to_string(), &["-n", namespace])?.ok()?;
    }
    for (name, target) in [
        ("alias", "web.other.svc.cluster.local"),
        ("elsewhere", "elsewhere.example"),
        ("nowhere", "nothing.other.svc.cluster.local"),
    ] {
        let mut alias = service(name, json!({"type": "ExternalName", "externalName": target}));
        alias["spec"]["selector"] = Value::Null;
        platform.apply(&alias.to_string(), &[])?.ok()?;
    }
    for namespace in ["default", OTHER] {
        let all = [
            "wait",
            "pods",
            "--all",
            "--for=condition=Ready",
            "--timeout=100s",
            "-n",
            namespace,
        ];
        platform.kubectl(&all)?.ok()?;
    }
    Ok(World { platform, tools })
}

fn service(name: &str, spec: Value) -> Value {
    let mut service =
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec});
    service["spec"]["selector"] = json!({"app": "web"});
    service
}

/// What a command in a container printed, and its exit code.
#[derive(Debug)]
struct Said {
    command: String,
    text: String,
    code: i32,
}

impl Said {
    fn ok(&self) -> anyhow::Result<&str> {
        ensure!(
            self.code == 0,
            "{}: exit {}: {}",
            self.command,
            self.code,
            self.text
        );
        Ok(self.text.trim())
    }

    /// The addresses that `nslookup` found; what stands before the name is the server's.
    fn addresses(&self) -> anyhow::Result<Vec<&str>> {
        let answer = self.ok()?.split_once("Name:").context("no answer")?.1;
        let mut addresses: Vec<&str> = answer
            .lines()
            .filter_map(|line| line.strip_prefix("Address"))
            .filter_map(|line| line.rsplit_once(' ').or(line.rsplit_once('\t')))
            .map(|(_, address)| address)
            .collect();
        addresses.sort_unstable();
        Ok(addresses)
    }
}

/// Runs each of these commands in a new pod of `namespace`.
fn inside<'a>(name: &str, namespace: &str, commands: &[&'a str]) -> anyhow::Result<BTreeMap<&'a str, Said>> {
    const END: &str = "=== exit ";
    let World { platform, tools } = world()?;
    let script: String = commands
        .iter()
        .map(|command| format!("{{ {command}; }} 2>&1; code=$?; echo; echo \"{END}$code\"\n"))
        .collect();
    let container = json!({"name": "c", "image": tools, "command": ["sh", "-c", script]});
    let object = pod(name, json!({"restartPolicy": "Never", "containers": [container]}));
    platform.apply(&object.to_string(), &["-n", namespace])?.ok()?;
    eventually("the commands to end", || {
        let phase = &platform.get(&["pod", name, "-n", namespace])?["status"]["phase"];
        ensure!(phase == "Succeeded", "{phase}");
        Ok(())
    })?;
    let log = platform.kubectl(&["logs", name, "-n", namespace])?.ok()?;
    let mut rest = log.as_str();
    let mut said = BTreeMap::new();
    for command in commands {
        let (text, after) = rest.split_once(END).with_context(|| log.clone())?;
        let (code, after) = after.split_once('\n').unwrap_or((after, ""));
        let text = text.to_owned();
        said.insert(
            *command,
            Said {
                command: (*command).to_owned(),
                text,
                code: code.parse()?,
            },
        );
        rest = after;
    }
    platform
        .kubectl(&["delete", "pod", name, "-n", namespace, "--wait=false"])?
        .ok()?;
    Ok(said)
}

fn field(namespace: &str, path: &[&str]) -> anyhow::Result<String> {
    let arguments = [&["get", "-n", namespace], path].concat();
    Ok(world()?.platform.kubectl(&arguments)?.ok()?.trim().to_owned())
}

fn cluster_ip(service: &str, namespace: &str) -> anyhow::Result<String> {
    field(
        namespace,
        &["service", service, "-o", "jsonpath={.spec.clusterIP}"],
    )
}

/// Addresses of the web servers of a namespace.
fn servers(namespace: &str) -> anyhow::Result<Vec<String>> {
    let list = field(
        namespace,
        &["pods", "-l", "app=web", "-o", "jsonpath={.items[*].status.podIP}"],
    )?;
    let mut addresses: Vec<String> = list.split(' ').map(str::to_owned).collect();
    addresses.sort_unstable();
    ensure!(addresses.len() == 2, "{addresses:?}");
    Ok(addresses)
}

fn services_have_their_names() -> anyhow::Result<()> {
    world()?;
    let (own, other) = (cluster_ip("web", "default")?, cluster_ip("web", OTHER)?);
    let lookups = [
        ("nslookup web.default.svc.cluster.local", vec![own.clone()]),
        ("nslookup web.default.svc.cluster.local.", vec![own.clone()]),
        ("nslookup WEB.Default.SVC.cluster.local", vec![own]),
        ("nslookup web.other.svc.cluster.local", vec![other.clone()]),
        ("nslookup headless.default.svc.cluster.local", servers("default")?),
        ("nslookup headless.other.svc.cluster.local", servers(OTHER)?),
        // Of an alias within the cluster the address comes along.
        ("nslookup alias.default.svc.cluster.local", vec![other]),
        (
            "nslookup kubernetes.default.svc.cluster.local",
            vec![cluster_ip("kubernetes", "default")?],
        ),
    ];
    let commands = lookups.each_ref().map(|(command, _)| *command);
    let said = inside("lookups", "default", &commands)?;
    for (command, addresses) in &lookups {
        let found = &said[command];
        ensure!(
            found.addresses()? == *addresses,
            "{command}: {found:?}, not {addresses:?}"
        );
    }
    let alias = &said["nslookup alias.default.svc.cluster.local"].text;
    ensure!(
        alias.contains("canonical name = web.other.svc.cluster.local"),
        "{alias}"
    );
    Ok(())
}

/// By the resolver of the C library, which goes through the search list; `wget` shows whom it reached.
fn short_names_reach_the_own_namespace_and_longer_ones_others() -> anyhow::Result<()> {
    world()?;
    for (namespace, foreign) in [("default", OTHER), (OTHER, "default")] {
        let address = format!("wget -qO- http://{}/", cluster_ip("web", foreign)?);
        let qualified = format!("wget -qO- http://web.{foreign}/");
        let calls = [
            ("wget -qO- http://web/", namespace),
            (&qualified, foreign),
            ("wget -qO- http://web.default.svc/", "default"),
            ("wget -qO- http://web.other.svc.cluster.local/", OTHER),
            ("wget -qO- http://headless:8080/", namespace),
            (&address, foreign),
        ];
        let commands = calls.map(|(command, _)| command);
        let said = inside("calls", namespace, &commands)?;
        for (command, who) in calls {
            let answer = said[command].ok()?;
            let server = answer
                .strip_prefix(who)
                .with_context(|| format!("{command}: {answer}"))?;
            ensure!(
                servers(who)?.contains(&server.trim().to_owned()),
                "{command}: {answer}"
            );
        }
    }
    let said = inside("follows", "default", &["wget -qO- http://alias/"])?;
    ensure!(
        said["wget -qO- http://alias/"].ok()?.starts_with(OTHER),
        "{said:?}"
    );
    Ok(())
}

fn a_cluster_ip_spreads_connections_over_its_pods() -> anyhow::Result<()> {
    world()?;
    let call = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do wget -qO- http://web/; done";
    let said = inside("spread", "default", &[call])?;
    let answers: Vec<&str> = said[call].ok()?.lines().collect();
    ensure!(answers.len() == 20, "{answers:?}");
    for server in servers("default")? {
        ensure!(
            answers.contains(&format!("default {server}").as_str()),
            "{server}: {answers:?}"
        );
    }
    Ok(())
}

fn names_that_are_not_there_fail_at_once() -> anyhow::Result<()> {
    world()?;
    let failures = [
        ("nslookup nonsense.default.svc.cluster.local", "NXDOMAIN"),
        ("nslookup web.nonsense.svc.cluster.local", "NXDOMAIN"),
        ("nslookup nonsense", "NXDOMAIN"),
        // An alias that leads to nothing is there, and has no address.
        (
            "nslookup nowhere.default.svc.cluster.local",
            "canonical name = nothing.other.svc.cluster.local",
        ),
        // Whom to ask is known, but not reachable: that is a failure, and no answer that there is no such name.
        ("nslookup www.elsewhere.example", "SERVFAIL"),
        ("nslookup elsewhere.default.svc.cluster.local", "SERVFAIL"),
        ("wget -qO- http://nonsense/", "bad address"),
        ("wget -qO- http://www.elsewhere.example/", "bad address"),
    ];
    let commands = failures.map(|(command, _)| command);
    let start = Instant::now();
    let said = inside("failures", "default", &commands)?;
    // A resolver gives up after five seconds for each question; nothing here may wait for that.
    ensure!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    for (command, expected) in failures {
        let found = &said[command];
        ensure!(found.text.contains(expected), "{command}: {found:?}");
        ensure!(
            found.code != 0 || found.addresses().map_or(0, |all| all.len()) == 0,
            "{command}: {found:?}"
        );
    }
    Ok(())
}

fn services_are_reached_and_woken_by_their_cluster_local_urls() -> anyhow::Result<()> {
    let platform = world()?.platform;
    let image = format!("{}/hello", platform.registry());
    Workload::new("awake", &image)
        .annotation("min-scale", "1")
        .env("TARGET", "awake")
        .apply(platform)?;
    Workload::new("asleep", &image)
        .annotation("initial-scale", "0")
        .env("TARGET", "asleep")
        .apply(platform)?;
    let mut inner = Workload::new("inner", &image).env("TARGET", "inner").object();
    inner["metadata"]["labels"] = json!({"networking.knative.dev/visibility": "cluster-local"});
    platform.apply(&inner.to_string(), &[])?.ok()?;
    ready(platform, &["awake", "asleep", "inner"])?;
    at_zero(platform, "asleep")?;
    ensure!(
        field("default", &["ksvc", "inner", "-o", "jsonpath={.status.url}"])?
            == "http://inner.default.svc.cluster.local"
    );
    // From another namespace, by every name that a Route has inside of the cluster.
    let calls = [
        (
            "wget -qO- http://asleep.default.svc.cluster.local",
            "Hello asleep!",
        ),
        ("wget -qO- http://awake.default.svc.cluster.local", "Hello awake!"),
        ("wget -qO- http://awake.default.svc", "Hello awake!"),
        ("wget -qO- http://awake.default/", "Hello awake!"),
        ("wget -qO- http://inner.default.svc.cluster.local", "Hello inner!"),
    ];
    let said = inside("urls", OTHER, &calls.map(|(command, _)| command))?;
    for (command, answer) in calls {
        ensure!(said[command].ok()? == answer, "{command}: {:?}", said[command]);
    }
    // The one that is only for the inside is not there for the outside.
    let host = "inner.default.localhost";
    let code = platform
        .curl(host, "/", &["-o", "/dev/null", "-w", "%{http_code}"])?
        .ok()?;
    ensure!(code == "404", "answered {code}");
    platform
        .kubectl(&["delete", "ksvc", "awake", "asleep", "inner"])?
        .ok()?;
    Ok(())
}

fn main() -> ExitCode {
    suite(
        cases![NEEDS => [
            services_have_their_names,
            short_names_reach_the_own_namespace_and_longer_ones_others,
            a_cluster_ip_spreads_connections_over_its_pods,
            names_that_are_not_there_fail_at_once,
            services_are_reached_and_woken_by_their_cluster_local_urls,
        ]],
        stop_shared,
    )
}
