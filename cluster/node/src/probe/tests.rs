use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

fn probe(value: Value) -> Probe {
    serde_json::from_value(value).unwrap()
}

#[test]
fn thresholds_count_consecutive_results() {
    let mut counter = Counter::new(&probe(json!({"successThreshold": 2, "failureThreshold": 3})));
    let results = [true, false, true, true, true, false, false, false, false, true];
    let verdicts: Vec<_> = results.map(|result| counter.count(result)).to_vec();
    use Verdict::{Failed, Passed};
    assert_eq!(
        verdicts,
        [
            None,
            None,
            None,
            Some(Passed),
            Some(Passed),
            None,
            None,
            Some(Failed),
            Some(Failed),
            None
        ]
    );
}

/// A server that answers every connection with the same bytes and counts them.
async fn server(answer: &'static str) -> (u16, std::sync::Arc<std::sync::atomic::AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let seen = std::sync::Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            seen.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (port, count)
}

fn target() -> Target {
    let dir = tempfile::tempdir().unwrap();
    let listener = std::os::unix::net::UnixListener::bind(dir.path().join("shim.sock")).unwrap();
    let (shim, _) = ShimClient::connect(dir.path()).unwrap();
    drop(listener);
    Target {
        address: "127.0.0.1".into(),
        shim,
        container: "c.0".into(),
        ports: vec![("web".into(), 8080)],
    }
}

#[tokio::test]
async fn http_verdicts_follow_the_status() {
    let table = [
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", Ok(())),
        ("HTTP/1.1 399 Odd\r\ncontent-length: 0\r\n\r\n", Ok(())),
        (
            "HTTP/1.1 302 Found\r\nlocation: http://elsewhere/\r\ncontent-length: 0\r\n\r\n",
            Ok(()),
        ),
        (
            "HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n",
            Err("HTTP probe failed with statuscode: 503".to_owned()),
        ),
        (
            "HTTP/1.1 503 No\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 9\r\n\r\nbusy\nfoo\n",
            Err("HTTP probe failed with statuscode: 503: busy".to_owned()),
        ),
        (
            "HTTP/1.1 503 No\r\ncontent-type: text/html\r\ncontent-length: 4\r\n\r\n<a/>",
            Err("HTTP probe failed with statuscode: 503".to_owned()),
        ),
        (
            "HTTP/1.1 302 Found\r\nlocation: /again\r\ncontent-length: 0\r\n\r\n",
            Err("stopped after 10 redirects".to_owned()),
        ),
    ];
    for (answer, wanted) in table {
        let (port, _) = server(answer).await;
        let probe = probe(json!({"httpGet": {"port": port, "path": "health"}}));
        assert_eq!(target().attempt(&probe).await, wanted, "{answer}");
    }
    let (port, _) = server("nonsense\r\n\r\n").await;
    assert!(
        target()
            .attempt(&probe(json!({"httpGet": {"port": port}})))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_refused_connection_is_told_as_go_tells_it() {
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().port()
    };
    let message = target()
        .attempt(&probe(json!({"tcpSocket": {"port": port}})))
        .await
        .unwrap_err();
    assert_eq!(
        message,
        format!("dial tcp 127.0.0.1:{port}: connect: connection refused")
    );
    let message = target()
        .attempt(&probe(json!({"tcpSocket": {"port": "none"}})))
        .await
        .unwrap_err();
    assert_eq!(message, "couldn't find port: none");
}

#[tokio::test]
async fn readiness_is_reported_as_soon_as_the_server_answers() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let container: Container = serde_json::from_value(
        json!({"name": "c", "readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 10}}),
    )
    .unwrap();
    let (reports, mut receiver) = mpsc::channel(16);
    let task = tokio::spawn(watch(target(), container, reports));
    assert_eq!(receiver.recv().await, Some(ProbeReport::Started));
    assert!(matches!(
        receiver.recv().await,
        Some(ProbeReport::Unhealthy(ProbeKind::Readiness, _))
    ));
    let opened = std::time::Instant::now();
    let _listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    assert_eq!(receiver.recv().await, Some(ProbeReport::Ready(true)));
    assert!(
        opened.elapsed() < Duration::from_secs(2),
        "not a whole period: {:?}",
        opened.elapsed()
    );
    task.abort();
}

#[tokio::test]
async fn a_failing_liveness_probe_asks_for_a_restart_once() {
    let (port, count) = server("HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n").await;
    let container: Container = serde_json::from_value(json!({"name": "c", "livenessProbe": {
        "httpGet": {"port": port}, "periodSeconds": 1, "failureThreshold": 2, "terminationGracePeriodSeconds": 7}}))
    .unwrap();
    let (reports, mut receiver) = mpsc::channel(16);
    tokio::spawn(watch(target(), container, reports));
    let mut seen = Vec::new();
    while let Some(report) = receiver.recv().await {
        seen.push(report);
    }
    let message = "HTTP probe failed with statuscode: 500".to_owned();
    assert_eq!(
        seen,
        [
            ProbeReport::Started,
            ProbeReport::Ready(true),
            ProbeReport::Unhealthy(ProbeKind::Liveness, message.clone()),
            ProbeReport::Unhealthy(ProbeKind::Liveness, message),
            ProbeReport::Restart(ProbeKind::Liveness, Some(7)),
        ]
    );
    assert_eq!(count.load(std::sync::atomic::Ordering::SeqCst), 2);
}
