//! Addresses and certificates while `transport-encryption` changes.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

#[path = "support/cluster.rs"]
mod cluster;

use certificates::{Profile, text};
use cluster::{Cluster, SYSTEM, eventually};
use crds::eventing::{Broker, Trigger};
use crds::messaging::InMemoryChannel;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

const SECRET: &str = "mt-broker-ingress-server-tls";

fn secrets(cluster: &Cluster) -> Api<Secret> {
    Api::namespaced(cluster.client.clone(), SYSTEM)
}

async fn encryption(cluster: &Cluster, mode: &str) {
    let maps: Api<ConfigMap> = Api::namespaced(cluster.client.clone(), SYSTEM);
    let change = json!({"data": {"transport-encryption": mode}});
    maps.patch("config-features", &PatchParams::default(), &Patch::Merge(change))
        .await
        .unwrap();
}

async fn status<K>(cluster: &Cluster, name: &str) -> Value
where
    K: reconciler::Object<Scope = kube::core::NamespaceResourceScope>,
{
    let object = cluster.get::<K>(name).await;
    serde_json::to_value(object).unwrap()["status"].clone()
}

/// Waits until the addresses are called so, and returns the status.
async fn addresses<K>(cluster: &Cluster, name: &str, names: &[&str]) -> Value
where
    K: reconciler::Object<Scope = kube::core::NamespaceResourceScope>,
{
    eventually(&format!("{names:?}"), async || {
        let status = status::<K>(cluster, name).await;
        let all = status["addresses"].as_array().cloned().unwrap_or_default();
        let found: Vec<&str> = all.iter().filter_map(|one| one["name"].as_str()).collect();
        (found == names).then_some(status)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_follow_the_mode_and_the_certificate() {
    let cluster = Cluster::start().await;
    cluster.open("imc-dispatcher").await;
    cluster.create_broker("default", json!({})).await;
    cluster
        .create::<InMemoryChannel>(json!({"metadata": {"name": "ch"}, "spec": {}}))
        .await;
    let broker =
        json!({"ref": {"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "name": "default"}});
    cluster
        .create::<Trigger>(json!({
            "metadata": {"name": "t"}, "spec": {"broker": "default", "filter": {}, "subscriber": broker},
        }))
        .await;
    cluster.ready::<Trigger>("t").await;
    let plain = status::<Broker>(&cluster, "default").await;
    assert_eq!(plain["address"]["name"], "http");
    assert_eq!(plain["addresses"], json!(null));
    assert!(
        secrets(&cluster).get_opt(SECRET).await.unwrap().is_none(),
        "nobody needs it"
    );

    encryption(&cluster, "permissive").await;
    let both = addresses::<Broker>(&cluster, "default", &["https", "http"]).await;
    let secret = secrets(&cluster).get(SECRET).await.unwrap();
    let authority = text(secret.data.as_ref().unwrap(), Profile::TLS.authority)
        .unwrap()
        .to_owned();
    assert_eq!(both["addresses"][0]["CACerts"], json!(authority));
    assert_eq!(
        both["addresses"][0]["url"],
        "https://broker-ingress.knative-eventing.svc.cluster.local/default/default"
    );
    assert_eq!(both["address"], both["addresses"][1]);
    let channel = addresses::<InMemoryChannel>(&cluster, "ch", &["https", "http"]).await;
    assert_eq!(
        channel["addresses"][0]["url"],
        "https://imc-dispatcher.knative-eventing.svc.cluster.local/default/ch"
    );
    let trusted = |expected: String| {
        let cluster = &cluster;
        async move {
            eventually("the trigger to trust", async || {
                let status = status::<Trigger>(cluster, "t").await;
                (status["subscriberCACerts"] == json!(expected)).then_some(status)
            })
            .await
        }
    };
    let sending = trusted(authority.clone()).await;
    assert!(
        sending["subscriberUri"].as_str().unwrap().starts_with("https://"),
        "{sending}"
    );

    // Somebody takes the certificate away: there is a new one, and whoever sends hears of it.
    secrets(&cluster)
        .delete(SECRET, &DeleteParams::default())
        .await
        .unwrap();
    let replaced = eventually("another authority", async || {
        let status = status::<Broker>(&cluster, "default").await;
        let pem = status["addresses"][0]["CACerts"].as_str()?.to_owned();
        (pem != authority).then_some(pem)
    })
    .await;
    trusted(replaced).await;

    encryption(&cluster, "strict").await;
    let only = addresses::<Broker>(&cluster, "default", &["https"]).await;
    assert_eq!(only["address"], only["addresses"][0]);
    encryption(&cluster, "disabled").await;
    let none = addresses::<Broker>(&cluster, "default", &[]).await;
    assert_eq!(none["address"]["name"], "http");
    cluster.settle().await;
}

/// What the condition Addressable says: its status and reason.
fn addressable(status: &Value) -> (String, String) {
    let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    let found = conditions.iter().find(|one| one["type"] == "Addressable");
    let text = |key: &str| found.and_then(|one| one[key].as_str()).unwrap_or_default();
    (text("status").to_owned(), text("reason").to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_no_https_where_the_service_has_no_port_for_it() {
    let cluster = Cluster::start().await;
    let services: Api<Service> = Api::namespaced(cluster.client.clone(), SYSTEM);
    let ports = async |ports: Value| {
        let patch = Patch::Merge(json!({"spec": {"ports": ports}}));
        services
            .patch("broker-ingress", &PatchParams::default(), &patch)
            .await
            .unwrap();
    };
    let says = async |status: &str, reason: &str| {
        eventually(&format!("Addressable {status} {reason}"), async || {
            let found = self::status::<Broker>(&cluster, "default").await;
            (addressable(&found) == (status.to_owned(), reason.to_owned())).then_some(found)
        })
        .await
    };
    ports(json!([{"name": "http", "port": 80}])).await;
    cluster.create_broker("default", json!({})).await;
    encryption(&cluster, "permissive").await;
    let found = says("True", "ServicePortMissing").await;
    assert_eq!(found["address"]["name"], "http");
    assert_eq!(found["addresses"], json!([found["address"]]));

    encryption(&cluster, "strict").await;
    let found = says("False", "ServicePortMissing").await;
    assert_eq!(found["address"], json!(null));

    ports(json!([{"name": "http", "port": 80}, {"name": "https", "port": 443}])).await;
    addresses::<Broker>(&cluster, "default", &["https"]).await;
    says("True", "").await;
    cluster.settle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_certificate_of_a_certificate_manager_is_left_alone() {
    let cluster = Cluster::start().await;
    // Publicly trusted: without an authority of its own.
    let data = json!({"tls.crt": "Y2VydGlmaWNhdGU=", "tls.key": "a2V5"});
    let given = json!({"metadata": {"name": SECRET}, "type": "kubernetes.io/tls", "data": data});
    let given = serde_json::from_value(given).unwrap();
    secrets(&cluster)
        .create(&PostParams::default(), &given)
        .await
        .unwrap();
    encryption(&cluster, "strict").await;
    cluster.create_broker("default", json!({})).await;
    let status = addresses::<Broker>(&cluster, "default", &["https"]).await;
    assert_eq!(status["address"]["CACerts"], json!(null));
    eventually("the other certificates", async || {
        let found = secrets(&cluster).get_opt("job-sink-server-tls").await.unwrap()?;
        found.data
    })
    .await;
    let now = secrets(&cluster).get(SECRET).await.unwrap();
    assert_eq!(serde_json::to_value(now.data).unwrap(), data);
}
