//! Events from the producer to the subscriber, with the programs that people use.

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::{Context, ensure};
use e2e::client::{full, whole};
use e2e::display::{ids, is_ready, printed, subscriber};
use e2e::tools::{Case, Need};
use e2e::{Client, Options, Platform, block_on, eventually, shared, stop_shared, suite};
use hyper::Request;
use hyper::header::{CONTENT_TYPE, HOST};

const NEEDS: &[Need] = &[Need::Root, Need::Kubectl, Need::Curl];
/// Where events are accepted, as the gateway knows it.
const INGRESS: &str = "broker-ingress.knative-eventing.localhost";

fn post(platform: &Platform, broker: &str, event: &[(&str, &str)], body: &str) -> anyhow::Result<String> {
    let headers: Vec<String> = event
        .iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    let mut arguments = vec!["-o", "/dev/null", "-w", "%{http_code}", "-d", body];
    arguments.extend(headers.iter().flat_map(|header| ["-H", header.as_str()]));
    platform
        .curl(INGRESS, &format!("/default/{broker}"), &arguments)?
        .ok()
}

fn what_is_posted_reaches_the_subscribers_of_matching_triggers() -> anyhow::Result<()> {
    let platform = shared()?;
    platform.kn(&["broker", "create", "default"])?.ok()?;
    subscriber(platform, "display")?;
    let trigger = [
        "trigger",
        "create",
        "hello",
        "--broker",
        "default",
        "--filter",
        "type=dev.example.hello",
        "--sink",
        "ksvc:display",
    ];
    platform.kn(&trigger)?.ok()?;
    is_ready(platform, &["broker/default", "trigger/hello"])?;
    let event = |id, type_| {
        [
            ("ce-specversion", "1.0"),
            ("ce-type", type_),
            ("ce-source", "/me"),
            ("ce-id", id),
            ("content-type", "application/json"),
        ]
    };
    for (id, type_) in [("1", "dev.example.other"), ("2", "dev.example.hello")] {
        let code = post(platform, "default", &event(id, type_), r#"{"msg":"hi"}"#)?;
        ensure!(code == "202", "event {id}: {code}");
    }
    let code = post(platform, "default", &event("3", "dev.example.hello")[1..], "{}")?;
    ensure!(code == "400", "without a version: {code}");
    let code = post(platform, "nobodys", &event("4", "dev.example.hello"), "{}")?;
    ensure!(code == "404", "to no broker: {code}");
    platform
        .kn(&[
            "event",
            "send",
            "--type",
            "dev.example.hello",
            "--field",
            "msg=hi",
            "--id",
            "5",
            "--to",
            "broker:default",
        ])?
        .ok()?;
    eventually("the events to be displayed", || {
        let text = printed(platform, "display")?;
        let seen: BTreeSet<String> = ids(&text).into_iter().collect();
        ensure!(seen == BTreeSet::from(["2".to_owned(), "5".to_owned()]), "{text}");
        ensure!(text.contains("\"msg\": \"hi\""), "{text}");
        Ok(())
    })?;
    let listed = platform.kn(&["trigger", "list"])?.ok()?;
    ensure!(listed.contains("hello") && listed.contains("True"), "{listed}");
    let described = platform.kn(&["broker", "describe", "default"])?.ok()?;
    ensure!(
        described.contains("broker-ingress.knative-eventing"),
        "{described}"
    );
    Ok(())
}

fn a_tail_tells_what_subscribers_answered() -> anyhow::Result<()> {
    let platform = shared()?;
    platform.kn(&["broker", "create", "watched"])?.ok()?;
    subscriber(platform, "watcher")?;
    for (name, filter) in [
        ("taker", "type=dev.example.seen"),
        ("other", "type=dev.example.other"),
    ] {
        let trigger = [
            "trigger",
            "create",
            name,
            "--broker",
            "watched",
            "--sink",
            "ksvc:watcher",
        ];
        platform
            .kn(&[&trigger[..], &["--filter", filter]].concat())?
            .ok()?;
    }
    is_ready(platform, &["trigger/taker", "trigger/other"])?;
    let event = [
        ("ce-specversion", "1.0"),
        ("ce-type", "dev.example.seen"),
        ("ce-source", "/me"),
        ("ce-id", "1"),
    ];
    // A tail ends a moment after its events, when an answer may still be on its way: then the next one has it.
    eventually("a tail with answers", || {
        let told = std::thread::scope(|scope| {
            let tail = ["event", "tail", "broker:watched", "--filtered", "--limit", "3"];
            let tail = scope.spawn(move || platform.kn(&tail)?.ok());
            while !tail.is_finished() {
                post(platform, "watched", &event, "{}")?;
            }
            tail.join().ok().context("the tail broke")?
        })?;
        ensure!(told.matches("dev.example.seen  /me  1").count() == 3, "{told}");
        ensure!(told.contains("  taker: delivered to http://watcher."), "{told}");
        ensure!(told.contains(", answered 2"), "{told}");
        ensure!(told.contains("  other: not wanted by its filter"), "{told}");
        Ok(())
    })
}

fn a_ping_source_ticks_into_a_broker() -> anyhow::Result<()> {
    let platform = shared()?;
    platform.kn(&["broker", "create", "clock"])?.ok()?;
    subscriber(platform, "ticks")?;
    let trigger = [
        "trigger",
        "create",
        "ticks",
        "--broker",
        "clock",
        "--sink",
        "ksvc:ticks",
    ];
    platform.kn(&trigger)?.ok()?;
    is_ready(platform, &["trigger/ticks"])?;
    let source = [
        "source",
        "ping",
        "create",
        "tick",
        "--schedule",
        "* * * * * *",
        "--data",
        r#"{"tick":1}"#,
        "--sink",
        "broker:clock",
    ];
    platform.kn(&source)?.ok()?;
    is_ready(platform, &["pingsource/tick"])?;
    eventually("three ticks", || {
        let text = printed(platform, "ticks")?;
        ensure!(ids(&text).len() >= 3, "{text}");
        ensure!(text.contains("type: dev.knative.sources.ping"), "{text}");
        ensure!(
            text.contains("source: /apis/v1/namespaces/default/pingsources/tick"),
            "{text}"
        );
        Ok(())
    })?;
    platform.kn(&["source", "ping", "delete", "tick"])?.ok()?;
    Ok(())
}

/// Events that a connection sends one after the other until the server is gone; returns the acknowledged ids.
async fn send_until_gone(client: Client, prefix: usize) -> anyhow::Result<Vec<String>> {
    let mut sender = client.http1().await?;
    let mut acknowledged = Vec::new();
    for number in 0.. {
        let id = format!("{prefix}-{number}");
        let request = Request::post("/default/durable")
            .header(HOST, INGRESS)
            .header(CONTENT_TYPE, "text/plain")
            .header("ce-specversion", "1.0")
            .header("ce-type", "dev.example.numbered")
            .header("ce-source", "/kill")
            .header("ce-id", &id)
            .body(full("x"))?;
        let Ok(response) = sender.send_request(request).await else {
            break;
        };
        match whole(response).await {
            Ok(answer) if answer.status == 202 => acknowledged.push(id),
            _ => break,
        }
    }
    Ok(acknowledged)
}

fn what_was_accepted_before_a_kill_is_delivered_after_it() -> anyhow::Result<()> {
    let mut platform = Platform::start(Options::default())?;
    platform.kn(&["broker", "create", "durable"])?.ok()?;
    subscriber(&platform, "keeper")?;
    let trigger = [
        "trigger",
        "create",
        "all",
        "--broker",
        "durable",
        "--sink",
        "ksvc:keeper",
    ];
    platform.kn(&trigger)?.ok()?;
    is_ready(&platform, &["broker/durable", "trigger/all"])?;

    let client = Client::of(&platform);
    let sending = std::thread::spawn(move || {
        block_on(async move {
            let senders = (0..4).map(|prefix| tokio::spawn(send_until_gone(client, prefix)));
            let mut all = BTreeSet::new();
            for sender in senders.collect::<Vec<_>>() {
                all.extend(sender.await??);
            }
            Ok(all)
        })
    });
    // In the middle of it, with events stored, on their way and delivered.
    eventually("some deliveries", || {
        let delivered = ids(&printed(&platform, "keeper")?).len();
        ensure!(delivered >= 50, "{delivered} so far");
        Ok(())
    })?;
    platform.kill()?;
    let acknowledged = sending.join().ok().context("the senders broke")??;
    ensure!(acknowledged.len() >= 50, "only {} accepted", acknowledged.len());
    platform.restart()?;
    eventually("every accepted event to be delivered", || {
        let delivered: BTreeSet<String> = ids(&printed(&platform, "keeper")?).into_iter().collect();
        let lost: Vec<_> = acknowledged.difference(&delivered).take(5).collect();
        ensure!(
            lost.is_empty(),
            "of {}, missing are {lost:?} …",
            acknowledged.len()
        );
        Ok(())
    })?;
    platform.stop()
}

fn main() -> ExitCode {
    macro_rules! cases {
        ($($test:ident),* $(,)?) => {
            vec![$(Case { name: stringify!($test), needs: NEEDS, test: $test }),*]
        };
    }
    suite(
        cases![
            what_is_posted_reaches_the_subscribers_of_matching_triggers,
            a_tail_tells_what_subscribers_answered,
            a_ping_source_ticks_into_a_broker,
            what_was_accepted_before_a_kill_is_delivered_after_it,
        ],
        stop_shared,
    )
}
