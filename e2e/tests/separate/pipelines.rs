//! What runs tasks, finds them, remembers them, and starts them: each a process of its own.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Child, Command};

use anyhow::{Context, ensure};
use e2e::{busybox, eventually, free_port, run};
use serde_json::{Value, json};

use super::processes::{Separate, log, logged, platform, spindrift};

impl Separate {
    fn object(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let text = self
            .kubectl(&[&["get"], arguments, &["-o", "json"]].concat())?
            .ok()?;
        Ok(serde_json::from_str(&text)?)
    }

    /// An image with a shell.
    fn shell(&self) -> anyhow::Result<String> {
        let reference = format!("{}/busybox:apart", self.registry);
        let folder = tempfile::tempdir()?;
        let archive = busybox::archive(folder.path(), &reference)?;
        let mut load = spindrift()?;
        load.args(["image", "load", "--data-dir"]).arg(&self.data_dir);
        run(load.arg(archive))?.ok()?;
        Ok(reference)
    }

    /// What the archive says, asked as an account of the namespace.
    fn remembered(&self, path: &str) -> anyhow::Result<String> {
        let token = self
            .kubectl(&["create", "token", "default", "--audience", "spindrift-logs"])?
            .ok()?;
        let url = format!(
            "http://127.0.0.1:{}/.spindrift/v1/namespaces/default/{path}",
            self.http_port
        );
        let answer = run(Command::new("curl").args([
            "-sS",
            "-f",
            "--max-time",
            "30",
            "-H",
            "Host: run-archive.tekton-pipelines.localhost",
            "-H",
            &format!("Authorization: Bearer {}", token.trim()),
            &url,
        ]))?;
        answer.ok()
    }
}

/// Answers every request with this text; gives the URL.
fn serve(text: String) -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}/task.yaml", listener.local_addr()?);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let Ok(copy) = stream.try_clone() else { continue };
            let head = BufReader::new(copy).lines().map_while(Result::ok);
            let _ = head.take_while(|line| !line.is_empty()).count();
            let length = text.len();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
            // Who goes away gets nothing.
            let _ = stream.write_all((head + &text).as_bytes());
        }
    });
    Ok(url)
}

pub(super) fn a_task_from_elsewhere_runs_and_is_remembered() -> anyhow::Result<()> {
    let mut platform = platform()?;
    let platform = platform.as_mut().context("it does not run")?;
    let image = platform.shell()?;
    let task = json!({
        "apiVersion": "tekton.dev/v1", "kind": "Task", "metadata": {"name": "say"},
        "spec": {
            "results": [{"name": "said"}],
            "steps": [{
                "name": "say", "image": image, "script": "echo it was found; printf far > $(results.said.path)",
            }],
        },
    });
    let url = serve(task.to_string())?;
    platform.apply(&json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "resolver-addresses", "namespace": "tekton-pipelines-resolvers"},
        "data": {"allow-loopback": "true"},
    }))?;
    let start = |platform: &Separate, name: &str| {
        platform.apply(&json!({
            "apiVersion": "tekton.dev/v1", "kind": "TaskRun", "metadata": {"name": name},
            "spec": {"taskRef": {"resolver": "http", "params": [{"name": "url", "value": url}]}},
        }))
    };
    let ended = |platform: &Separate, name: &str| {
        eventually(&format!("the end of {name}"), || {
            let run = platform.object(&["taskrun", name])?;
            let status = &run["status"];
            ensure!(
                status["conditions"][0]["status"] == "True",
                "{status} {} {}",
                log(&platform.data_dir, "resolvers"),
                log(&platform.data_dir, "pipelines-controller")
            );
            ensure!(status["results"][0]["value"] == "far", "{status}");
            Ok(())
        })
    };
    start(platform, "apart")?;
    ended(platform, "apart")?;

    // What was asked while nobody could answer is answered by whoever comes next.
    platform.kill("resolvers")?;
    platform.kill("pipelines-controller")?;
    start(platform, "later")?;
    platform.start_again("pipelines-controller")?;
    platform.start_again("resolvers")?;
    ended(platform, "later")?;

    // The archive keeps both, also when it is started anew after they have gone.
    platform.kubectl(&["delete", "taskrun", "apart", "later"])?.ok()?;
    platform.kill("run-archive")?;
    platform.start_again("run-archive")?;
    for name in ["apart", "later"] {
        eventually(&format!("the log of {name}"), || {
            let said = platform.remembered(&format!("pods/{name}-pod/log"))?;
            ensure!(said.contains("it was found"), "{said}");
            let kept: Value = serde_json::from_str(&platform.remembered(&format!("taskruns/{name}"))?)?;
            ensure!(kept["status"]["results"][0]["value"] == "far", "{kept}");
            Ok(())
        })?;
    }
    Ok(())
}

