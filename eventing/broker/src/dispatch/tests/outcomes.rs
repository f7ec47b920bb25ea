//! What each answer of a subscriber leads to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use event_filter::Filter;
use http::{HeaderMap, HeaderValue};

use super::support::*;
use crate::delivery::Policy;
use crate::model::{Consumer, Reply, TopicKind};

/// Delivers one event and says what the dead letter sink got: destination, code and data.
async fn dead_letter_of(
    home: &Home,
    mut consumer: Consumer,
) -> Option<(Option<String>, Option<String>, Option<String>)> {
    let sink = Subscriber::answering(|_| 200).await;
    consumer.dead_letter_sink = Some(target(&sink.url));
    home.set(&[consumer]);
    home.post(event("1")).await;
    home.settled().await;
    let seen = sink.seen();
    assert!(seen.len() <= 1);
    seen.first().map(|letter| {
        assert_eq!(
            (letter.id(), &letter.event.data),
            ("1".to_owned(), &event("1").data)
        );
        ["knativeerrordest", "knativeerrorcode", "knativeerrordata"]
            .map(|name| letter.text(name))
            .into()
    })
}

#[tokio::test]
async fn an_event_arrives_as_it_was_accepted() {
    let subscriber = Subscriber::answering(|_| 202).await;
    let home = Home::broker();
    home.set(&[trigger("t", &subscriber)]);
    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("x-request-id", "7"),
        ("knative-x", "y"),
        ("authorization", "secret"),
        ("traceparent", TRACE),
        ("tracestate", "vendor=1"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let mut sent = event("1");
    sent.set_extension("myextension", "ä b");
    home.post_with(sent.clone(), &headers).await;
    home.settled().await;
    let [seen] = &subscriber.has(1).await[..] else {
        panic!("it is delivered once");
    };
    for name in ["id", "source", "type", "myextension", "datacontenttype"] {
        assert_eq!(
            seen.text(name),
            sent.get(name).map(|value| value.text().into_owned()),
            "{name}"
        );
    }
    assert_eq!(seen.event.data, sent.data);
    assert_eq!(seen.text("knativebrokerttl"), None);
    assert!(seen.text("knativearrivaltime").is_some());
    let header = |name: &str| seen.headers.get(name).map(|value| value.to_str().unwrap());
    assert_eq!(header("prefer"), Some("reply"));
    assert_eq!(header("kn-namespace"), Some("ns"));
    assert_eq!(header("x-request-id"), Some("7"));
    assert_eq!(header("knative-x"), Some("y"));
    assert_eq!(header("authorization"), None);
    assert_eq!(
        (header("traceparent"), header("tracestate")),
        (Some(TRACE), Some("vendor=1"))
    );
    let host = subscriber.url.trim_start_matches("http://").split('/').next();
    assert_eq!(header("host"), host);
    assert_eq!(home.metric("event_delivery_delivered_total"), 1.0);
}

#[tokio::test]
async fn every_success_ends_the_delivery() {
    for status in [200, 201, 202, 204, 299] {
        let subscriber = Subscriber::answering(move |_| status).await;
        let home = Home::broker();
        let dead = dead_letter_of(&home, trigger("t", &subscriber)).await;
        assert_eq!((subscriber.count(), dead), (1, None), "{status}");
    }
}

#[tokio::test]
async fn statuses_are_retried_or_not() {
    for (status, attempts) in [
        (404, 3),
        (408, 3),
        (409, 3),
        (429, 3),
        (500, 3),
        (503, 3),
        (400, 1),
        (401, 1),
        (410, 1),
        (301, 1),
        (302, 1),
        (303, 1),
        (307, 1),
    ] {
        let elsewhere = Subscriber::answering(|_| 200).await;
        let location = HeaderValue::try_from(elsewhere.url.clone()).unwrap();
        let subscriber = Subscriber::with(move |_, _| {
            let mut answer = plain(status, "no");
            answer.headers_mut().insert("location", location.clone());
            async { answer }
        })
        .await;
        let mut consumer = trigger("t", &subscriber);
        consumer.policy = retries(2, 1);
        let dead = dead_letter_of(&Home::broker(), consumer).await;
        let data = STANDARD.encode("no");
        let expected = (Some(subscriber.url.clone()), Some(status.to_string()), Some(data));
        assert_eq!(dead, Some(expected), "{status}");
        assert_eq!(subscriber.count(), attempts, "{status}");
        assert_eq!(elsewhere.count(), 0, "redirects are not followed");
    }
}

#[tokio::test]
async fn retries_repeat_the_same_event_after_growing_waits() {
    let subscriber = Subscriber::answering(|number| if number < 3 { 503 } else { 200 }).await;
    let home = Home::broker();
    let mut consumer = trigger("t", &subscriber);
    consumer.policy = retries(5, 40);
    assert_eq!(dead_letter_of(&home, consumer).await, None);
    let seen = subscriber.seen();
    assert_eq!(seen.len(), 4);
    for (pair, wait) in seen.windows(2).zip([40, 80, 160]) {
        assert_eq!(pair[0].event, pair[1].event);
        assert!(
            pair[1].at - pair[0].at >= Duration::from_millis(wait),
            "at least {wait} ms"
        );
    }
    assert_eq!(home.metric("event_delivery_retries_total"), 3.0);
}

#[tokio::test]
async fn retry_after_lengthens_the_wait() {
    let subscriber = Subscriber::with(|number, _| {
        let mut answer = plain(if number == 0 { 429 } else { 200 }, "");
        answer
            .headers_mut()
            .insert("retry-after", HeaderValue::from_static("30"));
        async { answer }
    })
    .await;
    let mut consumer = trigger("t", &subscriber);
    consumer.policy = Policy {
        retry_after_max: Some(Duration::from_millis(300)),
        ..retries(1, 1)
    };
    assert_eq!(dead_letter_of(&Home::broker(), consumer).await, None);
    let seen = subscriber.seen();
    assert!(seen[1].at - seen[0].at >= Duration::from_millis(300));
}

#[tokio::test]
async fn a_body_that_is_no_event_is_a_502_for_triggers_only() {
    let text = || Subscriber::with(|_, _| async { plain(200, "thanks") });
    let broken = || {
        Subscriber::with(|_, _| async {
            let mut answer = plain(200, "{}");
            answer
                .headers_mut()
                .insert("ce-specversion", HeaderValue::from_static("1.0"));
            answer
        })
    };
    for subscriber in [text().await, broken().await] {
        let mut consumer = trigger("t", &subscriber);
        consumer.policy = retries(1, 1);
        let (destination, code, data) = dead_letter_of(&Home::broker(), consumer).await.unwrap();
        assert_eq!(
            (destination, code),
            (Some(subscriber.url.clone()), Some("502".to_owned()))
        );
        assert!(data.is_some(), "upstream leaves the attributes out");
        assert_eq!(subscriber.count(), 2, "it is retried");
    }
    for subscriber in [text().await, broken().await] {
        let consumer = consumer("s", TopicKind::Channel, Some(&subscriber.url));
        assert_eq!(dead_letter_of(&Home::channel(), consumer).await, None);
        assert_eq!(subscriber.count(), 1);
    }
}

#[tokio::test]
async fn an_unreachable_subscriber_is_a_500_that_says_why() {
    let subscriber = Subscriber::answering(|_| 200).await;
    let mut consumer = trigger("t", &subscriber);
    consumer.policy = retries(1, 1);
    drop(subscriber);
    let (_, code, data) = dead_letter_of(&Home::broker(), consumer).await.unwrap();
    let data = String::from_utf8(STANDARD.decode(data.unwrap()).unwrap()).unwrap();
    assert_eq!(code.as_deref(), Some("500"));
    assert!(data.starts_with("dispatch error: "), "{data}");
}

#[tokio::test]
async fn a_subscriber_that_is_not_resolved_is_a_404() {
    let mut consumer = consumer("t", TopicKind::Broker, None);
    consumer.policy = retries(1, 1);
    let (_, code, _) = dead_letter_of(&Home::broker(), consumer).await.unwrap();
    assert_eq!(code.as_deref(), Some("404"));
}

#[tokio::test]
async fn special_addresses_are_refused_unless_allowed() {
    let subscriber = Subscriber::answering(|_| 200).await;
    let port = subscriber.url.trim_start_matches("http://127.0.0.1:");
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"] {
        let home = Home::new(TopicKind::Broker, crate::client::Config::default());
        let consumer = consumer("t", TopicKind::Broker, Some(&format!("http://{host}:{port}")));
        home.set(&[consumer]);
        home.post(event("1")).await;
        home.settled().await;
        let [letter] = &home.dead_letters().await[..] else {
            panic!("{host}: it is kept");
        };
        assert!(letter.notice.data.contains("loopback"), "{}", letter.notice.data);
    }
    assert_eq!(subscriber.count(), 0);
}

