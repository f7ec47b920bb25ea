//! Events over TLS: addresses, certificates and refusals, with the programs that people use.

use std::process::ExitCode;

use anyhow::{Context, ensure};
use e2e::display::{ids, is_ready, printed, subscriber};
use e2e::tools::Need;
use e2e::{Platform, cases, eventually, shared, stop_shared, suite, turn};
use serde_json::{Value, json};

const NEEDS: &[Need] = &[Need::Root, Need::Kubectl, Need::Curl];
/// Where events are accepted, as the gateway knows it.
const INGRESS: &str = "broker-ingress.knative-eventing.localhost";

/// Runs `kn` with the words of `line`.
fn kn(platform: &Platform, line: &str) -> anyhow::Result<String> {
    platform.kn(&line.split_whitespace().collect::<Vec<_>>())?.ok()
}

fn encryption(platform: &Platform, mode: &str) -> anyhow::Result<()> {
    let patch = json!({"data": {"transport-encryption": mode}}).to_string();
    let map = ["configmap", "config-features", "-n", "knative-eventing"];
    let patched = [&["patch"], map.as_slice(), &["--type", "merge", "-p", &patch]].concat();
    platform.kubectl(&patched)?.ok()?;
    Ok(())
}

/// What the broker answers to an event that comes in the clear.
fn post(platform: &Platform, broker: &str, id: &str) -> anyhow::Result<String> {
    let id = format!("ce-id: {id}");
    let mut arguments = vec!["-o", "/dev/null", "-w", "%{http_code}", "-d", "{}"];
    for header in [
        "ce-specversion: 1.0",
        "ce-type: dev.example.told",
        "ce-source: /me",
        "content-type: application/json",
        &id,
    ] {
        arguments.extend(["-H", header]);
    }
    platform
        .curl(INGRESS, &format!("/default/{broker}"), &arguments)?
        .ok()
}

/// Waits until `object` has exactly these addresses, by name, and says what they are.
fn addresses(platform: &Platform, object: [&str; 2], names: &[&str]) -> anyhow::Result<Value> {
    eventually(&format!("the addresses {names:?} of {object:?}"), || {
        let status = platform.get(&object)?["status"].clone();
        let all = status["addresses"].as_array().cloned().unwrap_or_default();
        let found: Vec<&str> = all
            .iter()
            .filter_map(|address| address["name"].as_str())
            .collect();
        ensure!(found == names, "{status}");
        Ok(status)
    })
}

/// Waits until `id` came to the subscriber `name`.
fn came(platform: &Platform, name: &str, id: &str) -> anyhow::Result<()> {
    eventually(&format!("{id} to come"), || {
        let text = printed(platform, name)?;
        ensure!(ids(&text).iter().any(|found| found == id), "{text}");
        Ok(())
    })
}

/// Waits until the trigger `link` sends so, and trusts `authority`.
fn sends_to(platform: &Platform, scheme: &str, authority: &Value) -> anyhow::Result<()> {
    eventually(&format!("the trigger to send over {scheme}"), || {
        let status = &platform.get(&["trigger", "link"])?["status"];
        let url = status["subscriberUri"].as_str().unwrap_or_default();
        ensure!(
            url.starts_with(&format!("{scheme}://broker-ingress.")),
            "{status}"
        );
        ensure!(&status["subscriberCACerts"] == authority, "{status}");
        Ok(())
    })
}

