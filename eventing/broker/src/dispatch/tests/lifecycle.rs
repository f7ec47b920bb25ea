//! Consumers that come, change, go, and come back.

use std::sync::Arc;
use std::time::Duration;

use event_store::Start;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::support::*;

fn ids(seen: &[Seen]) -> Vec<usize> {
    let mut ids: Vec<usize> = seen.iter().map(|seen| seen.id().parse().unwrap()).collect();
    ids.sort_unstable();
    ids
}

#[tokio::test]
async fn a_changed_trigger_goes_on_where_it_was() {
    let (one, two) = (
        Subscriber::answering(|_| 200).await,
        Subscriber::answering(|_| 200).await,
    );
    let home = Home::broker();
    home.set(&[trigger("t", &one)]);
    for number in 0..50 {
        home.post(event(&number.to_string())).await;
    }
    home.settled().await;
    home.set(&[trigger("t", &two)]);
    for number in 50..100 {
        home.post(event(&number.to_string())).await;
    }
    home.settled().await;
    assert_eq!(ids(&one.seen()), (0..50).collect::<Vec<_>>());
    assert_eq!(ids(&two.seen()), (50..100).collect::<Vec<_>>());
    assert_eq!(home.dispatcher.consumers(), 1);
}

#[tokio::test]
async fn a_retry_goes_to_the_subscriber_of_the_changed_trigger() {
    let (one, two) = (
        Subscriber::answering(|_| 503).await,
        Subscriber::answering(|_| 200).await,
    );
    let home = Home::broker();
    let mut before = trigger("t", &one);
    before.policy = retries(5, 150);
    let mut after = trigger("t", &two);
    after.policy = before.policy.clone();
    home.set(&[before]);
    home.post(event("1")).await;
    one.has(1).await;
    home.set(&[after]);
    home.settled().await;
    assert_eq!(two.count(), 1);
}

#[tokio::test]
async fn a_trigger_that_comes_back_keeps_its_place() {
    let subscriber = Subscriber::answering(|_| 200).await;
    let home = Home::broker();
    home.set(&[trigger("t", &subscriber)]);
    home.post(event("0")).await;
    home.settled().await;
    home.set(&[]);
    assert_eq!(home.dispatcher.consumers(), 0);
    home.post(event("1")).await;
    let mut again = trigger("t", &subscriber);
    again.start = Start::Latest;
    home.set(&[again]);
    home.post(event("2")).await;
    home.settled().await;
    assert_eq!(ids(&subscriber.seen()), [0, 1, 2]);
}

#[tokio::test]
async fn a_removed_trigger_gets_nothing_more() {
    let subscriber = Subscriber::answering(|_| 200).await;
    let other = Subscriber::answering(|_| 200).await;
    let home = Home::broker();
    home.set(&[trigger("t", &subscriber), trigger("other", &other)]);
    home.post(event("0")).await;
    home.settled().await;
    home.set(&[trigger("other", &other)]);
    home.post(event("1")).await;
    other.has(2).await;
    assert_eq!(subscriber.count(), 1);
    until(|| home.metric("event_delivery_delivered_total") == 2.0).await;
}

#[tokio::test]
async fn what_was_not_answered_comes_again() {
    let hanging = Subscriber::with(|_, _| std::future::pending()).await;
    let subscriber = Subscriber::answering(|_| 200).await;
    let home = Home::broker();
    home.set(&[trigger("t", &hanging)]);
    for number in 0..5 {
        home.post(event(&number.to_string())).await;
    }
    hanging.has(5).await;
    let began = Instant::now();
    home.dispatcher.drain().await;
    assert!(began.elapsed() < Duration::from_secs(5), "draining is bounded");
    assert_eq!(home.lag().await, 5);
    home.set(&[trigger("t", &subscriber)]);
    home.settled().await;
    assert_eq!(ids(&subscriber.seen()), [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn draining_lets_what_is_under_way_end() {
    let gate = Arc::new(Semaphore::new(0));
    let opened = gate.clone();
    let subscriber = Subscriber::with(move |_, _| {
        let gate = opened.clone();
        async move {
            let _ = gate.acquire().await;
            plain(200, "")
        }
    })
    .await;
    let home = Home::broker();
    home.set(&[trigger("t", &subscriber)]);
    home.post(event("1")).await;
    subscriber.has(1).await;
    let open = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        gate.close();
    };
    tokio::join!(home.dispatcher.drain(), open);
    home.settled().await;
}

#[tokio::test]
async fn events_of_one_key_are_delivered_in_order() {
    let subscriber = Subscriber::with(|number, _| async move {
        // Every third attempt fails, and some take longer than others.
        tokio::time::sleep(Duration::from_millis((number as u64 * 7) % 5)).await;
        plain(if number % 3 == 0 { 503 } else { 200 }, "")
    })
    .await;
    let home = Home::broker();
    let mut consumer = trigger("t", &subscriber);
    consumer.order_by = Some("partitionkey".to_owned());
    consumer.policy = retries(20, 1);
    home.set(&[consumer]);
    for number in 0..300 {
        let mut event = event(&number.to_string());
        event.set_extension("partitionkey", format!("key-{}", number % 3));
        home.post(event).await;
    }
    home.settled().await;
    for key in 0..3 {
        let key = format!("key-{key}");
        let seen = subscriber.seen();
        let of_key = seen
            .iter()
            .filter(|seen| seen.text("partitionkey").as_deref() == Some(&key));
        let mut order: Vec<usize> = of_key.map(|seen| seen.id().parse().unwrap()).collect();
        order.dedup();
        assert_eq!(order.len(), 100, "{key}");
        assert!(order.is_sorted(), "{key}: {order:?}");
    }
}