#[tokio::test]
async fn what_the_filter_holds_back_is_settled() {
    let subscriber = Subscriber::answering(|_| 200).await;
    let home = Home::broker();
    let wanted = BTreeMap::from([("type".to_owned(), "wanted".to_owned())]);
    let mut consumer = trigger("t", &subscriber);
    consumer.filter = Arc::new(Filter::compile(&[], Some(&wanted)).unwrap());
    home.set(&[consumer]);
    for number in 0..20 {
        let mut event = event(&number.to_string());
        if number == 7 {
            event.type_ = "wanted".into();
        }
        home.post(event).await;
    }
    home.settled().await;
    let ids: Vec<String> = subscriber.seen().iter().map(Seen::id).collect();
    assert_eq!(ids, ["7"]);
    assert_eq!(home.metric("event_delivery_filtered_total"), 19.0);
}

#[tokio::test]
async fn replies_come_back_to_the_broker_with_fewer_rounds_to_live() {
    let subscriber = Subscriber::with(|_, seen| async move {
        match &*seen.event.id {
            "1" => {
                let mut answer = event("2");
                answer.set_extension("knativebrokerttl", 200);
                reply(200, &answer)
            }
            // A 202 has no reply, whatever it carries.
            "2" => reply(202, &event("3")),
            _ => plain(200, ""),
        }
    })
    .await;
    let home = Home::broker();
    home.set(&[trigger("t", &subscriber)]);
    home.post(event("1")).await;
    subscriber.has(2).await;
    home.settled().await;
    let ids: Vec<String> = subscriber.seen().iter().map(Seen::id).collect();
    assert_eq!(ids, ["1", "2"]);
    let records = home.store.read(&home.topic, 0, 10).await.unwrap();
    let ttl = |index: usize| {
        let record = crate::record::decode(records[index].payload.clone()).unwrap();
        record.event.integer("knativebrokerttl")
    };
    assert_eq!(
        (ttl(0), ttl(1)),
        (Some(255), Some(254)),
        "what the subscriber says does not count"
    );
    assert_eq!(home.metric("event_delivery_replies_total"), 1.0);
}

