//! Every protocol that applications speak passes unchanged.

use bytes::Bytes;
use futures::SinkExt;
use futures::channel::mpsc;
use http::Request;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{body, fetch, get, http1, http2, read_until, text};
use crate::{Sidecar, soon};

/// A request body that the test writes as it goes.
fn channel_body() -> (
    mpsc::Sender<Result<Frame<Bytes>, std::convert::Infallible>>,
    crate::client::Body,
) {
    let (sender, receiver) = mpsc::channel(1);
    (sender, StreamBody::new(receiver).boxed_unsync())
}

#[tokio::test]
async fn http1_requests_reuse_one_connection_to_the_application() {
    let sidecar = Sidecar::start(&[]).await;
    let mut client = http1(sidecar.at.serving).await;
    for _ in 0..20 {
        let request = Request::post("/echo")
            .header("host", "h")
            .body(body("ping"))
            .unwrap();
        let response = client.send_request(request).await.unwrap();
        assert_eq!(response.headers()["x-version"], "HTTP/1.1");
        assert_eq!(text(response).await, "ping");
    }
    assert_eq!(
        sidecar
            .app
            .seen
            .connections
            .load(std::sync::atomic::Ordering::SeqCst),
        1
    );
}

#[tokio::test]
async fn h2c_stays_h2c_and_streams_share_connections() {
    let sidecar = Sidecar::start(&[]).await;
    let client = http2(sidecar.at.serving).await;
    let calls = (0..30).map(|i| {
        let mut client = client.clone();
        async move {
            let request = Request::post("http://app.example/echo")
                .body(body(&format!("ping{i}")))
                .unwrap();
            let response = client.send_request(request).await.unwrap();
            assert_eq!(response.headers()["x-version"], "HTTP/2.0");
            assert_eq!(text(response).await, format!("ping{i}"));
        }
    });
    soon(futures::future::join_all(calls)).await;
    assert_eq!(
        sidecar
            .app
            .seen
            .connections
            .load(std::sync::atomic::Ordering::SeqCst),
        1
    );
}

#[tokio::test]
async fn grpc_streams_both_ways_and_ends_with_trailers() {
    let sidecar = Sidecar::start(&[]).await;
    let mut client = http2(sidecar.at.serving).await;
    let (mut send, request_body) = channel_body();
    let request = Request::post("http://app.example/grpc")
        .header("te", "trailers")
        .body(request_body)
        .unwrap();
    let mut response = soon(client.send_request(request)).await.unwrap().into_body();
    for message in ["one", "two"] {
        send.send(Ok(Frame::data(message.into()))).await.unwrap();
        let frame = soon(response.frame()).await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), message);
    }
    drop(send);
    let trailers = soon(response.frame())
        .await
        .unwrap()
        .unwrap()
        .into_trailers()
        .unwrap();
    assert_eq!(trailers["grpc-status"], "0");
}

#[tokio::test]
async fn http1_is_full_duplex() {
    let sidecar = Sidecar::start(&[]).await;
    let mut client = http1(sidecar.at.serving).await;
    let (mut send, request_body) = channel_body();
    let request = Request::post("/duplex")
        .header("host", "h")
        .body(request_body)
        .unwrap();
    let mut response = soon(client.send_request(request)).await.unwrap().into_body();
    assert_eq!(
        soon(response.frame())
            .await
            .unwrap()
            .unwrap()
            .into_data()
            .unwrap(),
        "first;"
    );
    for chunk in ["a", "b"] {
        send.send(Ok(Frame::data(chunk.into()))).await.unwrap();
        assert_eq!(
            soon(response.frame())
                .await
                .unwrap()
                .unwrap()
                .into_data()
                .unwrap(),
            chunk
        );
    }
    drop(send);
    assert!(soon(response.frame()).await.is_none());
}

#[tokio::test]
async fn server_sent_events_arrive_as_they_are_written() {
    let sidecar = Sidecar::start(&[]).await;
    let mut events = soon(fetch(sidecar.at.serving, get("/sse").body(body("")).unwrap()))
        .await
        .into_body();
    for expected in ["data: 1\n\n", "data: 2\n\n"] {
        let frame = soon(events.frame()).await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), expected);
    }
}