/// The account of the listener, as kubectl names it.
const LISTENS: &str = "--serviceaccount=default:listens";

/// An event listener without a pod.
struct Listener(Child);

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(super) fn an_event_listener_makes_what_its_triggers_say() -> anyhow::Result<()> {
    let platform = platform()?;
    let platform = platform.as_ref().context("it does not run")?;
    for arguments in [
        &["create", "serviceaccount", "listens"][..],
        &[
            "create",
            "role",
            "makes-notes",
            "--resource=configmaps",
            "--verb=create",
        ],
        &[
            "create",
            "rolebinding",
            "makes-notes",
            "--role=makes-notes",
            LISTENS,
        ],
        &[
            "create",
            "rolebinding",
            "listens",
            "--clusterrole=tekton-triggers-eventlistener-roles",
            LISTENS,
        ],
        &[
            "create",
            "clusterrolebinding",
            "listens",
            "--clusterrole=tekton-triggers-eventlistener-clusterroles",
            LISTENS,
        ],
    ] {
        platform.kubectl(arguments)?.ok()?;
    }
    platform.apply(&json!({
        "apiVersion": "triggers.tekton.dev/v1beta1", "kind": "EventListener", "metadata": {"name": "apart"},
        "spec": {"serviceAccountName": "listens", "triggers": [{
            "name": "note",
            "interceptors": [{"ref": {"name": "cel"}, "params": [{"name": "filter", "value": "body.list.exists(x, x.matches('^b+$'))"}]}],
            "bindings": [{"name": "word", "value": "$(body.word)"}],
            "template": {"spec": {
                "params": [{"name": "word"}],
                "resourcetemplates": [{
                    "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "note-"},
                    "data": {"word": "$(tt.params.word)"},
                }],
            }},
        }]},
    }))?;
    // The controller gives the account what every listener needs, and runs one in a pod beside ours.
    platform
        .kubectl(&[
            "wait",
            "eventlistener/apart",
            "--for=condition=Available",
            "--timeout=90s",
        ])?
        .ok()?;
    let credentials = platform.credentials_of("default", "listens")?;
    let (port, metrics) = (free_port()?, free_port()?);
    let _listener = Listener(logged(&platform.data_dir, "event-listener", |command| {
        command
            .args([
                "event-listener",
                "--log",
                "info",
                "--namespace",
                "default",
                "--name",
                "apart",
            ])
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .args(["--metrics", &format!("127.0.0.1:{metrics}")])
            .arg("--kubeconfig")
            .arg(&credentials);
    })?);
    let body = r#"{"word": "heard", "list": ["a", "bb"]}"#;
    eventually("the event to be taken", || {
        let answer = run(Command::new("curl").args([
            "-sS",
            "-f",
            "--max-time",
            "30",
            "-H",
            "X-GitHub-Delivery: one",
            "-H",
            "Content-Type: application/json",
            "-d",
            body,
            &format!("http://127.0.0.1:{port}/"),
        ]))?;
        ensure!(
            answer.code == 0,
            "{}{}",
            answer.text(),
            log(&platform.data_dir, "event-listener")
        );
        Ok(())
    })?;
    eventually("what is made of it", || {
        let label = "triggers.tekton.dev/eventlistener=apart";
        let made = platform.object(&["configmaps", "-l", label])?;
        let items = made["items"].as_array().into_iter().flatten();
        let words: Vec<&Value> = items.map(|map| &map["data"]["word"]).collect();
        let told = || platform.object(&["receivedevents"]).unwrap_or_default();
        ensure!(words == ["heard"], "{words:?} {}", told());
        Ok(())
    })
}
