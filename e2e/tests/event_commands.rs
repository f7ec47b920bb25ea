//! The commands of `kn` for events that `events.rs` does not need: dead letters, channels, sources, lists.

use std::process::ExitCode;

use anyhow::ensure;
use e2e::display::{ids, is_ready, printed, subscriber};
use e2e::tools::Need;
use e2e::{Platform, cases, eventually, shared, stop_shared, suite};
use serde_json::Value;

const NEEDS: &[Need] = &[Need::Root, Need::Kubectl];

/// Runs `kn` with the words of `line`.
fn kn(platform: &Platform, line: &str) -> anyhow::Result<String> {
    platform.kn(&line.split_whitespace().collect::<Vec<_>>())?.ok()
}

fn displayed(platform: &Platform, subscriber: &str, id: &str) -> anyhow::Result<String> {
    eventually(&format!("{id} at {subscriber}"), || {
        let text = printed(platform, subscriber)?;
        ensure!(ids(&text).iter().any(|seen| seen == id), "{text}");
        Ok(text)
    })
}

fn what_could_not_be_delivered_is_listed_and_sent_again() -> anyhow::Result<()> {
    let platform = shared()?;
    kn(platform, "broker create letters")?;
    kn(
        platform,
        "trigger create lost --broker letters --sink http://nobody.default.svc.cluster.local --retry 0",
    )?;
    is_ready(platform, &["broker/letters", "trigger/lost"])?;
    kn(
        platform,
        "event send --id letter --type dev.example.letter --field a=1 --to broker:letters",
    )?;
    let position = eventually("the dead letter", || {
        let listed = kn(platform, "event dead-letters broker:letters -o json")?;
        let listed: Value = serde_json::from_str(&listed)?;
        let letter = &listed["items"][0];
        ensure!(letter["event"]["id"] == "letter", "{listed}");
        Ok(letter["position"].to_string())
    })?;
    let table = kn(platform, "event dead-letters letters")?;
    ensure!(
        table.contains("lost") && table.contains("dev.example.letter"),
        "{table}"
    );

    subscriber(platform, "found")?;
    kn(platform, "trigger update lost --sink ksvc:found")?;
    is_ready(platform, &["trigger/lost"])?;
    kn(platform, &format!("event replay broker:letters {position}"))?;
    displayed(platform, "found", "letter")?;
    let refused = platform.kn(&["event", "replay", "letters", "99999"])?;
    ensure!(refused.code != 0, "{}", refused.text());
    Ok(())
}

fn channels_pass_events_to_their_subscriptions() -> anyhow::Result<()> {
    let platform = shared()?;
    subscriber(platform, "end")?;
    kn(platform, "channel create pipe")?;
    kn(platform, "subscription create tap --channel pipe --sink ksvc:end")?;
    kn(platform, "broker create source")?;
    kn(
        platform,
        "trigger create pour --broker source --sink channel:pipe",
    )?;
    is_ready(
        platform,
        &[
            "channels.messaging.knative.dev/pipe",
            "subscription/tap",
            "trigger/pour",
        ],
    )?;
    kn(
        platform,
        "event send --id drop --type dev.example.drop --to broker:source",
    )?;
    displayed(platform, "end", "drop")?;
    for (line, expected) in [
        ("channel list", "pipe"),
        ("channel describe pipe", "pipe-kn-channel"),
        ("channel list-types", "InMemoryChannel"),
        ("subscription list", "tap"),
        ("subscription describe tap", "end"),
    ] {
        let text = kn(platform, line)?;
        ensure!(text.contains(expected), "{line}: {text}");
    }
    kn(platform, "subscription delete tap")?;
    kn(platform, "channel delete pipe")?;
    Ok(())
}

fn changes_of_objects_become_events() -> anyhow::Result<()> {
    let platform = shared()?;
    for line in [
        "create serviceaccount watcher",
        "create role watcher --verb=get,list,watch --resource=configmaps",
        "create rolebinding watcher --role=watcher --serviceaccount=default:watcher",
    ] {
        platform.kubectl(&line.split(' ').collect::<Vec<_>>())?.ok()?;
    }
    subscriber(platform, "changes")?;
    kn(
        platform,
        "source apiserver create objects --resource ConfigMap:v1 --service-account watcher --sink ksvc:changes",
    )?;
    is_ready(platform, &["apiserversource/objects"])?;
    // What is there when the source begins is no event; so it is asked until one is made after that.
    let mut number = 0;
    eventually("an event of a new object", || {
        number += 1;
        platform
            .kubectl(&["create", "configmap", &format!("seen-{number}")])?
            .ok()?;
        let text = printed(platform, "changes")?;
        ensure!(
            text.contains("type: dev.knative.apiserver.resource.add")
                || text.contains("type: dev.knative.apiserver.ref.add"),
            "{text}"
        );
        Ok(())
    })?;
    for (line, expected) in [
        ("source list", "objects"),
        ("source list-types", "ApiServerSource"),
        ("source apiserver list", "objects"),
        ("source apiserver describe objects", "ConfigMap"),
    ] {
        let text = kn(platform, line)?;
        ensure!(text.contains(expected), "{line}: {text}");
    }
    kn(platform, "source apiserver delete objects")?;
    Ok(())
}

fn main() -> ExitCode {
    suite(
        cases![NEEDS => [
            what_could_not_be_delivered_is_listed_and_sent_again,
            channels_pass_events_to_their_subscriptions,
            changes_of_objects_become_events,
        ]],
        stop_shared,
    )
}
