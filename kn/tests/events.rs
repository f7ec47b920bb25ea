//! The commands of events: what they store, show and send.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "support/cluster.rs"]
mod cluster;

use cluster::{Cluster, answer};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const EVENTING: &str = "eventing.knative.dev/v1/brokers";

#[tokio::test]
async fn brokers_and_triggers_are_made_changed_shown_and_deleted() {
    let cluster = Cluster::with_web("reg.io/web:1").await;
    cluster
        .kn("broker list")
        .await
        .code(0)
        .says(&["No brokers found."]);
    cluster
        .kn("broker create default --class C --broker-config cm:settings --retry 5 --backoff-policy linear --backoff-delay PT0.5S --dl-sink web")
        .await
        .code(0)
        .says(&["Broker 'default' successfully created in namespace 'default'."]);
    let broker = cluster.get(EVENTING, "default").await;
    assert_eq!(
        broker["metadata"]["annotations"]["eventing.knative.dev/broker.class"],
        "C"
    );
    assert_eq!(broker["spec"]["config"]["name"], "settings");
    assert_eq!(
        broker["spec"]["delivery"],
        json!({ "retry": 5, "backoffPolicy": "linear", "backoffDelay": "PT0.5S", "deadLetterSink": { "ref": {
            "apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": "web", "namespace": "default" } } })
    );
    cluster
        .kn("broker create default")
        .await
        .code(4)
        .complains(&["already exists"]);
    cluster
        .kn("broker update default")
        .await
        .code(2)
        .complains(&["flag(s) not set"]);
    cluster
        .kn("broker update default --retry 0 --timeout PT10S")
        .await
        .code(0)
        .says(&["Broker 'default' successfully updated in namespace 'default'."]);
    assert_eq!(
        cluster.get(EVENTING, "default").await["spec"]["delivery"]["retry"],
        0
    );
    cluster
        .settle(
            EVENTING,
            "default",
            json!({ "address": { "url": "http://b/default/default" } }),
        )
        .await;
    cluster.kn("broker list").await.code(0).says(&[
        "NAME",
        "URL",
        "CONDITIONS",
        "http://b/default/default",
        "1 OK / 1",
        "True",
    ]);
    cluster.kn("broker describe default").await.code(0).says(&[
        "Address:\n  URL:  http://b/default/default\n",
        "Dead Letter Sink:  ksvc:web",
        "++       Ready",
    ]);
    assert_eq!(
        cluster.kn("broker describe default -o url").await.code(0).out,
        "http://b/default/default\n"
    );

    cluster
        .kn("trigger create hello --filter type=dev.hello,subject=a --sink ksvc:web --inject-broker")
        .await
        .code(0)
        .says(&["Trigger 'hello' successfully created in namespace 'default'."]);
    let triggers = "eventing.knative.dev/v1/triggers";
    let trigger = cluster.get(triggers, "hello").await;
    assert_eq!(trigger["spec"]["broker"], "default");
    assert_eq!(
        trigger["spec"]["filter"]["attributes"],
        json!({ "type": "dev.hello", "subject": "a" })
    );
    assert_eq!(
        trigger["metadata"]["annotations"]["eventing.knative.dev/injection"],
        "enabled"
    );
    cluster
        .kn("trigger update hello --filter subject- --filter type=dev.bye --sink http://example.com/x")
        .await
        .code(0);
    let trigger = cluster.get(triggers, "hello").await;
    assert_eq!(
        trigger["spec"]["filter"]["attributes"],
        json!({ "type": "dev.bye" })
    );
    assert_eq!(
        trigger["spec"]["subscriber"],
        json!({ "uri": "http://example.com/x" })
    );
    cluster
        .kn("trigger update hello --broker other")
        .await
        .code(2)
        .complains(&["immutable"]);
    cluster
        .kn("trigger create t --sink svc:web")
        .await
        .code(3)
        .complains(&["--sink: services \"web\" not found", "ksvc:web"]);
    cluster
        .kn("trigger create t --sink brokr:x")
        .await
        .code(2)
        .complains(&["no sink prefix 'brokr'"]);
    cluster
        .kn("trigger create t")
        .await
        .code(2)
        .complains(&["required flag(s) \"sink\" not set for 'kn trigger create'"]);
    cluster.kn("trigger list -o wide").await.code(0).says(&[
        "hello",
        "default",
        "http://example.com/x",
        "type=dev.bye",
    ]);
    cluster.kn("trigger describe hello").await.code(0).says(&[
        "Broker:",
        "Filter:\n  type:  dev.bye\n",
        "Sink:\n  URI:  http://example.com/x\n",
    ]);
    for (line, said) in [
        (
            "trigger delete hello",
            "Trigger 'hello' successfully deleted in namespace 'default'.",
        ),
        (
            "broker delete default",
            "Broker 'default' successfully deleted in namespace 'default'.",
        ),
    ] {
        cluster.kn(line).await.code(0).says(&[said]);
    }
    cluster
        .kn("trigger list")
        .await
        .code(0)
        .says(&["No triggers found."]);
}

