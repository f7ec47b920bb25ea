//! Concurrency, queue and timeouts.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures::future::join_all;
use http_body_util::BodyExt;

use crate::client::{body, fetch, get, text};
use crate::{SOON, Sidecar, soon};

async fn until(what: impl Fn() -> bool) {
    let deadline = Instant::now() + SOON;
    while !what() {
        assert!(Instant::now() < deadline, "the state never came");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_burst_runs_exactly_the_allowed_number_and_refuses_past_the_queue() {
    let sidecar = Sidecar::start(&[("CONTAINER_CONCURRENCY", "2")]).await;
    let seen = sidecar.app.seen.clone();
    // Two run, twenty wait, eight are too many.
    let calls: Vec<_> = (0..30)
        .map(|_| tokio::spawn(fetch(sidecar.at.serving, get("/hold").body(body("")).unwrap())))
        .collect();
    until(|| calls.iter().filter(|call| call.is_finished()).count() == 8).await;
    // The refused may be answered before those that run have reached the application.
    until(|| seen.served.load(Ordering::SeqCst) == 2).await;
    seen.release.add_permits(100);
    let answers = soon(join_all(calls)).await;
    let mut refused = 0;
    for answer in answers {
        let answer = answer.unwrap();
        if answer.status() == 503 {
            refused += 1;
            assert_eq!(answer.headers()["retry-after"], "1");
            assert_eq!(text(answer).await, "pending request queue full\n");
        } else {
            assert_eq!(answer.status(), 200);
        }
    }
    assert_eq!(refused, 8);
    assert_eq!(
        (
            seen.most.load(Ordering::SeqCst),
            seen.served.load(Ordering::SeqCst)
        ),
        (2, 22)
    );
}

#[tokio::test]
async fn a_client_that_leaves_frees_its_slot_and_its_place() {
    let sidecar = Sidecar::start(&[("CONTAINER_CONCURRENCY", "1")]).await;
    let seen = sidecar.app.seen.clone();
    let running = tokio::spawn(fetch(sidecar.at.serving, get("/hold").body(body("")).unwrap()));
    until(|| seen.served.load(Ordering::SeqCst) == 1).await;
    let waiting: Vec<_> = (0..10)
        .map(|_| tokio::spawn(fetch(sidecar.at.serving, get("/hold").body(body("")).unwrap())))
        .collect();
    tokio::time::sleep(Duration::from_millis(50)).await;
    for call in &waiting {
        call.abort();
    }
    running.abort();
    // The application is told, and the next request runs although nobody was released.
    let answer = soon(fetch(sidecar.at.serving, get("/").body(body("")).unwrap())).await;
    assert_eq!(answer.status(), 200);
    until(|| seen.running.load(Ordering::SeqCst) == 0).await;
}

#[tokio::test]
async fn a_response_that_does_not_begin_in_time_is_504() {
    for variable in [
        "REVISION_TIMEOUT_SECONDS",
        "REVISION_RESPONSE_START_TIMEOUT_SECONDS",
        "REVISION_IDLE_TIMEOUT_SECONDS",
    ] {
        let sidecar = Sidecar::start(&[(variable, "1")]).await;
        let answer = soon(fetch(sidecar.at.serving, get("/hold").body(body("")).unwrap())).await;
        assert_eq!(answer.status(), 504, "{variable}");
        assert_eq!(text(answer).await, "request timeout");
        until(|| sidecar.app.seen.running.load(Ordering::SeqCst) == 0).await;
    }
}

#[tokio::test]
async fn waiting_for_a_slot_counts_against_the_timeout() {
    let sidecar = Sidecar::start(&[("CONTAINER_CONCURRENCY", "1"), ("REVISION_TIMEOUT_SECONDS", "1")]).await;
    let first = tokio::spawn(fetch(sidecar.at.serving, get("/hold").body(body("")).unwrap()));
    let second = tokio::spawn(fetch(sidecar.at.serving, get("/hold").body(body("")).unwrap()));
    assert_eq!(soon(first).await.unwrap().status(), 504);
    assert_eq!(soon(second).await.unwrap().status(), 504);
}

#[tokio::test]
async fn the_total_timeout_ends_a_begun_response_cleanly() {
    let sidecar = Sidecar::start(&[("REVISION_TIMEOUT_SECONDS", "1")]).await;
    let answer = soon(fetch(sidecar.at.serving, get("/trickle").body(body("")).unwrap())).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(soon(text(answer)).await, "abcrequest timeout");
    let sidecar = Sidecar::start(&[("REVISION_IDLE_TIMEOUT_SECONDS", "1")]).await;
    let answer = soon(fetch(sidecar.at.serving, get("/sse").body(body("")).unwrap())).await;
    assert_eq!(soon(text(answer)).await, "data: 1\n\ndata: 2\n\nrequest timeout");
}

#[tokio::test]
async fn an_application_that_is_not_there_is_502() {
    let sidecar = Sidecar::start(&[("USER_PORT", "1")]).await;
    let answer = soon(fetch(sidecar.at.serving, get("/").body(body("")).unwrap())).await;
    assert_eq!(answer.status(), 502);
    assert!(!text(answer).await.contains("127.0.0.1"), "addresses stay inside");
}

#[tokio::test]
async fn the_scrape_tells_requests_from_those_an_activator_counts() {
    use prost::Message;
    let sidecar = Sidecar::start(&[]).await;
    for _ in 0..3 {
        fetch(sidecar.at.serving, get("/").body(body("")).unwrap()).await;
    }
    fetch(
        sidecar.at.serving,
        get("/")
            .header("k-proxy-request", "activator")
            .body(body(""))
            .unwrap(),
    )
    .await;
    let held = tokio::spawn(fetch(sidecar.at.serving, get("/hold").body(body("")).unwrap()));
    let (mut requests, mut proxied, mut concurrency) = (0.0, 0.0, 0.0);
    let deadline = Instant::now() + SOON;
    // Reports cover a second each; the requests may be spread over two.
    let mut last = 0;
    while requests < 4.9 || proxied < 0.9 || concurrency < 0.9 {
        assert!(Instant::now() < deadline, "{requests} {proxied} {concurrency}");
        let scrape = get("/metrics")
            .header("accept", "application/protobuf")
            .body(body(""))
            .unwrap();
        let answer = fetch(sidecar.at.autometric, scrape).await;
        assert_eq!(answer.headers()["content-type"], "application/protobuf");
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        let stat = crds::stat::Stat::decode(bytes).unwrap();
        assert_eq!(stat.pod_name, "pod-1");
        if stat.timestamp != last {
            last = stat.timestamp;
            requests += stat.request_count;
            proxied += stat.proxied_request_count;
            concurrency = stat.average_concurrent_requests;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Counts are for a second; a report of a busy machine may be about less, and then says more.
    assert!(proxied < requests / 2.0, "{requests} {proxied}");
    sidecar.app.seen.release.add_permits(1);
    soon(held).await.unwrap();
    let metrics = text(fetch(sidecar.at.usermetric, get("/metrics").body(body("")).unwrap()).await).await;
    assert!(
        metrics.contains("kn_serving_invocation_duration_seconds_bucket"),
        "{metrics}"
    );
}
