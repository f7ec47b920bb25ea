//! What takes, keeps, delivers and sends events, and may end at any time.

use std::process::Command;

use anyhow::{Context, ensure};
use e2e::{eventually, run};
use serde_json::{Value, json};

use super::processes::{Separate, platform};

impl Separate {
    /// Posts to a Service of events through the gateway; returns the status.
    pub(super) fn post(&self, service: &str, path: &str, id: &str) -> anyhow::Result<String> {
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

    pub(super) fn displays(&self, ids: &[String]) -> anyhow::Result<()> {
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

    pub(super) fn apply(&self, object: &Value) -> anyhow::Result<()> {
        let file = tempfile::Builder::new().suffix(".json").tempfile()?;
        std::fs::write(file.path(), object.to_string())?;
        let path = file.path().to_string_lossy().into_owned();
        self.kubectl(&["apply", "-f", &path])?.ok()?;
        Ok(())
    }

    pub(super) fn is_ready(&self, object: &str) -> anyhow::Result<()> {
        self.kubectl(&["wait", object, "--for=condition=Ready", "--timeout=90s"])?
            .ok()?;
        Ok(())
    }
}

pub(super) fn no_accepted_event_is_lost_when_components_of_events_are_killed() -> anyhow::Result<()> {
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

pub(super) fn an_event_waits_for_what_makes_its_job() -> anyhow::Result<()> {
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

pub(super) fn a_request_gets_an_answer() -> anyhow::Result<()> {
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