#[tokio::test]
async fn what_is_made_can_be_rehearsed_and_waited_for() {
    let cluster = Cluster::start().await;
    for how in ["client", "server"] {
        cluster
            .kn(&format!("broker create default --dry-run {how}"))
            .await
            .code(0)
            .says(&["+  name: default\n", "(dry run)"]);
    }
    cluster
        .kn("broker list")
        .await
        .code(0)
        .says(&["No brokers found."]);
    let (created, ()) = tokio::join!(cluster.kn("broker create default --wait -o name"), async {
        while cluster.find(EVENTING, "default").await.is_none() {
            tokio::task::yield_now().await;
        }
        cluster.settle(EVENTING, "default", json!({})).await;
    });
    assert_eq!(created.code(0).out, "broker.eventing.knative.dev/default\n");
    cluster
        .kn("broker create other --wait --wait-timeout 1")
        .await
        .code(5)
        .complains(&["timeout: broker 'other' not ready after 1 seconds"]);
}

#[tokio::test]
async fn channels_subscriptions_and_types_are_managed() {
    let cluster = Cluster::with_web("reg.io/web:1").await;
    cluster
        .kn("channel create pipe --type imc")
        .await
        .code(0)
        .says(&["Channel 'pipe' successfully created"]);
    let pipe = cluster.get("messaging.knative.dev/v1/channels", "pipe").await;
    assert_eq!(pipe["spec"]["channelTemplate"]["kind"], "InMemoryChannel");
    cluster
        .kn("channel create x --type a:b")
        .await
        .code(2)
        .complains(&["GROUP:VERSION:KIND"]);
    cluster
        .kn("channel list")
        .await
        .code(0)
        .says(&["TYPE", "InMemoryChannel"]);
    cluster
        .kn("channel describe pipe")
        .await
        .code(0)
        .says(&["InMemoryChannel (messaging.knative.dev/v1)"]);
    let types = cluster.kn("channel list-types").await.code(0).says(&[
        "TYPE",
        "InMemoryChannel",
        "inmemorychannels.messaging.knative.dev",
    ]);
    assert!(!types.out.contains("\nChannel "), "{}", types.out);

    cluster
        .kn("subscription create s --channel imc:pipe --sink ksvc:web --sink-reply channel:pipe --sink-dead-letter http://dead")
        .await
        .code(0);
    let path = "messaging.knative.dev/v1/subscriptions";
    let stored = cluster.get(path, "s").await;
    assert_eq!(
        stored["spec"]["channel"],
        json!({ "apiVersion": "messaging.knative.dev/v1", "kind": "InMemoryChannel", "name": "pipe" })
    );
    cluster.kn("sub list").await.code(0).says(&[
        "InMemoryChannel:pipe",
        "ksvc:web",
        "channel:pipe",
        "http://dead",
    ]);
    // An empty value removes; the shell would pass it so.
    cluster.kn("subscription update s --sink-reply=").await.code(0);
    assert!(cluster.get(path, "s").await["spec"].get("reply").is_none());
    cluster.kn("subscription delete s").await.code(0);
    cluster.kn("channel delete pipe").await.code(0);

    cluster.kn("broker create default").await.code(0);
    cluster
        .kn("eventtype create hello --type dev.hello --source /me --reference broker:default")
        .await
        .code(0)
        .says(&["Eventtype 'hello' successfully created in namespace 'default'."]);
    cluster
        .kn("eventtype list")
        .await
        .code(0)
        .says(&["dev.hello", "/me", "broker:default"]);
    cluster
        .kn("eventtype describe hello")
        .await
        .code(0)
        .says(&["dev.hello", "Reference:\n  Name:      default\n"]);
    cluster
        .kn("eventtype create x --type t --reference channel:nothing")
        .await
        .code(3)
        .complains(&["--reference: channels.messaging.knative.dev \"nothing\" not found"]);
    cluster.kn("eventtype delete hello").await.code(0);
}

