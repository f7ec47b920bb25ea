//! Who sends events, who may, and what came: tokens, policies and EventTypes, with the programs that people use.

use std::process::ExitCode;

use anyhow::{Context, ensure};
use e2e::display::{ids, is_ready, printed, subscriber};
use e2e::tools::Need;
use e2e::{Platform, cases, eventually, shared, stop_shared, suite, turn};
use serde_json::json;

const NEEDS: &[Need] = &[Need::Root, Need::Kubectl, Need::Curl];
/// Where events are accepted, as the gateway knows it.
const INGRESS: &str = "broker-ingress.knative-eventing.localhost";
/// What tokens for the broker `first` are made for.
const AUDIENCE: &str = "eventing.knative.dev/broker/default/first";

/// Runs `kn` with the words of `line`.
fn kn(platform: &Platform, line: &str) -> anyhow::Result<String> {
    platform.kn(&line.split_whitespace().collect::<Vec<_>>())?.ok()
}

/// What the broker `first` answers to an event with this id and token.
fn post(platform: &Platform, id: &str, token: Option<&str>) -> anyhow::Result<String> {
    let mut headers = vec![
        "ce-specversion: 1.0".to_owned(),
        "ce-type: dev.example.told".to_owned(),
        "ce-source: /me".to_owned(),
        "content-type: application/json".to_owned(),
        format!("ce-id: {id}"),
    ];
    headers.extend(token.map(|token| format!("authorization: Bearer {token}")));
    let mut arguments = vec!["-o", "/dev/null", "-w", "%{http_code}", "-d", "{}"];
    arguments.extend(headers.iter().flat_map(|header| ["-H", header.as_str()]));
    platform.curl(INGRESS, "/default/first", &arguments)?.ok()
}

/// Waits until the broker answers so.
fn answers(platform: &Platform, id: &str, token: Option<&str>, expected: &str) -> anyhow::Result<()> {
    eventually(&format!("{expected} for {id}"), || {
        let code = post(platform, id, token)?;
        ensure!(code == expected, "{code}");
        Ok(())
    })
}

/// A token of a ServiceAccount.
fn token(platform: &Platform, account: &str, audience: &str) -> anyhow::Result<String> {
    let made = platform
        .kubectl(&["create", "token", account, "--audience", audience])?
        .ok()?;
    Ok(made.trim().to_owned())
}

fn identities(platform: &Platform, flag: &str) -> anyhow::Result<()> {
    let patch = json!({"data": {"authentication-oidc": flag}}).to_string();
    let map = ["configmap", "config-features", "-n", "knative-eventing"];
    let patched = [&["patch"], map.as_slice(), &["--type", "merge", "-p", &patch]].concat();
    platform.kubectl(&patched)?.ok()?;
    Ok(())
}

