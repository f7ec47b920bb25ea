//! New pods run as an account that is there, and its token lives no longer than they do.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use cluster_apiserver::{ApiServer, Config};
use k8s_openapi::api::authentication::v1::TokenReview;
use k8s_openapi::api::core::v1::{Namespace, Pod, ServiceAccount};
use kube::api::{Api, DeleteParams, PostParams};
use kube::{Client, Error, ResourceExt};
use serde_json::{Value, json};
use tempfile::TempDir;

async fn server() -> (ApiServer, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let server = ApiServer::open(Config::new(dir.path())).await.unwrap();
    (server, dir)
}

async fn create(api: &Api<Pod>, spec: Value, parameters: &PostParams) -> Result<Value, (u16, String)> {
    let mut pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    pod["spec"]
        .as_object_mut()
        .unwrap()
        .extend(spec.as_object().unwrap().clone());
    match api
        .create(parameters, &serde_json::from_value(pod).unwrap())
        .await
    {
        Ok(pod) => Ok(serde_json::to_value(pod).unwrap()),
        Err(Error::Api(status)) => Err((status.code, status.message.clone())),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn the_first_pod_of_a_namespace_finds_its_account() {
    let (server, _dir) = server().await;
    let client = server.client();
    let namespace = serde_json::from_value(json!({"metadata": {"name": "fresh"}})).unwrap();
    Api::<Namespace>::all(client.clone())
        .create(&PostParams::default(), &namespace)
        .await
        .unwrap();
    let pods: Api<Pod> = Api::namespaced(client.clone(), "fresh");
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "fresh");

    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let pod = create(&pods, json!({}), &dry).await.unwrap();
    assert_eq!(pod["spec"]["serviceAccountName"], "default");
    assert!(
        accounts.get_opt("default").await.unwrap().is_none(),
        "a dry run makes nothing"
    );

    let pod = create(&pods, json!({}), &PostParams::default()).await.unwrap();
    assert_eq!(pod["spec"]["serviceAccount"], "default");
    let volume = pod["spec"]["volumes"][0]["name"].as_str().unwrap();
    assert_eq!(volume.len(), "kube-api-access-".len() + 5, "{volume}");
    assert_eq!(pod["spec"]["containers"][0]["volumeMounts"][0]["name"], volume);
    assert!(accounts.get_opt("default").await.unwrap().is_some());
    // What the server adds is nobody's, so that an apply without it takes nothing away.
    let owned = pod["metadata"]["managedFields"].to_string();
    assert!(
        !owned.contains("volumes") && !owned.contains("serviceAccountName"),
        "{owned}"
    );
}

#[tokio::test]
async fn pods_of_a_strict_account_use_its_secrets_alone() {
    let (server, _dir) = server().await;
    let client = server.client();
    let strict = json!({
        "metadata": {"name": "strict", "annotations": {"kubernetes.io/enforce-mountable-secrets": "true"}},
        "secrets": [{"name": "ours"}],
    });
    Api::<ServiceAccount>::default_namespaced(client.clone())
        .create(&PostParams::default(), &serde_json::from_value(strict).unwrap())
        .await
        .unwrap();
    let pods: Api<Pod> = Api::default_namespaced(client);
    let spec = |secret: &str| json!({"serviceAccountName": "strict", "volumes": [{"name": "v", "secret": {"secretName": secret}}]});
    let (code, message) = create(&pods, spec("theirs"), &PostParams::default())
        .await
        .unwrap_err();
    assert_eq!(code, 403);
    assert!(
        message.contains("volume with secret.secretName=\"theirs\""),
        "{message}"
    );
    create(&pods, spec("ours"), &PostParams::default()).await.unwrap();
}

#[tokio::test]
async fn a_pod_of_an_account_that_is_not_there_is_refused() {
    let (server, _dir) = server().await;
    let pods: Api<Pod> = Api::default_namespaced(server.client());
    let spec = json!({"serviceAccountName": "bot"});
    assert_eq!(
        create(&pods, spec.clone(), &PostParams::default()).await.unwrap_err(),
        (
            403,
            "pods \"p\" is forbidden: error looking up service account default/bot: serviceaccount \"bot\" not found".into()
        )
    );
    let accounts: Api<ServiceAccount> = Api::default_namespaced(server.client());
    let account = json!({"metadata": {"name": "bot"}, "automountServiceAccountToken": false, "imagePullSecrets": [{"name": "s"}]});
    accounts
        .create(&PostParams::default(), &serde_json::from_value(account).unwrap())
        .await
        .unwrap();
    let pod = create(&pods, spec, &PostParams::default()).await.unwrap();
    assert!(pod["spec"].get("volumes").is_none(), "{pod}");
    assert_eq!(pod["spec"]["imagePullSecrets"], json!([{"name": "s"}]));
}

async fn token(client: &Client, account: &str, pod: &Pod) -> Result<String, String> {
    let bound = json!({"kind": "Pod", "apiVersion": "v1", "name": pod.name_any(), "uid": pod.uid()});
    let request =
        serde_json::from_value(json!({"spec": {"boundObjectRef": bound, "audiences": []}})).unwrap();
    let accounts: Api<ServiceAccount> = Api::default_namespaced(client.clone());
    match accounts
        .create_token_request(account, &PostParams::default(), &request)
        .await
    {
        Ok(granted) => Ok(granted.status.unwrap().token.unwrap()),
        Err(Error::Api(status)) => Err(status.message.clone()),
        Err(other) => panic!("{other}"),
    }
}

async fn whose(client: &Client, token: &str) -> Option<String> {
    let review = serde_json::from_value(json!({"spec": {"token": token}})).unwrap();
    let reviews: Api<TokenReview> = Api::all(client.clone());
    let status = reviews
        .create(&PostParams::default(), &review)
        .await
        .unwrap()
        .status
        .unwrap();
    status
        .authenticated
        .unwrap_or(false)
        .then(|| status.user.unwrap().username.unwrap())
}

#[tokio::test]
async fn a_token_dies_with_its_pod() {
    let (server, _dir) = server().await;
    let client = server.client();
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    let pod = create(&pods, json!({}), &PostParams::default()).await.unwrap();
    let pod: Pod = serde_json::from_value(pod).unwrap();
    let accounts: Api<ServiceAccount> = Api::default_namespaced(client.clone());
    let other = serde_json::from_value(json!({"metadata": {"name": "other"}})).unwrap();
    accounts.create(&PostParams::default(), &other).await.unwrap();
    assert_eq!(
        token(&client, "other", &pod).await.unwrap_err(),
        "cannot bind token for serviceaccount \"other\" to pod running with different serviceaccount name."
    );
    let token = token(&client, "default", &pod).await.unwrap();
    assert_eq!(
        whose(&client, &token).await.as_deref(),
        Some("system:serviceaccount:default:default")
    );
    pods.delete("p", &DeleteParams::default().grace_period(0))
        .await
        .unwrap();
    assert_eq!(whose(&client, &token).await, None);
}