#[tokio::test]
async fn sources_of_all_types_are_managed() {
    let cluster = Cluster::with_web("reg.io/web:1").await;
    cluster
        .kn("source list")
        .await
        .code(0)
        .says(&["No sources found."]);
    for (type_, flags, change, shown) in [
        (
            "ping",
            "--schedule @hourly --data {\"tick\":1} --ce-override a=b",
            "--ce-override a-",
            "@hourly",
        ),
        (
            "apiserver",
            "--resource Event:v1 --mode resource --service-account me",
            "--resource Pod:v1",
            "Event:v1,Pod:v1",
        ),
        (
            "binding",
            "--subject Deployment:apps/v1:web",
            "--subject Job:batch/v1:a=b",
            "Job:batch/v1:a=b",
        ),
        (
            "container",
            "--image reg.io/beat --env A=1",
            "--env A=2",
            "reg.io/beat",
        ),
        (
            "github",
            "--repository me/web --access-token s:a --secret-token s:b",
            "--event push,issues",
            "me/web",
        ),
    ] {
        let made = cluster
            .kn(&format!("source {type_} create mine {flags} --sink ksvc:web"))
            .await
            .code(0);
        assert!(
            made.out
                .contains("'mine' successfully created in namespace 'default'."),
            "{}",
            made.out
        );
        cluster
            .kn(&format!("source {type_} update mine {change}"))
            .await
            .code(0);
        cluster
            .kn(&format!("source {type_} list"))
            .await
            .code(0)
            .says(&[shown, "ksvc:web"]);
        cluster
            .kn(&format!("source {type_} describe mine"))
            .await
            .code(0)
            .says(&["Sink:\n  Name:      web\n  Resource:  Service (serving.knative.dev/v1)\n"]);
    }
    cluster.kn("source list").await.code(0).says(&[
        "PingSource",
        "pingsources.sources.knative.dev",
        "ApiServerSource",
        "SinkBinding",
        "ContainerSource",
        "GitHubSource",
        "ksvc:web",
    ]);
    let names = cluster
        .kn("source list --type pingsource,SinkBinding -o name")
        .await
        .code(0)
        .out;
    assert_eq!(
        names,
        "pingsource.sources.knative.dev/mine\nsinkbinding.sources.knative.dev/mine\n"
    );
    cluster.kn("source list-types").await.code(0).says(&[
        "TYPE",
        "PingSource",
        "X",
        "pingsources.sources.knative.dev",
    ]);
    for (line, tokens) in [
        (
            "source ping create x",
            "required flag(s) \"sink\" not set for 'kn source ping create'",
        ),
        (
            "source binding create x --sink ksvc:web",
            "required flag(s) \"subject\" not set",
        ),
        (
            "source apiserver create x --sink ksvc:web --resource Event",
            "--resource Event",
        ),
        ("source foo", "unknown sub-command 'foo' for 'kn source'"),
    ] {
        cluster.kn(line).await.code(2).complains(&[tokens]);
    }
    let ping = cluster.get("sources.knative.dev/v1/pingsources", "mine").await;
    assert_eq!(
        (&ping["spec"]["data"], ping["spec"].get("ceOverrides")),
        (&json!("{\"tick\":1}"), None)
    );
    for type_ in ["ping", "apiserver", "binding", "container", "github"] {
        cluster.kn(&format!("source {type_} delete mine")).await.code(0);
    }
    cluster
        .kn("source binding list")
        .await
        .code(0)
        .says(&["No sink binding found."]);
}

