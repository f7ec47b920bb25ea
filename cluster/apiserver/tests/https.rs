//! The server over HTTPS: who is let in, and what clients negotiate.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{config_map, server};
use futures::StreamExt;
use k8s_openapi::api::authentication::v1::{SelfSubjectReview, TokenRequest};
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use kube::api::{Api, DeleteParams, PostParams, WatchEvent, WatchParams};
use kube::{Client, Config, ResourceExt};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// A served server: its URL, and what stops it.
async fn serve(
    server: &cluster_apiserver::ApiServer,
) -> (String, oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let (stop, stopped) = oneshot::channel();
    let server = server.clone();
    let task = tokio::spawn(async move {
        let stopped = async {
            let _ = stopped.await;
        };
        server.serve(listener, stopped).await.unwrap();
    });
    (url, stop, task)
}

fn client(url: &str, ca: &str, token: Option<String>) -> Client {
    // The kube client needs one provider for the process.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut config = Config::new(url.parse().unwrap());
    let der = rustls_pki_types::pem::PemObject::from_pem_slice(ca.as_bytes()).unwrap();
    let der: rustls_pki_types::CertificateDer<'_> = der;
    config.root_cert = Some(vec![der.to_vec()]);
    config.auth_info.token = token.map(Into::into);
    Client::try_from(config).unwrap()
}

async fn text(client: &Client, path: &str, accept: Option<&str>) -> (u16, String, String) {
    let mut request = http::Request::get(path);
    if let Some(accept) = accept {
        request = request.header("accept", accept);
    }
    let response = client
        .send(request.body(kube::client::Body::empty()).unwrap())
        .await
        .unwrap();
    let content_type = response.headers()["content-type"].to_str().unwrap().to_owned();
    let status = response.status().as_u16();
    let body = http_body_util::BodyExt::collect(response.into_body())
        .await
        .unwrap()
        .to_bytes();
    (status, content_type, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn only_those_with_credentials_are_served() {
    let (server, _dir) = server().await;
    let (url, _stop, _task) = serve(&server).await;
    let entry = server.kubeconfig_entry("test", &url);
    let nobody = client(&url, server.ca_pem(), None);
    assert_eq!(text(&nobody, "/version", None).await.0, 200);
    assert_eq!(
        text(&nobody, "/readyz", None).await,
        (200, "text/plain; charset=utf-8".into(), "ok".into())
    );
    for path in ["/api", "/api/v1/pods", "/metrics", "/openapi/v3", "/nowhere"] {
        let (status, _, body) = text(&nobody, path, None).await;
        assert_eq!(
            (
                status,
                serde_json::from_str::<Value>(&body).unwrap()["reason"].clone()
            ),
            (401, json!("Unauthorized"))
        );
    }
    let forged = client(&url, server.ca_pem(), Some("x".repeat(43)));
    assert_eq!(text(&forged, "/api", None).await.0, 401);

    let admin = client(&url, server.ca_pem(), Some(entry.token));
    let accounts: Api<ServiceAccount> = Api::default_namespaced(admin.clone());
    let account: ServiceAccount = serde_json::from_value(json!({"metadata": {"name": "bot"}})).unwrap();
    accounts.create(&PostParams::default(), &account).await.unwrap();
    let request: TokenRequest = serde_json::from_value(json!({"spec": {"audiences": []}})).unwrap();
    let token = accounts
        .create_token_request("bot", &PostParams::default(), &request)
        .await
        .unwrap()
        .status
        .unwrap()
        .token;
    let bot = client(&url, server.ca_pem(), token);
    let review: Api<SelfSubjectReview> = Api::all(bot.clone());
    let me = review
        .create(&PostParams::default(), &SelfSubjectReview::default())
        .await
        .unwrap();
    assert_eq!(
        me.status.unwrap().user_info.unwrap().username.as_deref(),
        Some("system:serviceaccount:default:bot")
    );
    // A token dies with its account.
    accounts.delete("bot", &DeleteParams::default()).await.unwrap();
    assert_eq!(text(&bot, "/api", None).await.0, 401);
}

#[tokio::test]
async fn clients_get_the_form_that_they_ask_for() {
    let (server, _dir) = server().await;
    let client = server.client();
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    maps.create(&PostParams::default(), &config_map("a", "1"))
        .await
        .unwrap();
    let path = "/api/v1/namespaces/default/configmaps";
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
    let (_, _, body) = text(&client, path, Some(table)).await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (&body["kind"], &body["rows"][0]["cells"][0]),
        (&json!("Table"), &json!("a"))
    );
    assert_eq!(body["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    let (_, kind, body) = text(&client, path, Some("application/yaml")).await;
    assert!(
        kind == "application/yaml" && body.contains("ConfigMapList"),
        "{body}"
    );
    assert_eq!(
        text(&client, path, Some("application/vnd.kubernetes.protobuf"))
            .await
            .0,
        406
    );
    let aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
    let (_, kind, body) = text(&client, "/apis", Some(aggregated)).await;
    assert!(kind.contains("as=APIGroupDiscoveryList") && body.contains("\"deployments\""));
    // No Status: that is how clients tell an absent API from an absent object.
    let (status, kind, body) = text(&client, "/apis/nothing.example.com/v1/things", None).await;
    assert!(
        status == 404 && kind.starts_with("text/plain") && body.starts_with("404"),
        "{body}"
    );
    let (_, _, body) = text(&client, "/openapi/v3", None).await;
    let index: Value = serde_json::from_str(&body).unwrap();
    let url = index["paths"]["apis/apps/v1"]["serverRelativeURL"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        text(&client, &url, None)
            .await
            .2
            .contains("io.k8s.api.apps.v1.Deployment")
    );
    assert!(
        text(&client, "/metrics", None)
            .await
            .2
            .contains("apiserver_store{part=\"objects\"}")
    );
}

#[tokio::test]
async fn a_shutdown_ends_watches_and_then_the_server() {
    let (server, _dir) = server().await;
    let (url, stop, task) = serve(&server).await;
    let admin = client(
        &url,
        server.ca_pem(),
        Some(server.kubeconfig_entry("t", &url).token),
    );
    let maps: Api<ConfigMap> = Api::default_namespaced(admin);
    let mut watch = maps.watch(&WatchParams::default(), "0").await.unwrap().boxed();
    maps.create(&PostParams::default(), &config_map("a", "1"))
        .await
        .unwrap();
    match watch.next().await.unwrap().unwrap() {
        WatchEvent::Added(object) => assert_eq!(object.name_any(), "a"),
        other => panic!("{other:?}"),
    }
    stop.send(()).unwrap();
    let ended = async {
        assert!(
            !matches!(watch.next().await, Some(Ok(_))),
            "nothing happened that a watch could tell"
        );
        task.await.unwrap();
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), ended)
        .await
        .unwrap();
}
