//! From a signed webhook to a run that ran: an EventListener in pods of its own, openssl and curl for the git host.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use anyhow::{Context, ensure};
use e2e::tools::Need;
use e2e::{Platform, busybox, cases, eventually, run, shared, stop_shared, suite};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

const NEEDS: &[Need] = &[
    Need::Root,
    Need::Kubectl,
    Need::Curl,
    Need::Busybox,
    Need::Openssl,
];
/// On what was made of an event: its id.
const EVENT: &str = "triggers.tekton.dev/triggers-eventid";

/// An interceptor that lets nothing through until it is opened, and tells who was kept waiting.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    asked: usize,
    open: bool,
}

impl Gate {
    /// Starts it at an address that pods reach; gives its URL as well.
    fn start(address: &str) -> anyhow::Result<(Self, String)> {
        let listener = TcpListener::bind((address, 0))?;
        let url = format!("http://{}/", listener.local_addr()?);
        let gate = Self::default();
        let at_door = gate.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let gate = at_door.clone();
                // Whoever is killed while it waits gets no answer.
                std::thread::spawn(move || gate.answer(stream));
            }
        });
        Ok((gate, url))
    }

    fn answer(&self, mut stream: TcpStream) -> anyhow::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            if line.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse()?;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let (state, changed) = &*self.0;
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        state.asked += 1;
        drop(
            changed
                .wait_while(state, |state| !state.open)
                .unwrap_or_else(PoisonError::into_inner),
        );
        let text = r#"{"continue": true}"#;
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{text}",
            text.len()
        )?;
        Ok(())
    }

    fn asked(&self) -> usize {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).asked
    }

    fn open(&self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).open = true;
        self.0.1.notify_all();
    }
}

/// What all listeners of this file need: a secret, an account with the roles that upstream's manuals name, a binding,
/// and a template of a run that says what it was given.
fn home() -> anyhow::Result<&'static Platform> {
    static MADE: Mutex<bool> = Mutex::new(false);
    let platform = shared()?;
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if *made {
        return Ok(platform);
    }
    let image = busybox::load(platform, "busybox:triggers")?;
    let manifest = format!(
        r#"
apiVersion: v1
kind: Secret
metadata: {{name: github}}
stringData: {{secret: hush}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: hooks}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: hooks}}
subjects: [{{kind: ServiceAccount, name: hooks, namespace: default}}]
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: tekton-triggers-eventlistener-roles}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: hooks}}
subjects: [{{kind: ServiceAccount, name: hooks, namespace: default}}]
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: tekton-triggers-eventlistener-clusterroles}}
---
apiVersion: triggers.tekton.dev/v1beta1
kind: TriggerBinding
metadata: {{name: push}}
spec:
  params:
    - {{name: commit, value: $(extensions.short)}}
    - {{name: message, value: $(body.head_commit.message)}}
---
apiVersion: triggers.tekton.dev/v1beta1
kind: TriggerTemplate
metadata: {{name: build}}
spec:
  params: [{{name: commit}}, {{name: message}}]
  resourcetemplates:
    - apiVersion: tekton.dev/v1
      kind: TaskRun
      metadata: {{generateName: build-}}
      spec:
        params:
          - {{name: said, value: "$(tt.params.commit) $(tt.params.message)"}}
        taskSpec:
          params: [{{name: said}}]
          results: [{{name: heard}}]
          steps:
            - name: say
              image: {image}
              env: [{{name: SAID, value: $(params.said)}}]
              script: printf '%s' "$SAID" > $(results.heard.path)
"#
    );
    platform.apply(&manifest, &[])?.ok()?;
    *made = true;
    Ok(platform)
}

/// Pushes to one branch, proven by the secret.
fn interceptors(branch: &str) -> Vec<Value> {
    let secret = json!({"secretName": "github", "secretKey": "secret"});
    let overlay = json!([{"key": "short", "expression": "body.after.truncate(7)"}]);
    vec![
        json!({"ref": {"name": "github"}, "params": [
            {"name": "secretRef", "value": secret}, {"name": "eventTypes", "value": ["push"]},
        ]}),
        json!({"ref": {"name": "cel"}, "params": [
            {"name": "filter", "value": format!("body.ref == 'refs/heads/{branch}'")},
            {"name": "overlays", "value": overlay},
        ]}),
    ]
}