#[tokio::test]
async fn websocket_messages_pass_both_ways() {
    let sidecar = Sidecar::start(&[("CONTAINER_CONCURRENCY", "1")]).await;
    let mut stream = TcpStream::connect(sidecar.at.serving).await.unwrap();
    let head = "GET /upgrade HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    // Bytes that come with the head must not be lost, nor reach the application before its 101.
    stream.write_all(format!("{head}early").as_bytes()).await.unwrap();
    let answer = soon(read_until(&mut stream, "early")).await;
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    assert!(answer.to_lowercase().contains("upgrade: websocket"), "{answer}");
    stream.write_all(b"ping").await.unwrap();
    assert_eq!(soon(read_until(&mut stream, "ping")).await, "ping");

    // The connection holds its slot until it is closed.
    let mut waiting = tokio::spawn(fetch(sidecar.at.serving, get("/").body(body("")).unwrap()));
    assert!(
        tokio::time::timeout(std::time::Duration::from_millis(100), &mut waiting)
            .await
            .is_err()
    );
    drop(stream);
    assert_eq!(soon(waiting).await.unwrap().status(), 200);
}

#[tokio::test]
async fn expect_continue_is_the_applications_to_answer() {
    let sidecar = Sidecar::start(&[]).await;
    let head = |path: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\nConnection: close\r\n\r\n"
        )
    };
    let mut stream = TcpStream::connect(sidecar.at.serving).await.unwrap();
    stream.write_all(head("/echo").as_bytes()).await.unwrap();
    assert_eq!(
        soon(read_until(&mut stream, "\r\n\r\n")).await,
        "HTTP/1.1 100 Continue\r\n\r\n"
    );
    stream.write_all(b"ping").await.unwrap();
    let answer = soon(read_until(&mut stream, "ping")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

    // Refused: the client must never be asked for its body.
    let mut stream = TcpStream::connect(sidecar.at.serving).await.unwrap();
    stream.write_all(head("/refuse").as_bytes()).await.unwrap();
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 417"), "{answer}");
}

#[tokio::test]
async fn responses_without_a_body_have_none() {
    let sidecar = Sidecar::start(&[]).await;
    let mut client = http1(sidecar.at.serving).await;
    for (method, path, status) in [
        ("GET", "/204", 204),
        ("GET", "/304", 304),
        ("HEAD", "/head", 200),
        ("GET", "/head", 200),
    ] {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "h")
            .body(body(""))
            .unwrap();
        let response = soon(client.send_request(request)).await.unwrap();
        assert_eq!(response.status(), status);
        if path == "/head" {
            assert_eq!(response.headers()["content-length"], "42", "{method}");
        }
        assert_eq!(
            text(response).await.len(),
            if method == "GET" && path == "/head" { 42 } else { 0 }
        );
    }
    assert_eq!(
        sidecar
            .app
            .seen
            .connections
            .load(std::sync::atomic::Ordering::SeqCst),
        1
    );
}

#[tokio::test]
async fn the_application_sees_the_clients_headers_and_no_others() {
    let sidecar = Sidecar::start(&[]).await;
    let request = get("/headers")
        .header("k-original-host", "mine.example")
        .header("k-proxy-request", "activator")
        .header("knative-serving-revision", "r")
        .header("knative-serving-namespace", "n")
        .header("x-forwarded-for", "1.2.3.4")
        .header("x-forwarded-proto", "http")
        .header("connection", "x-hop")
        .header("x-hop", "1")
        .header("x-mine", "kept")
        .body(body(""))
        .unwrap();
    let seen = text(fetch(sidecar.at.serving, request).await).await;
    for expected in [
        "host: mine.example",
        "forwarded: for=1.2.3.4;proto=http",
        "x-mine: kept",
    ] {
        assert!(seen.contains(expected), "{seen}");
    }
    for absent in [
        "knative-serving",
        "k-proxy-request",
        "k-original-host",
        "x-hop",
        "connection",
    ] {
        assert!(!seen.contains(absent), "{seen}");
    }
    // The same over HTTP/2, where the host is not a header.
    let mut client = http2(sidecar.at.serving).await;
    let request = Request::get("http://pod.example/headers")
        .header("k-original-host", "mine.example")
        .body(body(""))
        .unwrap();
    let seen = text(client.send_request(request).await.unwrap()).await;
    assert!(seen.starts_with("HTTP/2.0 host=mine.example"), "{seen}");
}