fn senders_show_who_they_are_and_policies_say_who_may() -> anyhow::Result<()> {
    let (platform, _turn) = (shared()?, turn());
    kn(platform, "broker create first")?;
    kn(platform, "broker create last")?;
    subscriber(platform, "told")?;
    kn(platform, "trigger create link --broker first --sink broker:last")?;
    kn(platform, "trigger create tell --broker last --sink ksvc:told")?;
    let ready = ["broker/first", "broker/last", "trigger/link", "trigger/tell"];
    is_ready(platform, &ready)?;
    // Nobody is asked, and what is shown is not looked at.
    for token in [None, Some("nonsense")] {
        let code = post(platform, "before", token)?;
        ensure!(code == "202", "{code} for {token:?}");
    }

    identities(platform, "enabled")?;
    answers(platform, "nobody", None, "401")?;
    let link = eventually("the identity of the trigger", || {
        let link = platform.get(&["trigger", "link"])?;
        let audience = &link["status"]["subscriberAudience"];
        ensure!(
            audience == "eventing.knative.dev/broker/default/last",
            "{audience}"
        );
        let account = link["status"]["auth"]["serviceAccountName"].as_str();
        Ok(account.context("no account")?.to_owned())
    })?;
    platform.get(&["serviceaccount", &link])?;
    for account in ["sender", "somebody"] {
        platform.kubectl(&["create", "serviceaccount", account])?.ok()?;
    }
    let sender = token(platform, "sender", AUDIENCE)?;
    let elsewhere = token(platform, "sender", "eventing.knative.dev/broker/default/last")?;
    answers(platform, "elsewhere", Some(&elsewhere), "401")?;
    answers(platform, "nonsense", Some("nonsense"), "401")?;
    answers(platform, "sent", Some(&sender), "202")?;
    // From broker to broker with the token of the trigger. What is sent before the data plane has heard of that account is
    // refused by the other broker, so it is sent until one comes through.
    let mut number = 0;
    eventually("an event to pass both brokers", || {
        number += 1;
        let code = post(platform, &format!("through-{number}"), Some(&sender))?;
        ensure!(code == "202", "{code}");
        let text = printed(platform, "told")?;
        ensure!(ids(&text).iter().any(|id| id.starts_with("through-")), "{text}");
        Ok(())
    })?;

    let policy = "\
apiVersion: eventing.knative.dev/v1alpha1
kind: EventPolicy
metadata: {name: only-somebody}
spec:
  to: [{ref: {apiVersion: eventing.knative.dev/v1, kind: Broker, name: first}}]
  from: [{sub: 'system:serviceaccount:default:some*'}]
";
    platform.apply(policy, &[])?.ok()?;
    answers(platform, "forbidden", Some(&sender), "403")?;
    let somebody = token(platform, "somebody", AUDIENCE)?;
    answers(platform, "allowed", Some(&somebody), "202")?;
    answers(platform, "nobody", None, "401")?;
    platform
        .kubectl(&["delete", "eventpolicy", "only-somebody"])?
        .ok()?;
    answers(platform, "sent", Some(&sender), "202")?;

    // What was told with `allowed` came after all that was refused for the token.
    eventually("what was allowed", || {
        let text = printed(platform, "told")?;
        let seen = ids(&text);
        let has = |wanted: &str| seen.iter().any(|id| id == wanted);
        ensure!(has("allowed"), "{text}");
        Ok(ensure_none(&seen, &["elsewhere", "nonsense"]))
    })??;
    identities(platform, "disabled")?;
    answers(platform, "after", None, "202")?;
    kn(platform, "trigger delete link")?;
    kn(platform, "trigger delete tell")?;
    Ok(())
}

/// That none of these ids came.
fn ensure_none(seen: &[String], refused: &[&str]) -> anyhow::Result<()> {
    for id in seen {
        ensure!(!refused.contains(&id.as_str()), "{id} was refused, and came");
    }
    Ok(())
}

/// That `kn eventtype list` has a ready type with all of these words in its line. Types of other brokers may be there too.
fn listed(platform: &Platform, words: &[&str]) -> anyhow::Result<()> {
    let list = kn(platform, "eventtype list")?;
    let is = |line: &str| line.contains("True") && words.iter().all(|word| line.contains(word));
    ensure!(list.lines().any(is), "{list}");
    Ok(())
}

fn what_came_and_what_sources_announce_is_listed() -> anyhow::Result<()> {
    let (platform, _turn) = (shared()?, turn());
    kn(platform, "broker create seen")?;
    is_ready(platform, &["broker/seen"])?;
    eventually("the type that came", || {
        kn(
            platform,
            "event send --type dev.example.seen --source /shop --to broker:seen",
        )?;
        listed(platform, &["dev.example.seen", "/shop", "broker:seen"])
    })?;

    // It never ticks here: its type is what it says, not what came.
    let mut source = vec!["source", "ping", "create", "yearly", "--schedule", "0 0 29 2 *"];
    source.extend(["--data", "{}", "--sink", "broker:seen"]);
    platform.kn(&source)?.ok()?;
    let announced = ["dev.knative.sources.ping", "pingsources/yearly", "broker:seen"];
    eventually("the type of the source", || listed(platform, &announced))?;
    kn(platform, "source ping delete yearly")?;
    kn(platform, "broker delete seen")?;
    eventually("no types of what is gone", || {
        let list = kn(platform, "eventtype list")?;
        let left = list.contains("dev.example.seen") || list.contains("pingsources/yearly");
        ensure!(!left, "{list}");
        Ok(())
    })
}