#[tokio::test]
async fn a_loop_of_replies_ends() {
    let subscriber = Subscriber::with(|_, seen| async move { reply(200, &seen.event) }).await;
    let home = Home::broker();
    home.set(&[trigger("t", &subscriber)]);
    let mut first = event("1");
    first.set_extension("knativebrokerttl", 6);
    home.post(first).await;
    until(|| home.metric("event_delivery_dropped_total") == 1.0).await;
    assert_eq!(subscriber.count(), 5);
}

#[tokio::test]
async fn replies_of_a_channel_go_to_its_reply_url() {
    let answer = Subscriber::answering(|_| 200).await;
    let subscriber = Subscriber::with(|_, _| async { reply(200, &event("2")) }).await;
    let home = Home::channel();
    let mut consumer = consumer("s", TopicKind::Channel, Some(&subscriber.url));
    consumer.reply = Reply::To(target(&answer.url));
    assert_eq!(dead_letter_of(&home, consumer).await, None);
    assert_eq!(answer.seen()[0].id(), "2");
}

#[tokio::test]
async fn a_reply_that_nobody_takes_makes_a_dead_letter_of_its_event() {
    let answer = Subscriber::answering(|_| 503).await;
    let subscriber = Subscriber::with(|_, _| async { reply(200, &event("2")) }).await;
    let mut consumer = consumer("s", TopicKind::Channel, Some(&subscriber.url));
    consumer.policy = retries(2, 1);
    consumer.reply = Reply::To(target(&answer.url));
    let (destination, code, _) = dead_letter_of(&Home::channel(), consumer).await.unwrap();
    assert_eq!(
        (destination, code.as_deref()),
        (Some(answer.url.clone()), Some("503"))
    );
    assert_eq!(
        (subscriber.count(), answer.count()),
        (1, 3),
        "only the reply is retried"
    );
}

