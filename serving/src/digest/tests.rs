use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Response, StatusCode};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::plan::{Planned, plan};
use super::*;
use crate::test_support::{configuration, revision};

const DIGEST: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn with_image(image: &str) -> Revision {
    let mut revision = (*revision(&configuration("svc", 1), "svc-00001", 1, None)).clone();
    revision.spec.pod_spec.containers[0].image = Some(image.to_owned());
    revision
}

#[test]
fn pinned_and_skipped_images_need_no_registry() {
    let skipped = BTreeSet::from(["kind.local".to_owned()]);
    let pinned = format!("example.com/app@{DIGEST}");
    for (image, expected) in [(pinned.as_str(), pinned.as_str()), ("kind.local/app", "")] {
        let Ok(Planned::Done(found)) = plan(&with_image(image), &skipped) else {
            panic!("{image}")
        };
        assert_eq!(found.containers[0].image_digest.as_deref(), Some(expected));
    }
    assert!(matches!(
        plan(&with_image("example.com/app:1"), &skipped),
        Ok(Planned::Ask(_))
    ));
    let message = plan(&with_image("NOT AN IMAGE"), &skipped).unwrap_err();
    assert!(
        message.starts_with("Unable to fetch image \"NOT AN IMAGE\": failed to resolve image to digest: ")
    );
}

/// A registry that wants a token from itself, and knows one tag.
async fn serve(listener: TcpListener, asked: Arc<AtomicUsize>) {
    let base = format!("http://{}", listener.local_addr().unwrap());
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (base, asked) = (base.clone(), asked.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                asked.fetch_add(1, Ordering::Relaxed);
                let authorized = request
                    .headers()
                    .get("authorization")
                    .is_some_and(|value| value == "Bearer letmein");
                let response: http::response::Builder = Response::builder();
                let empty = Full::<bytes::Bytes>::default;
                let response = match (request.uri().path(), authorized) {
                    ("/token", _) => response.body(Full::<bytes::Bytes>::from(r#"{"token": "letmein"}"#)),
                    (_, false) => response
                        .status(StatusCode::UNAUTHORIZED)
                        .header(
                            "www-authenticate",
                            format!(r#"Bearer realm="{base}/token",service="test""#),
                        )
                        .body(empty()),
                    ("/v2/app/manifests/1", true) => {
                        response.header("docker-content-digest", DIGEST).body(empty())
                    }
                    _ => response.status(StatusCode::NOT_FOUND).body(empty()),
                };
                async move { Ok::<_, std::convert::Infallible>(response.unwrap()) }
            });
            let http = hyper::server::conn::http1::Builder::new();
            http.serve_connection(TokioIo::new(stream), service).await.ok();
        });
    }
}

/// A Kubernetes API without any objects.
fn empty_api() -> kube::Client {
    let service = tower::service_fn(|_| async {
        let body = r#"{"kind":"Status","status":"Failure","reason":"NotFound","message":"none","code":404}"#;
        let response = Response::builder()
            .status(404)
            .body(Full::<bytes::Bytes>::from(body))
            .unwrap();
        Ok::<_, std::convert::Infallible>(response)
    });
    kube::Client::new(service, "default")
}

async fn settled(resolver: &Resolver, revision: &Revision) -> Lookup {
    let (key, config) = (Key::new("default", "svc-00001"), ConfigStore::defaults());
    tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            match resolver.lookup(&key, revision, &config) {
                Lookup::Pending => tokio::task::yield_now().await,
                settled => return settled,
            }
        }
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn tag_becomes_a_digest_with_a_token_and_is_asked_for_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let server = tokio::spawn(serve(listener, asked.clone()));
    let resolver = Resolver::new(empty_api(), reconciler::queue("test-digest"));
    let revision = with_image(&format!("{address}/app:1"));
    for _ in 0..2 {
        let Lookup::Found(found) = settled(&resolver, &revision).await else {
            panic!("not found")
        };
        assert_eq!(
            found.containers[0].image_digest,
            Some(format!("{address}/app@{DIGEST}"))
        );
    }
    assert_eq!(asked.load(Ordering::Relaxed), 3, "refused, token, answered");
    server.abort();
}

#[tokio::test]
async fn missing_tag_is_told_and_the_key_is_woken() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(serve(listener, Arc::new(AtomicUsize::new(0))));
    let queue = reconciler::queue("test-digest-missing");
    let resolver = Resolver::new(empty_api(), queue.clone());
    let revision = with_image(&format!("{address}/app:gone"));
    let Lookup::Failed(message) = settled(&resolver, &revision).await else {
        panic!("not failed")
    };
    let expected = format!(
        "Unable to fetch image \"{address}/app:gone\": failed to resolve image to digest: HEAD http://{address}/v2/app/manifests/gone: unexpected status code 404 Not Found"
    );
    assert_eq!(message, expected);
    assert_eq!(queue.depth(), 1);
    server.abort();
}
