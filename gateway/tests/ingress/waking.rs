//! Requests for revisions without pods.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures::future::join_all;
use http::Request;
use serde_json::json;
use tokio::net::TcpListener;

use crate::cluster::{Cluster, Pod, rule, text};
use crate::soon;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_held_the_autoscaler_told_and_the_first_answering_pod_used() {
    let mut cluster = Cluster::start().await;
    cluster.revision("z", 0, "Proxy").await;
    cluster
        .ingress("z", json!([rule("z.example", "ExternalIP", &[("z", 100)])]))
        .await;
    cluster.ready("z").await;
    // The autoscaler must be connected before the first request, or its news waits for the connection.
    let asked = Instant::now();
    let request = Request::get("/")
        .header("host", "z.example")
        .header("spindrift-trace", "1");
    let (answer, ()) = tokio::join!(cluster_send(cluster.external, request), async {
        assert_eq!(soon(cluster.stats.recv()).await.as_deref(), Some("default/z"));
        assert!(
            asked.elapsed() < Duration::from_millis(900),
            "told at once, not by the next report"
        );
        // The address is there before the container listens, and Kubernetes does not call it ready.
        let reserved = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = reserved.local_addr().unwrap();
        drop(reserved);
        cluster.endpoint("z-private", "z-1", addr, false).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        Pod::listen("woken", TcpListener::bind(addr).await.unwrap());
    });
    assert_eq!(answer.status(), 200);
    let timing = answer.headers()["server-timing"].to_str().unwrap().to_owned();
    assert!(
        timing.contains("held;dur=") && timing.contains("probe;dur="),
        "{timing}"
    );
    let seen = text(answer).await;
    assert!(
        seen.starts_with("woken") && seen.contains("k-proxy-request: activator"),
        "{seen}"
    );
}

async fn cluster_send(
    addr: std::net::SocketAddr,
    request: http::request::Builder,
) -> http::Response<hyper::body::Incoming> {
    let stream = tokio::net::TcpStream::connect(addr).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let body = http_body_util::Full::new(bytes::Bytes::new());
    soon(sender.send_request(request.body(body).unwrap()))
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_at_concurrency_one_is_served_once_each_and_never_two_at_a_time() {
    let cluster = Cluster::start().await;
    cluster.revision("b", 1, "Serve").await;
    cluster
        .ingress("b", json!([rule("b.example", "ExternalIP", &[("b", 100)])]))
        .await;
    cluster.ready("b").await;
    let calls: Vec<_> = (0..60)
        .map(|_| {
            tokio::spawn(cluster_send(
                cluster.external,
                Request::get("/slow").header("host", "b.example"),
            ))
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut pods = Vec::new();
    for slice in ["b-1", "b-2", "b-3"] {
        let pod = Pod::start("b").await;
        cluster.endpoint("b-private", slice, pod.addr, true).await;
        pods.push(pod);
    }
    for answer in soon(join_all(calls)).await {
        assert_eq!(answer.unwrap().status(), 200);
    }
    assert!(pods.iter().all(|pod| pod.most.load(Ordering::SeqCst) == 1));
    assert_eq!(
        pods.iter()
            .map(|pod| pod.served.load(Ordering::SeqCst))
            .sum::<usize>(),
        60
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_vanished_costs_no_request() {
    let cluster = Cluster::start().await;
    let alive = Pod::start("alive").await;
    let reserved = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dead = reserved.local_addr().unwrap();
    drop(reserved);
    cluster.revision("v", 0, "Serve").await;
    cluster.endpoint("v-private", "v-1", dead, true).await;
    cluster.endpoint("v-private", "v-2", alive.addr, true).await;
    cluster
        .ingress("v", json!([rule("v.example", "ExternalIP", &[("v", 100)])]))
        .await;
    cluster.ready("v").await;
    for _ in 0..30 {
        let (status, seen) = cluster.get(true, "v.example", "/").await;
        assert_eq!(status, 200);
        assert!(seen.starts_with("alive"));
    }
}
