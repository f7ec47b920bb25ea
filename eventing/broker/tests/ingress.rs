//! What producers are answered.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

#[path = "support/all.rs"]
mod support;

use std::time::Duration;

use broker::Limits;
use bytes::Bytes;
use event_store::{Options, Topic};
use http::Method;
use serde_json::json;
use support::plane::{self, Plane, Setup};
use support::{Answer, Producer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Events that a topic holds.
async fn stored(plane: &Plane, topic: &Topic) -> Vec<broker::record::Record> {
    let records = plane.store.read(topic, 0, 1_000).await.unwrap();
    let records = records
        .into_iter()
        .map(|record| broker::record::decode(record.payload));
    records.collect::<Result<_, _>>().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_follow_the_table() {
    let api = plane::api().await;
    let dir = tempfile::tempdir().unwrap();
    let topic = plane::broker(&api, "default").await;
    let limits = Limits {
        body_bytes: 100_000,
        ..Limits::default()
    };
    let plane = Plane::start(
        &api,
        dir.path(),
        Setup {
            limits,
            ..Setup::default()
        },
    )
    .await;
    let url = plane.serves("/default/default").await;
    let structured = [("content-type", "application/cloudevents+json")];
    let whole = r#"{"specversion":"0.3","id":"2","source":"/test","type":"t","data":{"a":1}}"#;

    for (method, path, headers, body, status, says) in [
        (
            Method::OPTIONS,
            "/x/y/z",
            &[("webhook-request-origin", "me")][..],
            "",
            200,
            "",
        ),
        (Method::GET, "/default/default", &[], "", 405, "POST"),
        (Method::HEAD, "/", &[], "", 405, ""),
        (Method::POST, "/", &[], "", 404, "/<namespace>/<broker>"),
        (Method::POST, "/default", &[], "", 400, "/<namespace>/<broker>"),
        (
            Method::POST,
            "/default/default/x",
            &[],
            "",
            400,
            "/<namespace>/<broker>",
        ),
        (
            Method::POST,
            "/default/other",
            &structured,
            whole,
            404,
            "broker default/other does not exist",
        ),
        (
            Method::POST,
            "/default/default",
            &[],
            "{}",
            400,
            "specversion is missing",
        ),
        (Method::POST, "/default/default", &structured, "{", 400, "JSON"),
        (Method::POST, "/default/default", &structured, whole, 202, ""),
        (Method::POST, "/default/default/", &structured, whole, 202, ""),
        (
            Method::POST,
            "/default/default",
            &[("content-type", "application/cloudevents+avro")],
            "",
            415,
            "avro",
        ),
    ] {
        let answer = plane
            .producer
            .send(method.clone(), &format!("{}{path}", plane.url), headers, body)
            .await;
        assert_eq!(answer.status, status, "{method} {path} {}", answer.text);
        assert!(answer.text.contains(says), "{}", answer.text);
        assert_eq!(answer.headers["allow"], "POST, OPTIONS");
        let granted = answer
            .headers
            .get("webhook-allowed-origin")
            .is_some_and(|value| value == "*")
            && answer
                .headers
                .get("webhook-allowed-rate")
                .is_some_and(|value| value == "*");
        assert_eq!(granted, method == Method::OPTIONS);
        assert!(status != 202 || answer.text.is_empty());
    }
    for (headers, status, says) in [
        (&[("ce-specversion", "2.0")][..], 400, "specversion"),
        (&[("ce-time", "now")], 400, "attribute time"),
        (&[("ce-knativebrokerttl", "1")], 400, "knativebrokerttl"),
        (&[("ce-knativebrokerttl", "2")], 202, ""),
    ] {
        let answer = plane.producer.event(&url, "1", headers, "").await;
        assert_eq!(answer.status, status, "{headers:?} {}", answer.text);
        assert!(answer.text.contains(says), "{}", answer.text);
    }
    let large = "x".repeat(100_001);
    let answer = plane.producer.send(Method::POST, &url, &[], large).await;
    assert_eq!(
        (answer.status, answer.text.as_str()),
        (413, "the body has more than 100000 bytes\n")
    );

    let events = stored(&plane, &topic).await;
    let ttls: Vec<_> = events
        .iter()
        .map(|record| record.event.integer("knativebrokerttl"))
        .collect();
    assert_eq!(ttls, [Some(255), Some(255), Some(1)]);
    assert_eq!(events[0].event.data.as_deref(), Some(&br#"{"a":1}"#[..]));
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_stored_as_they_came_with_their_stamps() {
    let api = plane::api().await;
    let dir = tempfile::tempdir().unwrap();
    let topic = plane::broker(&api, "default").await;
    let plane = Plane::start(&api, dir.path(), Setup::default()).await;
    let url = plane.serves("/default/default").await;
    let sent = [
        ("content-type", "text/plain"),
        ("ce-subject", "a%20b"),
        (
            "ce-traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ),
        (
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01",
        ),
        ("x-request-id", "r1"),
        ("authorization", "Bearer secret"),
    ];
    assert_eq!(plane.producer.event(&url, "1", &sent, "data").await.status, 202);
    let mut records = stored(&plane, &topic).await;
    let mut record = records.pop().unwrap();
    assert!(records.is_empty());
    let arrival = record.event.remove_extension("knativearrivaltime").unwrap();
    assert!(arrival.borrow().text().parse::<jiff::Timestamp>().is_ok());
    assert!(record.event.remove_extension("knativebrokerttl").is_some());
    let mut expected = event::Event::new("1", "/test", "dev.example");
    expected.data = Some(Bytes::from_static(b"data"));
    expected.set_extension("subject", "a b");
    expected.set_extension("traceparent", sent[2].1);
    expected.set_extension("datacontenttype", "text/plain");
    let by_name = |event: &mut event::Event| event.attributes.sort_by(|a, b| a.0.cmp(&b.0));
    by_name(&mut record.event);
    by_name(&mut expected);
    assert_eq!(record.event, expected);
    assert_eq!(record.headers["traceparent"], sent[3].1);
    assert_eq!(record.headers["x-request-id"], "r1");
    assert_eq!(record.headers.len(), 2);
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_are_taken_as_a_whole_or_not_at_all() {
    let api = plane::api().await;
    let dir = tempfile::tempdir().unwrap();
    let topic = plane::broker(&api, "default").await;
    let limits = Limits {
        batch_events: 3,
        ..Limits::default()
    };
    let plane = Plane::start(
        &api,
        dir.path(),
        Setup {
            limits,
            ..Setup::default()
        },
    )
    .await;
    let url = plane.serves("/default/default").await;
    let good = |id: &str| json!({"specversion": "1.0", "id": id, "source": "/", "type": "t"});
    let bad = json!({"specversion": "1.0", "id": "x", "source": "/"});
    let looped = json!({"specversion": "1.0", "id": "x", "source": "/", "type": "t", "knativebrokerttl": 1});
    for (batch, status, says, count) in [
        (json!([]), 202, "", 0),
        (
            json!([good("1"), bad]),
            400,
            "event 1 of the batch: attribute type is missing",
            0,
        ),
        (json!([good("1"), looped]), 400, "knativebrokerttl", 0),
        (
            json!([good("1"), good("2"), good("3"), good("4")]),
            413,
            "at most 3 events",
            0,
        ),
        (json!({}), 400, "array", 0),
        (json!([good("1"), good("2"), good("3")]), 202, "", 3),
    ] {
        let headers = [("content-type", "application/cloudevents-batch+json")];
        let answer = plane
            .producer
            .send(Method::POST, &url, &headers, batch.to_string())
            .await;
        assert_eq!(answer.status, status, "{batch} {}", answer.text);
        assert!(answer.text.contains(says), "{}", answer.text);
        assert_eq!(stored(&plane, &topic).await.len(), count, "{batch}");
    }
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_are_reached_by_host() {
    let api = plane::api().await;
    let dir = tempfile::tempdir().unwrap();
    let topic = plane::channel(&api, "ch", json!([])).await;
    let _broker = plane::broker(&api, "default").await;
    let plane = Plane::start(&api, dir.path(), Setup::default()).await;
    plane.serves("/default/default").await;
    let host = "ch-kn-channel.default.svc.cluster.local";
    for (host, path, status) in [
        (host, "/", 202),
        (host, "/default/default", 400),
        ("other-kn-channel.default.svc.cluster.local", "/", 404),
        ("ch-kn-channel.elsewhere.svc.cluster.local", "/", 404),
    ] {
        // A channel counts no rounds.
        let headers = [("host", host), ("ce-knativebrokerttl", "1")];
        let answer = plane
            .producer
            .event(&format!("{}{path}", plane.url), "1", &headers, "")
            .await;
        assert_eq!(answer.status, status, "{host}{path} {}", answer.text);
    }
    assert_eq!(stored(&plane, &topic).await.len(), 1);
    plane.stop().await;
}

fn asked_to_wait(answer: &Answer, status: u16, reason: &str) {
    assert_eq!(answer.status, status, "{}", answer.text);
    assert!(answer.text.contains(reason), "{}", answer.text);
    assert!(answer.headers.contains_key("retry-after"));
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_brokers_are_known_producers_are_asked_to_wait() {
    // An API server without these kinds: the caches are never filled.
    let api = test_api::TestApi::start().await;
    let dir = tempfile::tempdir().unwrap();
    let plane = Plane::start(&api, dir.path(), Setup::default()).await;
    let answer = plane
        .producer
        .event(&format!("{}/default/default", plane.url), "1", &[], "")
        .await;
    asked_to_wait(&answer, 503, "not known yet");
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_said() {
    let api = plane::api().await;
    let dir = tempfile::tempdir().unwrap();
    let _topic = plane::broker(&api, "default").await;
    let options = Options {
        least_free_bytes: u64::MAX,
        ..Options::default()
    };
    let plane = Plane::start(
        &api,
        dir.path(),
        Setup {
            options,
            ..Setup::default()
        },
    )
    .await;
    let url = plane.serves("/default/default").await;
    let answer = plane.producer.event(&url, "1", &[], "").await;
    asked_to_wait(&answer, 507, "no room");
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_for_bodies_is_bounded() {
    let api = plane::api().await;
    let dir = tempfile::tempdir().unwrap();
    let _topic = plane::broker(&api, "default").await;
    let limits = Limits {
        held_bytes: 1_000,
        body_timeout: Duration::from_secs(3_600),
        ..Limits::default()
    };
    let plane = Plane::start(
        &api,
        dir.path(),
        Setup {
            limits,
            ..Setup::default()
        },
    )
    .await;
    let url = plane.serves("/default/default").await;
    let mut slow = TcpStream::connect(plane.url.strip_prefix("http://").unwrap())
        .await
        .unwrap();
    let head =
        "POST /default/default HTTP/1.1\r\nhost: x\r\ncontent-length: 900\r\nexpect: 100-continue\r\n\r\n";
    slow.write_all(head.as_bytes()).await.unwrap();
    // It is told to go on when its body is waited for, and that is after it was counted.
    let mut told = [0; "HTTP/1.1 100 Continue\r\n\r\n".len()];
    slow.read_exact(&mut told).await.unwrap();
    assert!(told.starts_with(b"HTTP/1.1 100 "));
    let body = || "x".repeat(200);
    let busy = plane.producer.send(Method::POST, &url, &[], body()).await;
    asked_to_wait(&busy, 503, "too many events");
    drop(slow);
    support::eventually("the slow body is given up", async || {
        let answer = plane.producer.send(Method::POST, &url, &[], body()).await;
        (answer.status == 400).then_some(())
    })
    .await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_bodies_are_given_up() {
    let api = plane::api().await;
    let dir = tempfile::tempdir().unwrap();
    let _topic = plane::broker(&api, "default").await;
    let limits = Limits {
        body_timeout: Duration::from_millis(50),
        ..Limits::default()
    };
    let plane = Plane::start(
        &api,
        dir.path(),
        Setup {
            limits,
            ..Setup::default()
        },
    )
    .await;
    plane.serves("/default/default").await;
    let mut slow = TcpStream::connect(plane.url.strip_prefix("http://").unwrap())
        .await
        .unwrap();
    let head = "POST /default/default HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nabc";
    slow.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    slow.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_is_counted() {
    let api = plane::api().await;
    let dir = tempfile::tempdir().unwrap();
    let _topic = plane::broker(&api, "default").await;
    let plane = Plane::start(&api, dir.path(), Setup::default()).await;
    let url = plane.serves("/default/default").await;
    let producer = Producer::default();
    for _ in 0..3 {
        assert_eq!(producer.event(&url, "1", &[], "abc").await.status, 202);
    }
    let response = proxy::metrics::exposition(&plane.registry);
    let text = http_body_util::BodyExt::collect(response.into_body())
        .await
        .unwrap()
        .to_bytes();
    let text = String::from_utf8_lossy(&text);
    for line in [
        r#"event_ingress_stored_total{kind="broker",namespace="default",topic="default",type="dev.example"} 3"#,
        r#"event_ingress_received_total{kind="broker",mode="binary",namespace="default",topic="default"} 3"#,
        r#"event_ingress_refused_total{reason="invalid"} 1"#,
        "event_ingress_append_seconds_count 3",
        "event_ingress_body_bytes_sum 9",
        "event_ingress_requests_in_flight 0",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    plane.stop().await;
}