/// A source that ticks each second, and the account that it sends with.
fn ticking(platform: &Platform, name: &str) -> anyhow::Result<String> {
    let mut source = vec!["source", "ping", "create", name, "--schedule", "* * * * * *"];
    source.extend(["--data", "{}", "--sink", "broker:guarded"]);
    platform.kn(&source)?.ok()?;
    let source = format!("pingsource/{name}");
    is_ready(platform, &[&source])?;
    let status = platform.get(&[&source])?["status"].clone();
    ensure!(
        status["sinkAudience"] == "eventing.knative.dev/broker/default/guarded",
        "{status}"
    );
    let account = status["auth"]["serviceAccountName"].as_str();
    Ok(account.context("no account")?.to_owned())
}

/// Events that receivers sent away because of who sent them.
fn forbidden(platform: &Platform) -> f64 {
    // Not told before the first.
    platform
        .metric(r#"event_ingress_refused_total{reason="forbidden"}"#)
        .unwrap_or_default()
}

fn a_source_shows_that_it_is_itself() -> anyhow::Result<()> {
    let (platform, _turn) = (shared()?, turn());
    identities(platform, "enabled")?;
    kn(platform, "broker create guarded")?;
    subscriber(platform, "ticked")?;
    kn(
        platform,
        "trigger create ticks --broker guarded --sink ksvc:ticked",
    )?;
    let policy = "\
apiVersion: eventing.knative.dev/v1alpha1
kind: EventPolicy
metadata: {name: only-known}
spec:
  to: [{ref: {apiVersion: eventing.knative.dev/v1, kind: Broker, name: guarded}}]
  from: [{ref: {apiVersion: sources.knative.dev/v1, kind: PingSource, name: known}}]
";
    platform.apply(policy, &[])?.ok()?;
    let before = forbidden(platform);
    // The stranger comes first: its ticks are refused before and while those of the other are taken.
    let strange = ticking(platform, "stranger")?;
    let account = ticking(platform, "known")?;
    ensure!(account != strange, "one account for both: {account}");
    platform.get(&["serviceaccount", &account])?;
    is_ready(
        platform,
        &["eventpolicy/only-known", "broker/guarded", "trigger/ticks"],
    )?;
    let subjects = platform.get(&["eventpolicy", "only-known"])?["status"]["from"].clone();
    ensure!(
        subjects == json!([format!("system:serviceaccount:default:{account}")]),
        "{subjects}"
    );
    eventually("ticks of the one, and refusals of the other", || {
        let text = printed(platform, "ticked")?;
        let from = |name: &str| text.matches(&format!("/pingsources/{name}\n")).count();
        ensure!(from("known") >= 3, "{text}");
        ensure!(forbidden(platform) >= before + 3.0);
        Ok(())
    })?;
    let text = printed(platform, "ticked")?;
    ensure!(!text.contains("/pingsources/stranger"), "{text}");
    for name in ["known", "stranger"] {
        kn(platform, &format!("source ping delete {name}"))?;
    }
    platform.kubectl(&["delete", "eventpolicy", "only-known"])?.ok()?;
    identities(platform, "disabled")?;
    kn(platform, "trigger delete ticks")?;
    Ok(())
}

fn main() -> ExitCode {
    suite(
        cases![NEEDS => [
            senders_show_who_they_are_and_policies_say_who_may,
            a_source_shows_that_it_is_itself,
            what_came_and_what_sources_announce_is_listed,
        ]],
        stop_shared,
    )
}
