//! Tokens against an API server and receivers of the test.

use bytes::Bytes;
use event_client::{Allowed, Answer, Client, Config, Endpoint, SendError, Want};
use http::HeaderMap;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

#[test]
fn tokens_are_renewed_before_their_end() {
    let at = |second| Timestamp::from_second(second).unwrap();
    for (expires, expected) in [(3_600, 3_300), (600, 300), (500, 250), (2, 1), (0, 0), (-5, 0)] {
        assert_eq!(refresh_at(at(0), at(expires)), at(expected), "{expires}");
    }
}

async fn post(endpoint: &Endpoint) -> Result<Answer, SendError> {
    let message = || (HeaderMap::new(), Bytes::from_static(b"hello"));
    endpoint.send(None, message, |_, _, _| Want::Nothing).await
}

/// A server that answers 401 to the first token it sees, for ever, and 200 to others; and what it saw.
async fn picky() -> (String, Arc<parking_lot::Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://localhost:{}/", listener.local_addr().unwrap().port());
    let seen = Arc::new(parking_lot::Mutex::new(Vec::<String>::new()));
    let noted = seen.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let noted = noted.clone();
            tokio::spawn(async move {
                let mut read = Vec::new();
                while stream.read_buf(&mut read).await.is_ok_and(|count| count > 0) {
                    if !read.ends_with(b"hello") {
                        continue;
                    }
                    let text = String::from_utf8(std::mem::take(&mut read)).unwrap();
                    let line = text
                        .lines()
                        .find(|line| line.to_lowercase().starts_with("authorization: "));
                    let token = line.unwrap_or_default().to_owned();
                    let status = {
                        let mut noted = noted.lock();
                        noted.push(token.clone());
                        if noted.first() == Some(&token) {
                            "401 Unauthorized"
                        } else {
                            "200 OK"
                        }
                    };
                    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            });
        }
    });
    (url, seen)
}

#[tokio::test]
async fn a_token_that_is_refused_is_replaced_once_in_a_while() {
    let api = test_api::TestApi::start().await;
    let accounts: kube::Api<k8s_openapi::api::core::v1::ServiceAccount> =
        kube::Api::namespaced(api.client(), "default");
    let made = serde_json::from_value(serde_json::json!({"metadata": {"name": "sender"}})).unwrap();
    accounts
        .create(&kube::api::PostParams::default(), &made)
        .await
        .unwrap();
    let tokens = Tokens::new(api.client());
    let client = Client::new(Config {
        allowed: Allowed::ALL,
        credentials: Some(Arc::new(tokens.clone())),
        ..Config::default()
    });
    let account = |name: &str| Account {
        namespace: "default".to_owned(),
        name: name.to_owned(),
    };
    let (url, noted) = picky().await;
    let sender = account("sender");
    let endpoint = client
        .endpoint_as(Some(&sender), &url, None, Some("them"))
        .unwrap();
    let status = async || post(&endpoint).await.unwrap().status.as_u16();
    // It is young: asking for another one would not help.
    assert_eq!((status().await, status().await), (401, 401));
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(11)).await;
    tokio::time::resume();
    assert_eq!((status().await, status().await), (200, 200));
    let seen = noted.lock().clone();
    assert_eq!(seen.len(), 5, "{seen:?}");
    assert!(seen.iter().all(|line| line.contains("Bearer ey")), "{seen:?}");
    assert!(
        seen[0] == seen[1] && seen[1] == seen[2] && seen[3] == seen[4],
        "{seen:?}"
    );
    assert_eq!(tokens.len(), 1);

    // Nothing is sent in the name of an account that is not there.
    let nobody = account("nobody");
    let nobody = client
        .endpoint_as(Some(&nobody), &url, None, Some("them"))
        .unwrap();
    let error = post(&nobody).await.unwrap_err().to_string();
    assert!(error.contains("default/nobody"), "{error}");
    // Who has no account, or sends to somebody without an audience, shows nothing.
    for (account, audience) in [(None, Some("them")), (Some(&sender), None)] {
        let endpoint = client.endpoint_as(account, &url, None, audience).unwrap();
        post(&endpoint).await.unwrap();
        assert_eq!(noted.lock().last().map(String::as_str), Some(""));
    }
}