fn trigger(name: &str, interceptors: &[Value]) -> Value {
    json!({
        "name": name, "interceptors": interceptors, "bindings": [{"ref": "push"}], "template": {"ref": "build"},
    })
}

fn body(branch: &str, commit: &str, message: &str) -> String {
    json!({"ref": format!("refs/heads/{branch}"), "after": commit, "head_commit": {"message": message}})
        .to_string()
}

/// Sends as GitHub does; gives status and answer.
fn deliver(
    body: &str,
    delivery: &str,
    secret: &str,
    send: impl FnOnce(&[&str]) -> anyhow::Result<String>,
) -> anyhow::Result<(String, Value)> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), body)?;
    let signed = run(Command::new("openssl")
        .args(["dgst", "-sha256", "-r", "-hmac", secret])
        .arg(file.path()))?
    .ok()?;
    let signature = signed.split_whitespace().next().context("no signature")?;
    let data = format!("@{}", file.path().display());
    let said = send(&[
        "-w",
        "\n%{http_code}",
        "-H",
        "Content-Type: application/json",
        "-H",
        "X-GitHub-Event: push",
        "-H",
        &format!("X-GitHub-Delivery: {delivery}"),
        "-H",
        &format!("X-Hub-Signature-256: sha256={signature}"),
        "--data-binary",
        &data,
    ])?;
    let (answer, code) = said.rsplit_once('\n').context("no status")?;
    Ok((code.to_owned(), serde_json::from_str(answer).unwrap_or_default()))
}

/// A listener with a Deployment and a Service.
struct Listener {
    platform: &'static Platform,
    name: &'static str,
    url: String,
    address: String,
}

impl Listener {
    fn start(platform: &'static Platform, name: &'static str, triggers: &[Value]) -> anyhow::Result<Self> {
        let object = json!({
            "apiVersion": "triggers.tekton.dev/v1beta1", "kind": "EventListener", "metadata": {"name": name},
            "spec": {"serviceAccountName": "hooks", "triggers": triggers},
        });
        platform.apply(&object.to_string(), &[])?.ok()?;
        let status = ready(platform, name)?;
        let url = status["address"]["url"]
            .as_str()
            .context("no address")?
            .to_owned();
        let field = "jsonpath={.spec.clusterIP}";
        let service = format!("el-{name}");
        let address = platform
            .kubectl(&["get", "service", &service, "-o", field])?
            .ok()?;
        Ok(Self {
            platform,
            name,
            url,
            address,
        })
    }

    fn deliver(&self, body: &str, delivery: &str, secret: &str) -> anyhow::Result<(String, Value)> {
        deliver(body, delivery, secret, |arguments| {
            let place = self.url.trim_start_matches("http://");
            let at = format!("{place}:{}", self.address);
            run(Command::new("curl")
                .args(["-sS", "--max-time", "60", "--resolve", &at])
                .args(arguments)
                .arg(&self.url))?
            .ok()
        })
    }

    /// The id of an event that must be taken.
    fn taken(&self, body: &str, delivery: &str) -> anyhow::Result<String> {
        taken(self.deliver(body, delivery, "hush")?)
    }

    /// Processes in the pods of the listener.
    fn processes(&self) -> anyhow::Result<Vec<Pid>> {
        let pods = self
            .platform
            .get(&["pod", "-l", &format!("eventlistener={}", self.name)])?;
        let pods = pods["items"].as_array().cloned().unwrap_or_default();
        let of_pods: Vec<String> = pods
            .iter()
            .filter_map(|pod| Some(format!("/pod{}/", pod["metadata"]["uid"].as_str()?)))
            .collect();
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc")?.flatten() {
            let Ok(id) = entry.file_name().to_string_lossy().parse::<i32>() else {
                continue;
            };
            let text = |file: &str| -> String {
                let path: PathBuf = entry.path().join(file);
                String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
            };
            let groups = text("cgroup");
            // The pods have other processes (of the node) as well.
            if of_pods.iter().any(|pod| groups.contains(pod))
                && text("cmdline").contains(&format!("--name={}\0", self.name))
            {
                found.push(Pid::from_raw(id));
            }
        }
        Ok(found)
    }
}

