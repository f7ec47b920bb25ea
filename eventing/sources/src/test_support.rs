//! What the tests of senders share.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use event::Event;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use informer::Caches;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, PostParams};
use serde_json::json;
use test_api::TestApi;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::run::{Config, run_with};

/// The requests that came to a sink.
pub(crate) type Received = mpsc::UnboundedReceiver<(HeaderMap, Bytes)>;

pub(crate) const SYSTEM: &str = "knative-eventing";
/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A sink that answers the first requests with these statuses, and then 202.
pub(crate) async fn sink(answers: Vec<u16>) -> (String, Received) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, receiver) = mpsc::unbounded_channel();
    let answers = Arc::new(std::sync::Mutex::new(answers.into_iter()));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (sender, answers) = (sender.clone(), answers.clone());
            let service = service_fn(move |request: http::Request<Incoming>| {
                let (sender, answers) = (sender.clone(), answers.clone());
                async move {
                    let (head, body) = request.into_parts();
                    let body = body.collect().await.unwrap().to_bytes();
                    let status = answers.lock().unwrap().next().unwrap_or(202);
                    let _ = sender.send((head.headers, body));
                    let mut response = Response::new(Full::new(Bytes::new()));
                    *response.status_mut() = StatusCode::from_u16(status).unwrap();
                    Ok::<_, Infallible>(response)
                }
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    (url, receiver)
}

pub(crate) async fn api() -> TestApi {
    let api = TestApi::start().await;
    // All of them watch, whichever is tested.
    let kinds = ["PingSource", "ApiServerSource", "GitHubSource"];
    let definitions: Vec<_> = crds::all()
        .into_iter()
        .filter(|definition| kinds.contains(&definition.spec.names.kind.as_str()))
        .collect();
    api.define(&definitions).await;
    let namespaces: Api<Namespace> = Api::all(api.client());
    let system = serde_json::from_value(json!({"metadata": {"name": SYSTEM}})).unwrap();
    namespaces.create(&PostParams::default(), &system).await.unwrap();
    api
}

pub(crate) fn start(api: &TestApi) -> JoinHandle<()> {
    start_on(api.client())
}

/// With a client of its own.
pub(crate) fn start_on(client: kube::Client) -> JoinHandle<()> {
    start_with(client, Vec::new())
}

/// With a receiver of webhooks, which answers when it knows the sources.
pub(crate) async fn receiver(api: &TestApi) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    (at, start_with(api.client(), vec![listener]))
}

fn start_with(client: kube::Client, git_hub: Vec<TcpListener>) -> JoinHandle<()> {
    let config = Config {
        git_hub,
        system_namespace: SYSTEM.to_owned(),
        client: broker::client::Config {
            allowed: broker::client::Allowed::ALL,
            ..broker::client::Config::default()
        },
        ..Config::default()
    };
    tokio::spawn(run_with(Caches::new(client), config))
}

pub(crate) async fn received(receiver: &mut Received) -> Event {
    let message = tokio::time::timeout(PATIENCE, receiver.recv()).await;
    let (headers, body) = message.expect("an event comes in time").unwrap();
    event::http::read(&headers, body).unwrap()
}