#[tokio::test]
async fn an_event_reaches_a_broker_through_the_gateway() {
    let cluster = Cluster::start().await;
    let gateway = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = gateway.local_addr().unwrap().port();
    cluster.kn("broker create default").await.code(0);
    cluster
        .kn("event send --to broker:default")
        .await
        .code(6)
        .complains(&["it has no address yet"]);
    let url = "http://broker-ingress.knative-eventing.svc.cluster.local/default/default";
    cluster
        .settle(EVENTING, "default", json!({ "address": { "url": url } }))
        .await;
    cluster
        .kn("event send --to broker:default")
        .await
        .code(1)
        .complains(&["from inside the cluster only"]);
    cluster.serve_domain("localhost", port).await;

    let sent = cluster.kn(
        "event send --id 7 --type dev.hello --source /me --field msg=hi --raw-field n=1 --to broker:default",
    );
    let (sent, (head, body)) = tokio::join!(sent, receive(&gateway, "202 Accepted", ""));
    sent.code(0).says(&[&format!(
        "Event (ID: 7) has been sent to http://broker-ingress.knative-eventing.localhost:{port}/default/default."
    )]);
    assert!(head.starts_with("POST /default/default HTTP/1.1\r\n"), "{head}");
    assert!(
        head.contains(&format!(
            "host: broker-ingress.knative-eventing.localhost:{port}\r\n"
        )),
        "{head}"
    );
    assert!(
        head.contains("content-type: application/cloudevents+json"),
        "{head}"
    );
    assert_eq!(
        (&body["id"], &body["type"], &body["source"], &body["data"]),
        (
            &json!("7"),
            &json!("dev.hello"),
            &json!("/me"),
            &json!({ "msg": "hi", "n": "1" })
        )
    );

    let sent = cluster.kn("event send --to broker:default");
    let (sent, _) = tokio::join!(sent, receive(&gateway, "400 Bad Request", "id is missing"));
    sent.code(1).complains(&["400 Bad Request: id is missing"]);
    drop(gateway);
    cluster
        .kn(&format!("event send --to-url http://127.0.0.1:{port}/"))
        .await
        .code(7)
        .complains(&["cannot reach", "refused"]);
}

#[tokio::test]
async fn an_event_goes_with_a_token_to_who_asks_for_one() {
    const AUDIENCE: &str = "eventing.knative.dev/broker/default/default";
    let cluster = Cluster::start().await;
    let gateway = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = gateway.local_addr().unwrap().port();
    cluster.kn("broker create default").await.code(0);
    let url = "http://broker-ingress.knative-eventing.svc.cluster.local/default/default";
    let address = json!({ "address": { "url": url, "audience": AUDIENCE } });
    cluster.settle(EVENTING, "default", address).await;
    cluster.serve_domain("localhost", port).await;
    cluster
        .kn("event send --to broker:default --service-account team:sender")
        .await
        .code(3)
        .complains(&["serviceaccounts \"sender\" not found"]);
    cluster.make_account().await;
    let sent = cluster.kn("event send --to broker:default");
    let (sent, (head, _)) = tokio::join!(sent, receive(&gateway, "202 Accepted", ""));
    sent.code(0);
    let token = head.split("authorization: Bearer ").nth(1).unwrap();
    let token = token.split("\r\n").next().unwrap();
    assert_eq!(cluster.audiences(token).await, [AUDIENCE]);
}

#[tokio::test]
async fn an_event_is_shown_before_it_is_sent() {
    let cluster = Cluster::start().await;
    let built = cluster
        .kn("event build --id 7 --type t --field a.b=1 -o json")
        .await
        .code(0)
        .out;
    let built: Value = serde_json::from_str(&built).unwrap();
    assert_eq!(
        (&built["id"], &built["specversion"], &built["data"]),
        (&json!("7"), &json!("1.0"), &json!({ "a": { "b": 1 } }))
    );
    cluster
        .kn("event build --id 7 --type t")
        .await
        .code(0)
        .says(&["id:", "type:", "data:\n{}"]);
    cluster
        .kn("event send")
        .await
        .code(2)
        .complains(&["required flag(s) \"to\" not set"]);
    cluster
        .kn("event build --field x")
        .await
        .code(2)
        .complains(&["--field x"]);
}

