//! Endpoints against servers of the test.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

fn client() -> Client {
    Client::new(Config {
        allowed: Allowed::ALL,
        ..Config::default()
    })
}

async fn post(endpoint: &Endpoint, want: Want) -> Result<Answer, SendError> {
    let message = || (HeaderMap::new(), Bytes::from_static(b"hello"));
    endpoint
        .send(Some(Duration::from_secs(10)), message, |_, _, _| want)
        .await
}

/// Reads a request that ends with `hello` and answers it, over and over.
async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: &'static str) -> String {
    let mut read = Vec::new();
    while stream.read_buf(&mut read).await.is_ok_and(|count| count > 0) {
        if read.ends_with(b"hello") {
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.flush().await.unwrap();
            if answer.contains("until close") {
                return String::new();
            }
        }
    }
    String::from_utf8(read).unwrap()
}

/// A plain server, and the connections it has seen.
async fn plain(answer: &'static str) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://localhost:{}/x", listener.local_addr().unwrap().port());
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(serve(stream, answer));
        }
    });
    (url, connections)
}

#[tokio::test]
async fn connections_are_used_again_whatever_is_read_of_the_answer() {
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let sized = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc";
    let empty = "HTTP/1.1 204 No Content\r\n\r\n";
    for (answer, want, body) in [
        (chunked, Want::Nothing, ""),
        (chunked, Want::Start(2), "ab"),
        (chunked, Want::Whole(3), "abc"),
        (sized, Want::Nothing, ""),
        (sized, Want::Whole(10), "abc"),
        (empty, Want::Whole(10), ""),
    ] {
        let (url, connections) = plain(answer).await;
        let client = client();
        let endpoint = client.endpoint(&url, None).unwrap();
        for _ in 0..3 {
            let answer = post(&endpoint, want).await.unwrap();
            assert_eq!((answer.body, answer.broken.is_none()), (Bytes::from(body), true));
        }
        assert_eq!(
            (connections.load(Ordering::Relaxed), client.idle_connections()),
            (1, 1),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn bodies_larger_than_wanted_are_said_to_be() {
    let (url, _) = plain("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc").await;
    let answer = post(&client().endpoint(&url, None).unwrap(), Want::Whole(2))
        .await
        .unwrap();
    assert_eq!(answer.body, "ab");
    assert!(matches!(answer.broken, Some(BrokenBody::TooLarge(2))));
}

#[tokio::test]
async fn a_body_may_end_with_the_connection() {
    let (url, _) = plain("HTTP/1.1 200 OK\r\n\r\nuntil close").await;
    let answer = post(&client().endpoint(&url, None).unwrap(), Want::Whole(100))
        .await
        .unwrap();
    assert_eq!(
        (answer.body, answer.broken.is_none()),
        (Bytes::from("until close"), true)
    );
}

#[tokio::test]
async fn idle_connections_grow_old() {
    let (url, _) = plain("HTTP/1.1 204 No Content\r\n\r\n").await;
    let client = Client::new(Config {
        allowed: Allowed::ALL,
        idle_timeout: Duration::ZERO,
        ..Config::default()
    });
    let endpoint = client.endpoint(&url, None).unwrap();
    post(&endpoint, Want::Nothing).await.unwrap();
    assert_eq!(client.idle_connections(), 1);
    client.expire_idle();
    assert_eq!(client.idle_connections(), 0);
}

/// A server over TLS: its port, and the certificate that vouches for it.
async fn secure() -> (u16, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    serve(stream, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
                }
            });
        }
    });
    (port, made.cert.pem())
}

#[tokio::test]
async fn https_is_trusted_by_its_authority_and_name() {
    let ((port, pem), client) = (secure().await, client());
    let right = client
        .endpoint(&format!("https://localhost:{port}/"), Some(&pem))
        .unwrap();
    assert_eq!(post(&right, Want::Whole(10)).await.unwrap().body, "ok");
    for (host, pem) in [("localhost", None), ("127.0.0.1", Some(&*pem))] {
        let wrong = client.endpoint(&format!("https://{host}:{port}/"), pem).unwrap();
        let error = post(&wrong, Want::Nothing).await.unwrap_err();
        assert!(matches!(error, SendError::Connect(_)), "{host}: {error}");
    }
}

#[tokio::test]
async fn anchors_are_trusted_from_the_next_connection_on() {
    let ((port, pem), (other_port, other_pem)) = (secure().await, secure().await);
    let anchors = Anchors::default();
    let client = Client::new(Config {
        allowed: Allowed::ALL,
        max_idle: 0,
        anchors: anchors.clone(),
        ..Config::default()
    });
    let endpoint = |port: u16, pem: Option<&str>| {
        let url = format!("https://localhost:{port}/");
        client.endpoint(&url, pem).unwrap()
    };
    let (plain, with_own) = (endpoint(port, None), endpoint(port, Some(&other_pem)));
    let trusts = async |endpoint: &Endpoint| post(endpoint, Want::Nothing).await.is_ok();
    assert!(!trusts(&plain).await && !trusts(&with_own).await);
    // One that is broken takes nothing from the others.
    anchors.set(["-----BEGIN CERTIFICATE-----\nx\n".to_owned(), pem]);
    assert!(trusts(&plain).await, "an endpoint that was there before");
    assert!(
        trusts(&with_own).await,
        "its own certificates are trusted beside the anchors"
    );
    assert!(trusts(&endpoint(port, None)).await, "and one that comes later");
    assert!(!trusts(&endpoint(other_port, None)).await);
    anchors.set([]);
    assert!(!trusts(&plain).await && !trusts(&with_own).await);
}

#[tokio::test]
async fn checked_addresses_are_the_ones_connected_to() {
    let (url, connections) = plain("HTTP/1.1 204 No Content\r\n\r\n").await;
    let client = Client::new(Config::default());
    let error = post(&client.endpoint(&url, None).unwrap(), Want::Nothing)
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            SendError::Refused {
                refusal: Refusal::Loopback,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(connections.load(Ordering::Relaxed), 0);
}