fn taken((code, answer): (String, Value)) -> anyhow::Result<String> {
    ensure!(code == "202", "{code}: {answer}");
    Ok(answer["eventID"].as_str().context("no id")?.to_owned())
}

/// The status of a listener that is ready.
fn ready(platform: &Platform, name: &str) -> anyhow::Result<Value> {
    eventually(&format!("the listener {name} to be ready"), || {
        let status = platform.get(&["eventlistener", name])?["status"].clone();
        let all = status["conditions"].as_array().context("no conditions")?;
        let ready = all.iter().find(|condition| condition["type"] == "Ready");
        ensure!(ready.is_some_and(|ready| ready["status"] == "True"), "{status}");
        Ok(status)
    })
}

/// Runs that were made of an event.
fn runs(platform: &Platform, event: &str) -> anyhow::Result<Vec<Value>> {
    let list = platform.get(&["taskrun", "-l", &format!("{EVENT}={event}")])?;
    Ok(list["items"].as_array().cloned().unwrap_or_default())
}

/// What is kept of an event.
fn record(platform: &Platform, event: &str) -> anyhow::Result<Value> {
    platform.get(&["receivedevents.spindrift.dev", event])
}

/// Waits until the run of an event has said `expected`.
fn heard(platform: &Platform, event: &str, expected: &str) -> anyhow::Result<()> {
    eventually(&format!("a run that says {expected}"), || {
        let told = || record(platform, event).map(|record| record["status"].to_string());
        let runs = runs(platform, event)?;
        let [run] = runs.as_slice() else {
            anyhow::bail!("{} runs: {}", runs.len(), told()?);
        };
        let status = &run["status"];
        ensure!(
            status["conditions"][0]["status"] == "True" && status["results"][0]["value"] == expected,
            "{status}"
        );
        Ok(())
    })
}

fn done(platform: &Platform, event: &str) -> anyhow::Result<Value> {
    eventually("the event to be done", || {
        let record = record(platform, event)?;
        ensure!(record["status"]["state"] == "Done", "{record}");
        Ok(record)
    })
}

fn a_signed_push_becomes_a_run_once() -> anyhow::Result<()> {
    let platform = home()?;
    let triggers = [
        trigger("main", &interceptors("main")),
        trigger("other", &interceptors("other")),
    ];
    let listener = Listener::start(platform, "pushes", &triggers)?;
    ensure!(
        listener.url == "http://el-pushes.default.svc.cluster.local:8080",
        "{}",
        listener.url
    );

    let push = body("main", "0123456789abcdef", "it's $(params.said) \"now\"");
    let (code, answer) = listener.deliver(&push, "forged", "hash")?;
    ensure!(code == "401", "{code}: {answer}");
    let kept = || platform.get(&["receivedevents.spindrift.dev", "-l", "eventlistener=pushes"]);
    let nothing = kept()?;
    ensure!(nothing["items"] == json!([]), "it was kept: {nothing}");

    let event = listener.taken(&push, "first")?;
    heard(platform, &event, "0123456 it's $(params.said) \"now\"")?;
    let record = done(platform, &event)?;
    ensure!(
        record["status"]["made"] == 1
            && record["status"]["failed"] == 0
            && record["spec"]["content"].is_null(),
        "{record}"
    );
    let outcomes: Vec<&Value> = record["status"]["decisions"]
        .as_array()
        .context("no decisions")?
        .iter()
        .map(|decision| &decision["outcome"])
        .collect();
    ensure!(outcomes == ["Made", "Stopped"], "{record}");

    // The delivery once more, and one after it: when that is done, the first would have been as well.
    ensure!(listener.taken(&push, "first")? == event, "it has another id");
    let later = listener.taken(&body("main", "fedcba9876543210", "later"), "second")?;
    heard(platform, &later, "fedcba9 later")?;
    let of_listener = "triggers.tekton.dev/eventlistener=pushes";
    let all = platform.get(&["taskrun", "-l", of_listener])?;
    ensure!(all["items"].as_array().is_some_and(|all| all.len() == 2), "{all}");
    ensure!(runs(platform, &event)?.len() == 1, "{all}");

    // With its owner goes what runs it.
    platform.kubectl(&["delete", "eventlistener", "pushes"])?.ok()?;
    eventually("what ran the listener to go", || {
        let kinds = "deployment,service,role,rolebinding,pod,receivedevents.spindrift.dev";
        let left = platform
            .kubectl(&["get", kinds, "-l", "eventlistener=pushes", "-o", "name"])?
            .ok()?;
        ensure!(left.trim().is_empty(), "{left}");
        Ok(())
    })
}

