use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

#[test]
fn probes_are_read_as_pods_carry_them() {
    let cases = [
        ("", Probe::tcp(8080)),
        (
            r#"{"tcpSocket":{"port":0,"host":"127.0.0.1"},"successThreshold":1}"#,
            Probe {
                timeout_seconds: 0,
                ..Probe::tcp(8080)
            },
        ),
        (
            r#"{"httpGet":{"path":"healthz","port":8081,"scheme":"HTTP","httpHeaders":[{"name":"A","value":"b"}]},
                "periodSeconds":10,"timeoutSeconds":2,"successThreshold":1,"failureThreshold":3}"#,
            Probe {
                action: Action::Http {
                    host: "127.0.0.1".into(),
                    port: 8081,
                    path: "/healthz".into(),
                    headers: vec![HttpHeader {
                        name: "A".into(),
                        value: "b".into(),
                    }],
                },
                period_seconds: 10,
                timeout_seconds: 2,
                success_threshold: 1,
            },
        ),
        (
            r#"{"grpc":{"port":8080,"service":null},"periodSeconds":1,"timeoutSeconds":1,"successThreshold":1}"#,
            Probe {
                action: Action::Grpc {
                    port: 8080,
                    service: String::new(),
                },
                period_seconds: 1,
                timeout_seconds: 1,
                success_threshold: 1,
            },
        ),
        // exec cannot run here.
        (
            r#"{"exec":{"command":["true"]},"periodSeconds":1,"timeoutSeconds":1,"successThreshold":1}"#,
            Probe {
                period_seconds: 1,
                ..Probe::tcp(8080)
            },
        ),
    ];
    for (json, expected) in cases {
        assert_eq!(parse_probes(json, 8080).unwrap(), [expected], "{json}");
    }
    assert_eq!(
        parse_probes(
            r#"[{"tcpSocket":{"port":1}},{"exec":{}},{"tcpSocket":{"port":"2"}}]"#,
            9
        )
        .unwrap()
        .len(),
        2
    );
    assert!(
        matches!(parse_probes(r#"{"httpGet":{"port":"web"}}"#, 9), Err(ParseProbeError::NamedPort(name)) if name == "web")
    );
    assert!(parse_probes(r#"{"httpGet":{"port":70000}}"#, 9).is_err());
    assert!(parse_probes("{", 9).is_err());
}

/// Answers every connection with `answer` and counts them.
async fn http_server(answer: &'static str) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            counter.fetch_add(1, Ordering::SeqCst);
            let mut head = [0; 1024];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (port, count)
}

fn http(port: u16) -> Action {
    Action::Http {
        host: "127.0.0.1".into(),
        port,
        path: "/".into(),
        headers: Vec::new(),
    }
}

#[tokio::test]
async fn http_passes_from_200_to_399() {
    for (answer, passes) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", true),
        ("HTTP/1.1 301 Moved\r\ncontent-length: 0\r\n\r\n", true),
        ("HTTP/1.1 404 Nothing\r\ncontent-length: 0\r\n\r\n", false),
        ("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n", false),
        ("nonsense", false),
    ] {
        let (port, _) = http_server(answer).await;
        assert_eq!(check(&http(port), false).await.is_ok(), passes, "{answer}");
    }
    let (port, _) = http_server("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    assert!(
        check(&http(port), true).await.is_ok(),
        "falls back to HTTP/1.1 when HTTP/2 is not understood"
    );
}

#[tokio::test]
async fn tcp_passes_when_somebody_accepts() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let action = Action::Tcp {
        host: "127.0.0.1".into(),
        port,
    };
    assert_eq!(check(&action, false).await, Ok(()));
    drop(listener);
    assert_eq!(
        check(&action, false).await,
        Err(format!("connection refused at port {port}"))
    );
}

#[tokio::test]
async fn a_failed_check_says_what_was_wrong() {
    let (port, _) = http_server("HTTP/1.1 404 Nothing\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(
        check(&http(port), false).await,
        Err(format!("status 404 from / at port {port}"))
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    // An asker in a hurry learns it, though the run goes on for ten seconds.
    let prober = Prober::new(vec![Probe::tcp(port)], false);
    let found = prober.ready_within(Duration::from_millis(50)).await;
    assert_eq!(
        found.unwrap_err().as_ref(),
        format!("connection refused at port {port}")
    );
}

#[tokio::test]
async fn an_aggressive_probe_notices_a_late_listener() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    let prober = Prober::new(vec![Probe::tcp(addr.port())], false);
    let ready = tokio::spawn(async move { prober.ready().await });
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert!(!ready.is_finished());
    let _listener = TcpListener::bind(addr).await.unwrap();
    let ready = tokio::time::timeout(Duration::from_secs(5), ready)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(ready, Ok(()));
}

#[tokio::test]
async fn checks_at_the_same_time_share_one_run_and_later_ones_do_not() {
    let (port, count) = http_server("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let probe = Probe {
        action: http(port),
        period_seconds: 1,
        timeout_seconds: 5,
        success_threshold: 1,
    };
    let prober = Prober::new(vec![probe], false);
    let (a, b) = tokio::join!(prober.ready(), prober.ready());
    assert!(a.is_ok() && b.is_ok());
    assert_eq!(count.load(Ordering::SeqCst), 1);
    assert_eq!(prober.ready().await, Ok(()));
    assert_eq!(count.load(Ordering::SeqCst), 2);
}
