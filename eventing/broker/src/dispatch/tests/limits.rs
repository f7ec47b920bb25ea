//! Subscribers that hang, fail, or answer without end hurt nobody else.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};

use super::super::{Limits, window};
use super::support::*;
use crate::client::Config;
use crate::delivery::Policy;
use crate::model::TopicKind;

/// A 200 whose body has no end: one chunk each `pause`.
fn endless(pause: Duration, chunk: usize, event: bool) -> Answer {
    let frames = futures::stream::unfold((), move |()| async move {
        tokio::time::sleep(pause).await;
        Some((
            Ok::<_, Infallible>(Frame::data(Bytes::from(vec![b'x'; chunk]))),
            (),
        ))
    });
    let mut response = Response::new(BodyExt::boxed(StreamBody::new(SyncStream(Box::pin(frames)))));
    if event {
        for (name, value) in [
            ("ce-specversion", "1.0"),
            ("ce-id", "9"),
            ("ce-type", "t"),
            ("ce-source", "/s"),
        ] {
            response
                .headers_mut()
                .insert(name, HeaderValue::from_static(value));
        }
    }
    response
}

/// Boxed bodies must be `Sync`; a stream that only one task polls is, behind a lock.
struct SyncStream(
    std::pin::Pin<Box<dyn futures::Stream<Item = Result<Frame<Bytes>, Infallible>> + Send + Sync>>,
);

impl futures::Stream for SyncStream {
    type Item = Result<Frame<Bytes>, Infallible>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(cx)
    }
}

#[tokio::test]
async fn hanging_and_failing_subscribers_delay_nobody_else() {
    let hanging = Subscriber::with(|_, _| std::future::pending()).await;
    let failing = Subscriber::answering(|_| 500).await;
    let healthy = Subscriber::answering(|_| 200).await;
    let home = Home::broker();
    let mut fails = trigger("failing", &failing);
    fails.policy = retries(10, 200);
    home.set(&[trigger("hanging", &hanging), fails, trigger("healthy", &healthy)]);
    for number in 0..200 {
        home.post(event(&number.to_string())).await;
    }
    healthy.has(200).await;
    assert_eq!(
        hanging.count(),
        window::INITIAL,
        "no more than the first window is under way"
    );
    until(|| failing.count() >= 200).await;
}

#[tokio::test]
async fn quick_failures_are_bounded_and_end_with_the_first_success() {
    // As many as may fail before they are held up, and those of half a second after that.
    let failures = 4 * Limits::default().in_flight + 500;
    let subscriber = Subscriber::answering(move |number| if number < failures { 500 } else { 200 }).await;
    let home = Home::broker();
    let mut consumer = trigger("t", &subscriber);
    // Without a wait: each is tried again at once.
    consumer.policy = Policy {
        retries: 1_000,
        ..Policy::default()
    };
    home.set(&[consumer]);
    for number in 0..20 {
        home.post(event(&number.to_string())).await;
    }
    home.settled().await;
    let seen = subscriber.seen();
    assert_eq!(
        seen.len(),
        failures + 20,
        "every event is tried until it is taken"
    );
    let took = seen[failures].at - seen[0].at;
    assert!(took >= Duration::from_millis(480), "{took:?}");
    assert!(home.dead_letters().await.is_empty());
}

#[tokio::test]
async fn a_time_limit_ends_an_attempt() {
    let subscriber = Subscriber::with(|number, _| async move {
        if number == 0 {
            std::future::pending::<()>().await;
        }
        plain(200, "")
    })
    .await;
    let home = Home::broker();
    let mut consumer = trigger("t", &subscriber);
    consumer.policy = Policy {
        timeout: Some(Duration::from_millis(100)),
        ..retries(1, 1)
    };
    home.set(&[consumer]);
    home.post(event("1")).await;
    home.settled().await;
    assert_eq!(subscriber.count(), 2);
}

#[tokio::test]
async fn endless_answers_are_cut() {
    let (fast, slow) = ((Duration::ZERO, 64 * 1024), (Duration::from_millis(20), 1));
    // Without end: fast ones reach the limit of bytes, on a busy machine as well; slow ones that of time.
    for ((pause, chunk), body_seconds) in [(fast, 600), (slow, 2)] {
        for (as_event, code) in [(false, 502), (true, if chunk > 1 { 502 } else { 500 })] {
            let subscriber =
                Subscriber::with(move |_, _| async move { endless(pause, chunk, as_event) }).await;
            let config = Config {
                body_timeout: Duration::from_secs(body_seconds),
                ..config()
            };
            let home = Home::new(TopicKind::Broker, config);
            home.set(&[trigger("t", &subscriber)]);
            home.post(event("1")).await;
            home.settled().await;
            let letters = home.dead_letters().await;
            let notice = &letters[0].notice;
            assert_eq!(
                notice.code, code,
                "{chunk} bytes, event: {as_event}: {}",
                notice.data
            );
        }
    }
}

#[tokio::test]
async fn endless_answers_delay_nobody_else() {
    for (pause, chunk) in [(Duration::ZERO, 64 * 1024), (Duration::from_millis(20), 1)] {
        let without_end = Subscriber::with(move |_, _| async move { endless(pause, chunk, true) }).await;
        let healthy = Subscriber::answering(|_| 200).await;
        let config = Config {
            body_timeout: Duration::from_secs(600),
            ..config()
        };
        let home = Home::new(TopicKind::Broker, config);
        home.set(&[trigger("endless", &without_end), trigger("healthy", &healthy)]);
        home.post(event("0")).await;
        without_end.has(1).await;
        for number in 1..50 {
            home.post(event(&number.to_string())).await;
        }
        // Long before the time for the bodies is over.
        healthy.has(50).await;
    }
}

#[tokio::test]
async fn a_dead_target_is_left_alone_but_every_event_is_really_tried() {
    let subscriber = Subscriber::answering(|_| 200).await;
    let consumers = |url: &str| {
        let mut consumer = consumer("t", TopicKind::Broker, Some(url));
        consumer.policy = retries(3, 20);
        [consumer]
    };
    let url = subscriber.url.clone();
    drop(subscriber);
    let home = Home::broker();
    home.set(&consumers(&url));
    for number in 0..50 {
        home.post(event(&number.to_string())).await;
    }
    home.settled().await;
    let letters = home.dead_letters().await;
    assert_eq!(
        letters.len(),
        50,
        "the schedule of retries is kept, and nothing is lost"
    );
    let really_tried = |data: &str| data.contains("cannot connect");
    assert!(letters.iter().all(|letter| really_tried(&letter.notice.data)));
}

#[tokio::test]
async fn a_restarted_subscriber_is_reached_on_new_connections() {
    let home = Home::broker();
    let subscriber = Subscriber::with(|_, _| async {
        // Closed by the server after each answer, without telling beforehand.
        let mut answer = plain(200, "");
        answer
            .headers_mut()
            .insert("connection", HeaderValue::from_static("close"));
        answer
    })
    .await;
    home.set(&[trigger("t", &subscriber)]);
    for number in 0..20 {
        home.post(event(&number.to_string())).await;
        subscriber.has(number + 1).await;
    }
    home.settled().await;
    assert_eq!(subscriber.count(), 20);
    assert!(home.dead_letters().await.is_empty());
}