fn what_was_acknowledged_outlives_its_process() -> anyhow::Result<()> {
    let platform = home()?;
    let (gate, url) = Gate::start(&platform.address()?)?;
    let interceptor = json!({
        "apiVersion": "triggers.tekton.dev/v1alpha1", "kind": "Interceptor", "metadata": {"name": "gate"},
        "spec": {"clientConfig": {"url": url}},
    });
    platform.apply(&interceptor.to_string(), &[])?.ok()?;
    let mut chain = interceptors("main");
    chain.push(json!({"ref": {"name": "gate", "kind": "NamespacedInterceptor"}}));
    let listener = Listener::start(platform, "killed", &[trigger("main", &chain)])?;
    let event = listener.taken(&body("main", "0123456789abcdef", "held"), "held")?;
    eventually("the event to be under way", || {
        ensure!(gate.asked() == 1, "{} questions", gate.asked());
        Ok(())
    })?;
    ensure!(
        runs(platform, &event)?.is_empty(),
        "it was made before it was let through"
    );
    let processes = listener.processes()?;
    let [process] = processes.as_slice() else {
        anyhow::bail!("not one process: {processes:?}");
    };
    kill(*process, Signal::SIGKILL)?;
    eventually("its successor to take up the event", || {
        ensure!(gate.asked() >= 2, "{} questions", gate.asked());
        Ok(())
    })?;
    gate.open();
    heard(platform, &event, "0123456 held")?;
    ensure!(done(platform, &event)?["status"]["made"] == 1, "made otherwise");
    let label = "eventlistener=killed";
    let pods = platform.get(&["pod", "-l", label])?;
    ensure!(
        pods["items"][0]["status"]["containerStatuses"][0]["restartCount"] == 1,
        "{pods}"
    );
    platform.kubectl(&["delete", "eventlistener", "killed"])?.ok()?;
    Ok(())
}

/// As a Knative Service a listener has a URL of the gateway, and pods only while events come.
fn a_listener_as_a_knative_service_is_reached_by_the_gateway() -> anyhow::Result<()> {
    let platform = home()?;
    let object = json!({
        "apiVersion": "triggers.tekton.dev/v1beta1", "kind": "EventListener", "metadata": {"name": "elastic"},
        "spec": {
            "serviceAccountName": "hooks", "triggers": [trigger("main", &interceptors("main"))],
            "resources": {"customResource": {"apiVersion": "serving.knative.dev/v1", "kind": "Service"}},
        },
    });
    platform.apply(&object.to_string(), &[])?.ok()?;
    ready(platform, "elastic")?;
    let send = |arguments: &[&str]| {
        platform
            .curl("el-elastic.default.localhost", "/", arguments)?
            .ok()
    };
    let push = body("main", "0123456789abcdef", "elastic");
    let (code, answer) = deliver(&push, "forged", "hash", send)?;
    ensure!(code == "401", "{code}: {answer}");
    let event = taken(deliver(&push, "elastic", "hush", send)?)?;
    heard(platform, &event, "0123456 elastic")?;
    platform.kubectl(&["delete", "eventlistener", "elastic"])?.ok()?;
    eventually("its Service to go", || {
        let left = platform.kubectl(&["get", "ksvc", "el-elastic"])?;
        ensure!(left.code != 0, "it is still there");
        Ok(())
    })
}

fn main() -> ExitCode {
    let cases = cases![NEEDS => [
        a_signed_push_becomes_a_run_once,
        what_was_acknowledged_outlives_its_process,
        a_listener_as_a_knative_service_is_reached_by_the_gateway,
    ]];
    suite(cases, stop_shared)
}
