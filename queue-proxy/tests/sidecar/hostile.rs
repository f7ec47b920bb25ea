//! Requests that try to confuse or exhaust a proxy.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use tokio::net::TcpStream;

use crate::client::raw;
use crate::{Sidecar, soon};

#[tokio::test]
async fn ambiguous_framing_is_refused_or_made_unambiguous() {
    let sidecar = Sidecar::start(&[]).await;
    let refused = [
        "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
        "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4, 5\r\n\r\nabcde",
        "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: +4\r\n\r\nabcd",
        "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n",
    ];
    for request in refused {
        let answer = soon(raw(sidecar.at.serving, request.as_bytes())).await;
        assert!(
            answer.starts_with("HTTP/1.1 400") || answer.starts_with("HTTP/1.0 400"),
            "{request:?} gave {answer:?}"
        );
    }
    assert_eq!(sidecar.app.seen.served.load(Ordering::SeqCst), 0);
    let connect = soon(raw(
        sidecar.at.serving,
        b"CONNECT h:1 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    ))
    .await;
    assert!(connect.starts_with("HTTP/1.1 405"), "{connect}");

    // Both framings: chunked wins (RFC 9112 §6.1), and what follows on the connection is never read as a request.
    for framing in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 4",
    ] {
        let smuggling = format!(
            "POST /echo HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
        );
        let before = sidecar.app.seen.served.load(Ordering::SeqCst);
        let answer = soon(raw(sidecar.at.serving, smuggling.as_bytes())).await;
        assert_eq!(answer.matches("HTTP/1.1 200").count(), 1, "{answer}");
        assert!(sidecar.app.seen.served.load(Ordering::SeqCst) <= before + 1);
    }
}

#[tokio::test]
async fn header_floods_are_refused() {
    let sidecar = Sidecar::start(&[]).await;
    let many: String = (0..200).map(|i| format!("X-{i}: 1\r\n")).collect();
    let answer = soon(raw(
        sidecar.at.serving,
        format!("GET / HTTP/1.1\r\nHost: h\r\n{many}\r\n").as_bytes(),
    ))
    .await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    let long = "a".repeat(100 * 1024);
    let answer = soon(raw(
        sidecar.at.serving,
        format!("GET / HTTP/1.1\r\nHost: h\r\nX: {long}\r\n\r\n").as_bytes(),
    ))
    .await;
    assert!(
        answer.starts_with("HTTP/1.1 431") || answer.is_empty(),
        "{answer}"
    );
    assert_eq!(sidecar.app.seen.served.load(Ordering::SeqCst), 0);
}

/// CVE-2023-44487: open a stream, reset it, again and again.
#[tokio::test]
async fn a_flood_of_resets_closes_the_connection() {
    let sidecar = Sidecar::start(&[]).await;
    let stream = TcpStream::connect(sidecar.at.serving).await.unwrap();
    let mut wire = Vec::from(&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..]);
    wire.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]); // SETTINGS
    for i in 0..5000u32 {
        let id = (2 * i + 1).to_be_bytes();
        // HEADERS with END_HEADERS, not END_STREAM: GET http / with an authority, HPACK static indexes.
        let block: &[u8] = &[0x82, 0x86, 0x84, 0x41, 0x01, b'h'];
        wire.extend([0, 0, block.len() as u8, 1, 4]);
        wire.extend(id);
        wire.extend(block);
        wire.extend([0, 0, 4, 3, 0]); // RST_STREAM
        wire.extend(id);
        wire.extend(8u32.to_be_bytes());
    }
    let (mut read, mut write) = stream.into_split();
    let writer = tokio::spawn(async move {
        use tokio::io::AsyncWriteExt;
        let _ = write.write_all(&wire).await;
        write
    });
    let mut answer = Vec::new();
    use tokio::io::AsyncReadExt;
    // Ends only because the sidecar closes: the write half stays open.
    let _ = soon(read.read_to_end(&mut answer)).await;
    let goaway = Bytes::from(answer).windows(9).any(|frame| frame[3] == 7);
    assert!(goaway, "the client is told why");
    drop(writer.await);
    assert!(sidecar.app.seen.served.load(Ordering::SeqCst) < 500);
}