#[tokio::test]
async fn dead_letters_show_their_rounds_and_are_retried() {
    let subscriber = Subscriber::answering(|_| 400).await;
    let sink = Subscriber::with(|number, _| async move {
        match number {
            0 => plain(503, ""),
            _ => reply(200, &event("ignored")),
        }
    })
    .await;
    let home = Home::broker();
    let mut consumer = trigger("t", &subscriber);
    consumer.policy = retries(1, 1);
    consumer.dead_letter_sink = Some(target(&sink.url));
    home.set(&[consumer]);
    home.post(event("1")).await;
    home.settled().await;
    let seen = sink.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[1].text("knativebrokerttl").as_deref(), Some("255"));
    assert_eq!(seen[1].headers["kn-namespace"], "ns");
    assert_eq!(subscriber.count(), 1);
    assert_eq!(home.metric("event_delivery_dead_lettered_total"), 1.0);
    assert!(home.dead_letters().await.is_empty());
}

#[tokio::test]
async fn what_nobody_takes_is_kept_and_can_be_read() {
    let subscriber = Subscriber::with(|_, _| async { plain(400, "not mine") }).await;
    let sink = Subscriber::with(|_, _| async { plain(410, "closed") }).await;
    let home = Home::broker();
    let mut with_sink = trigger("with-sink", &subscriber);
    with_sink.dead_letter_sink = Some(target(&sink.url));
    home.set(&[with_sink, trigger("without", &subscriber)]);
    home.post(event("1")).await;
    home.settled().await;
    let mut letters = home.dead_letters().await;
    letters.sort_by(|a, b| a.notice.consumer.cmp(&b.notice.consumer));
    let told: Vec<_> = letters
        .iter()
        .map(|letter| {
            (
                letter.notice.consumer.as_str(),
                letter.notice.code,
                letter.notice.sink_error.as_deref(),
            )
        })
        .collect();
    assert_eq!(told, [("with-sink", 400, Some("closed")), ("without", 400, None)]);
    assert_eq!(
        (&*letters[0].notice.destination, &*letters[0].notice.data),
        (&*subscriber.url, "not mine")
    );
    let record = crate::record::decode(letters[0].record.clone()).unwrap();
    assert_eq!(
        (&*record.event.id, record.event.integer("knativebrokerttl")),
        ("1", Some(255))
    );
    assert_eq!(home.metric("event_delivery_kept_total"), 2.0);
}

#[tokio::test]
async fn events_are_converted_to_the_format_that_is_asked_for() {
    let subscriber = Subscriber::answering(|_| 200).await;
    let home = Home::broker();
    let mut consumer = trigger("t", &subscriber);
    consumer.policy.format = Some(event::Mode::Structured);
    home.set(&[consumer]);
    home.post(event("1")).await;
    let seen = subscriber.has(1).await;
    assert_eq!(seen[0].event.mode, event::Mode::Structured);
    assert_eq!(seen[0].text("knativebrokerttl"), None);
}
