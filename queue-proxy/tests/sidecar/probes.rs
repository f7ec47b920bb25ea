//! The health check, as kubelet and our own parts ask for it.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::application::Application;
use crate::client::{body, fetch, get, text};
use crate::{Sidecar, soon};

/// Headers of a probe, and the status and body it gets.
type Case = (&'static [(&'static str, &'static str)], u16, &'static str);

#[tokio::test]
async fn probes_are_answered_and_never_reach_the_application() {
    let sidecar = Sidecar::start(&[]).await;
    let cases: [Case; 7] = [
        (&[("k-network-probe", "queue")], 200, "queue"),
        (
            &[("k-network-probe", "queue"), ("user-agent", "kube-probe/1.37")],
            200,
            "queue",
        ),
        (
            &[
                ("k-network-probe", "queue"),
                ("user-agent", "Knative-Activator-Probe"),
            ],
            200,
            "queue",
        ),
        (
            &[("k-network-probe", "activator")],
            400,
            "unexpected probe header value: activator\n",
        ),
        (
            &[("user-agent", "kube-probe/1.37")],
            400,
            "unexpected probe header value: \n",
        ),
        (
            &[("k-network-probe", "probe"), ("k-network-hash", "abc")],
            200,
            "",
        ),
        (
            &[("k-network-probe", "probe")],
            400,
            "a probe request must contain a non-empty \"K-Network-Hash\" header\n",
        ),
    ];
    for (headers, status, expected) in cases {
        let mut request = get("/healthz");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = soon(fetch(sidecar.at.serving, request.body(body("")).unwrap())).await;
        assert_eq!(answer.status(), status, "{headers:?}");
        if headers.contains(&("k-network-hash", "abc")) {
            assert_eq!(answer.headers()["k-network-hash"], "abc");
        }
        assert_eq!(text(answer).await, expected, "{headers:?}");
    }
    assert_eq!(sidecar.app.seen.served.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_probe_waits_for_a_late_application_and_answers_at_once() {
    let app = Application::start().await;
    // A port that is free until the test says otherwise.
    let reserved = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = reserved.local_addr().unwrap().port();
    drop((reserved, app));
    let sidecar = Sidecar::start(&[("USER_PORT", &port.to_string())]).await;
    let probe = tokio::spawn(fetch(
        sidecar.at.serving,
        get("/healthz")
            .header("k-network-probe", "queue")
            .body(body(""))
            .unwrap(),
    ));
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert!(!probe.is_finished());
    let _late = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let bound = Instant::now();
    assert_eq!(soon(probe).await.unwrap().status(), 200);
    assert!(
        bound.elapsed() < Duration::from_millis(500),
        "{:?}",
        bound.elapsed()
    );
}

#[tokio::test]
async fn a_failing_container_is_503() {
    let probe = r#"{"httpGet":{"path":"/refuse"},"periodSeconds":1,"timeoutSeconds":1}"#;
    let sidecar = Sidecar::start(&[("SERVING_READINESS_PROBE", probe)]).await;
    let answer = soon(fetch(
        sidecar.at.serving,
        get("/")
            .header("k-network-probe", "queue")
            .body(body(""))
            .unwrap(),
    ))
    .await;
    assert_eq!(answer.status(), 503);
}