#[tokio::test]
async fn operators_see_events_and_send_dead_letters_again() {
    let cluster = Cluster::start().await;
    let gateway = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    cluster.kn("broker create default").await.code(0);
    let url = "http://broker-ingress.knative-eventing.svc.cluster.local/default/default";
    cluster
        .settle(EVENTING, "default", json!({ "address": { "url": url } }))
        .await;
    cluster
        .serve_domain("localhost", gateway.local_addr().unwrap().port())
        .await;
    cluster
        .kn("event tail default")
        .await
        .code(3)
        .complains(&["serviceaccounts \"default\" not found"]);
    cluster.make_account().await;

    let event = json!({ "type": "dev.hello", "source": "/me", "id": "7", "data": { "a": 1 } });
    let line = json!({ "position": 3, "time": "2026-01-01T00:00:00Z", "event": event }).to_string();
    let twice = format!("{line}\n\n{line}");
    let tail = cluster.kn("event tail broker:default --from earliest --no-follow --limit 5");
    let (tail, head) = tokio::join!(tail, answer(&gateway, "200 OK", &twice));
    assert_eq!(
        tail.code(0).out,
        "2026-01-01T00:00:00Z  3  dev.hello  /me  7  {\"a\":1}\n".repeat(2)
    );
    let path = "/.spindrift/v1/namespaces/default/brokers/default";
    assert!(
        head.starts_with(&format!(
            "GET {path}/tail?from=earliest&follow=false&limit=5 HTTP/1.1\r\n"
        )),
        "{head}"
    );
    let token = head
        .split("authorization: Bearer ")
        .nth(1)
        .unwrap()
        .split("\r\n")
        .next()
        .unwrap();
    assert_eq!(cluster.audiences(token).await, ["spindrift-events"]);

    let letter = json!({ "position": 4, "event": event, "failure": { "consumer": "broken", "code": 500, "data": "no route", "time": "T" } });
    let letter = letter.to_string();
    let letters = cluster.kn("event dead-letters default");
    let (letters, _) = tokio::join!(letters, answer(&gateway, "200 OK", &letter));
    letters
        .code(0)
        .says(&["POSITION", "broken", "dev.hello", "500", "no route"]);
    let letters = cluster.kn("event dead-letters default --from 9");
    let (letters, head) = tokio::join!(letters, answer(&gateway, "200 OK", ""));
    letters.code(0).says(&["No dead letters found."]);
    assert!(head.contains("/dead-letters?from=9&limit=100 "), "{head}");

    let replay = cluster.kn("event replay broker:default 4 5");
    let (replay, head) = tokio::join!(
        replay,
        answer(&gateway, "200 OK", "{\"replayed\":1,\"skipped\":1}")
    );
    // Both were asked for by name.
    replay.code(1).says(&["1 sent again. 1 skipped"]);
    assert!(
        head.starts_with(&format!("POST {path}/replay?position=4&position=5 ")),
        "{head}"
    );
    let refused = cluster.kn("event replay default --all");
    let (refused, _) = tokio::join!(
        refused,
        answer(&gateway, "403 Forbidden", "the token is of another")
    );
    refused
        .code(8)
        .complains(&["403 Forbidden: the token is of another"]);
    cluster.kn("event replay default").await.code(2);
    cluster
        .kn("event tail default --from first")
        .await
        .code(2)
        .complains(&["expected latest, earliest"]);
    cluster.kn("event tail ksvc:web").await.code(3);
}

/// Takes one request, and answers it.
async fn receive(listener: &tokio::net::TcpListener, status: &str, text: &str) -> (String, Value) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut bytes = Vec::new();
    loop {
        let mut part = [0; 4096];
        let read = stream.read(&mut part).await.unwrap();
        bytes.extend_from_slice(&part[..read]);
        let whole = String::from_utf8(bytes.clone()).unwrap();
        let Some((head, body)) = whole.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .split("content-length: ")
            .nth(1)
            .unwrap()
            .split("\r\n")
            .next()
            .unwrap();
        if body.len() < length.parse().unwrap() {
            continue;
        }
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{text}",
            text.len()
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
        return (format!("{head}\r\n"), serde_json::from_str(body).unwrap());
    }
}