fn trigger(name: &str, broker: &str, subscriber: &Value, dead_letters: &str) -> String {
    json!({
        "apiVersion": "eventing.knative.dev/v1", "kind": "Trigger",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "broker": broker,
            "subscriber": subscriber,
            "delivery": {
                "retry": 0,
                "deadLetterSink": {"ref": {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": dead_letters}},
            },
        },
    })
    .to_string()
}

fn events_travel_over_tls_and_only_to_whom_is_trusted() -> anyhow::Result<()> {
    let (platform, _turn) = (shared()?, turn());
    kn(platform, "broker create outer")?;
    kn(platform, "broker create inner")?;
    kn(platform, "channel create through")?;
    subscriber(platform, "arrived")?;
    subscriber(platform, "undelivered")?;
    kn(
        platform,
        "trigger create arrive --broker inner --sink ksvc:arrived",
    )?;
    let inner = json!({"ref": {"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "name": "inner"}});
    platform
        .apply(&trigger("link", "outer", &inner, "undelivered"), &[])?
        .ok()?;
    is_ready(
        platform,
        &["broker/outer", "broker/inner", "trigger/link", "trigger/arrive"],
    )?;
    ensure!(post(platform, "outer", "clear")? == "202");
    came(platform, "arrived", "clear")?;

    // Both ways in, and our own senders take the better one.
    encryption(platform, "permissive")?;
    let status = addresses(platform, ["broker", "inner"], &["https", "http"])?;
    ensure!(status["address"]["name"] == "http", "{status}");
    let authority = status["addresses"][0]["CACerts"]
        .as_str()
        .context("no CACerts")?
        .to_owned();
    ensure!(authority.contains("BEGIN CERTIFICATE"), "{authority}");
    let of_channel = addresses(platform, ["inmemorychannel", "through"], &["https", "http"])?;
    ensure!(
        of_channel["addresses"][0]["url"]
            == "https://imc-dispatcher.knative-eventing.svc.cluster.local/default/through",
        "{of_channel}"
    );
    let of_front = addresses(
        platform,
        ["channels.messaging.knative.dev", "through"],
        &["https", "http"],
    )?;
    ensure!(of_front["addresses"] == of_channel["addresses"], "{of_front}");
    sends_to(platform, "https", &json!(authority))?;
    ensure!(post(platform, "outer", "permissive")? == "202");
    came(platform, "arrived", "permissive")?;

    // The same address and somebody else's authority: nothing is told to whoever answers there.
    let template = "go-template={{index .data \"ca.crt\" | base64decode}}";
    let secret = ["get", "secret", "job-sink-server-tls", "-n", "knative-eventing"];
    let other = platform
        .kubectl(&[&secret[..], &["-o", template]].concat())?
        .ok()?;
    ensure!(
        other.contains("BEGIN CERTIFICATE") && other != authority,
        "{other}"
    );
    let url = "https://broker-ingress.knative-eventing.svc.cluster.local/default/inner";
    let distrustful = json!({"uri": url, "CACerts": other});
    platform
        .apply(&trigger("distrust", "outer", &distrustful, "undelivered"), &[])?
        .ok()?;
    is_ready(platform, &["trigger/distrust"])?;
    ensure!(post(platform, "outer", "distrusted")? == "202");
    came(platform, "undelivered", "distrusted")?;
    came(platform, "arrived", "distrusted").context("the other trigger")?;
    kn(platform, "trigger delete distrust")?;

    // Only over TLS: through a channel, too, and from sources.
    encryption(platform, "strict")?;
    let status = addresses(platform, ["broker", "outer"], &["https"])?;
    ensure!(status["address"] == status["addresses"][0], "{status}");
    addresses(platform, ["broker", "inner"], &["https"])?;
    // The way stays open for a moment, for those who have not heard of the other.
    eventually("a refusal in the clear", || {
        let code = post(platform, "outer", "knocked")?;
        ensure!(code == "404", "{code}");
        Ok(())
    })?;
    ensure!(post(platform, "outer", "refused")? == "404");
    kn(
        platform,
        "subscription create on --channel through --sink broker:outer",
    )?;
    let mut source = vec!["source", "ping", "create", "tick", "--schedule", "* * * * * *"];
    source.extend(["--data", "{}", "--sink", "channel:through"]);
    platform.kn(&source)?.ok()?;
    is_ready(platform, &["subscription/on", "pingsource/tick"])?;
    let uri = platform.get(&["pingsource", "tick"])?["status"]["sinkUri"].clone();
    ensure!(
        uri.as_str()
            .is_some_and(|uri| uri.starts_with("https://imc-dispatcher.")),
        "{uri}"
    );
    eventually("a tick over four hops of TLS", || {
        let text = printed(platform, "arrived")?;
        ensure!(text.contains("dev.knative.sources.ping"), "{text}");
        Ok(())
    })?;
    let lost = printed(platform, "arrived")?;
    ensure!(!ids(&lost).iter().any(|id| id == "refused"), "{lost}");

    kn(platform, "source ping delete tick")?;
    encryption(platform, "disabled")?;
    addresses(platform, ["broker", "outer"], &[])?;
    sends_to(platform, "http", &Value::Null)?;
    eventually("the clear way in again", || {
        let code = post(platform, "outer", "after")?;
        ensure!(code == "202", "{code}");
        Ok(())
    })?;
    came(platform, "arrived", "after")?;
    Ok(())
}

fn main() -> ExitCode {
    suite(
        cases![NEEDS => [events_travel_over_tls_and_only_to_whom_is_trusted]],
        stop_shared,
    )
}
