//! A request that waits in front of a broker until a service has answered it, with the programs that people use.

use std::process::ExitCode;

use anyhow::ensure;
use e2e::display::is_ready;
use e2e::tools::Need;
use e2e::{Platform, Workload, cases, eventually, shared, stop_shared, suite};
use serde_json::json;

const NEEDS: &[Need] = &[Need::Root, Need::Kubectl, Need::Curl];
/// Where requests are accepted, as the gateway knows it.
const FRONT: &str = "request-reply.knative-eventing.localhost";

/// What the RequestReply answers to a question of this type: its head and body, and the status code behind them.
fn ask(platform: &Platform, event_type: &str, path: &str) -> anyhow::Result<String> {
    let event_type = format!("ce-type: {event_type}");
    let mut arguments = vec!["-i", "-w", "\ncode=%{http_code}", "-d", r#"{"question":7}"#];
    for header in [
        "ce-specversion: 1.0",
        "ce-source: /me",
        "ce-id: 1",
        "content-type: application/json",
        &event_type,
    ] {
        arguments.extend(["-H", header]);
    }
    platform.curl(FRONT, path, &arguments)?.ok()
}

fn a_request_gets_what_a_service_answers() -> anyhow::Result<()> {
    let platform = shared()?;
    platform.kn(&["broker", "create", "asked"])?.ok()?;
    Workload::new("answers", &format!("{}/event-display", platform.registry()))
        .env("REPLY_TYPE", "dev.example.answer")
        .small()
        .deploy(platform)?;
    let mut trigger = vec!["trigger", "create", "questions", "--broker", "asked"];
    trigger.extend(["--filter", "type=dev.example.question", "--sink", "ksvc:answers"]);
    platform.kn(&trigger)?.ok()?;
    for (name, timeout) in [("front", "PT30S"), ("hasty", "PT1S")] {
        let object = json!({
            "apiVersion": "eventing.knative.dev/v1alpha1", "kind": "RequestReply", "metadata": { "name": name },
            "spec": { "timeout": timeout, "brokerRef": {
                "apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "name": "asked",
            }},
        });
        platform.apply(&object.to_string(), &[])?.ok()?;
    }
    is_ready(
        platform,
        &[
            "broker/asked",
            "trigger/questions",
            "requestreply/front",
            "requestreply/hasty",
        ],
    )?;
    // The data plane may not know yet what is ready.
    eventually("an answer", || {
        let text = ask(platform, "dev.example.question", "/default/front")?;
        ensure!(text.contains("code=200"), "{text}");
        let lower = text.to_lowercase();
        ensure!(lower.contains("ce-type: dev.example.answer"), "{text}");
        ensure!(lower.contains("ce-id: 1-reply"), "{text}");
        ensure!(text.contains(r#"{"question":7}"#), "{text}");
        Ok(())
    })?;
    let answered = platform.metric("request_reply_requests_total{code=\"200\"}")?;
    ensure!(answered >= 1.0, "{answered}");
    // What nobody answers ends in time, and nobody can answer what they have not seen.
    let text = ask(platform, "dev.example.other", "/default/hasty")?;
    ensure!(text.contains("code=504"), "{text}");
    let text = ask(platform, "dev.example.answer", "/default/front/reply")?;
    ensure!(text.contains("code=400"), "{text}");
    Ok(())
}

fn event_types_are_read_in_every_version() -> anyhow::Result<()> {
    let platform = shared()?;
    let attributes = json!([
        { "name": "type", "required": true, "value": "dev.example.new" },
        { "name": "source", "required": true, "value": "/shop" },
        { "name": "specversion", "required": true }, { "name": "id", "required": true },
    ]);
    let object = |version: &str, spec| {
        json!({
            "apiVersion": format!("eventing.knative.dev/{version}"), "kind": "EventType", "metadata": { "name": "both" }, "spec": spec,
        })
    };
    let new = object("v1beta3", json!({ "attributes": attributes }));
    platform.apply(&new.to_string(), &[])?.ok()?;
    let listed = platform.kn(&["eventtype", "list"])?.ok()?;
    ensure!(
        listed.contains("dev.example.new") && listed.contains("/shop"),
        "{listed}"
    );
    let old = object("v1beta2", json!({ "type": "dev.example.old", "source": "/shop" }));
    platform.apply(&old.to_string(), &[])?.ok()?;
    let found = platform.get(&["eventtypes.v1beta3.eventing.knative.dev", "both"])?;
    ensure!(
        found["spec"]["attributes"][0]["value"] == "dev.example.old",
        "{found}"
    );
    platform.kubectl(&["delete", "eventtype", "both"])?.ok()?;
    Ok(())
}

fn main() -> ExitCode {
    suite(
        cases![NEEDS => [
            a_request_gets_what_a_service_answers,
            event_types_are_read_in_every_version,
        ]],
        stop_shared,
    )
}
