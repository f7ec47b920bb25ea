//! Domains of one's own against an API server; the ingress is played.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

#[path = "support/cluster.rs"]
mod cluster;

use cluster::{Cluster, eventually};
use crds::networking::{ClusterDomainClaim, Ingress};
use crds::serving::DomainMapping;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;

const HOST: &str = "www.example.org";

struct Domains {
    cluster: Cluster,
}

impl Domains {
    async fn start() -> Self {
        let cluster = Cluster::start().await;
        cluster.create_service("web", "dev.local/web:1").await;
        cluster.ready_service("web").await;
        Self { cluster }
    }

    fn mappings(&self, namespace: &str) -> Api<DomainMapping> {
        Api::namespaced(self.cluster.client.clone(), namespace)
    }

    fn claims(&self) -> Api<ClusterDomainClaim> {
        Api::all(self.cluster.client.clone())
    }

    async fn map(&self, namespace: &str, reference: serde_json::Value) {
        let mapping = json!({"metadata": {"name": HOST}, "spec": {"ref": reference}});
        let mapping = serde_json::from_value(mapping).unwrap();
        self.mappings(namespace)
            .create(&PostParams::default(), &mapping)
            .await
            .unwrap();
    }

    async fn autocreate(&self) {
        let maps: Api<ConfigMap> = Api::namespaced(self.cluster.client.clone(), "knative-serving");
        let change = Patch::Merge(json!({"data": {"autocreate-cluster-domain-claims": "true"}}));
        maps.patch("config-network", &PatchParams::default(), &change)
            .await
            .unwrap();
    }

    /// Waits until the Ready condition of a mapping has this status and reason.
    async fn becomes(&self, namespace: &str, status: &str, reason: &str) -> DomainMapping {
        eventually(&format!("the mapping to be {status} {reason}"), async || {
            let mapping = self.mappings(namespace).get(HOST).await.unwrap();
            let found = mapping.status.as_ref()?;
            let ready = found.conditions.iter().find(|one| one.type_ == "Ready")?;
            let is = ready.status.as_str() == status && ready.reason.as_deref().unwrap_or_default() == reason;
            (is && found.observed_generation == mapping.metadata.generation).then_some(mapping)
        })
        .await
    }
}

fn service(name: &str) -> serde_json::Value {
    json!({"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": name})
}

#[tokio::test]
async fn a_domain_is_claimed_mapped_and_given_free() {
    let domains = Domains::start().await;
    domains.map("default", service("web")).await;
    domains.becomes("default", "False", "DomainClaimFailed").await;
    assert!(domains.claims().get_opt(HOST).await.unwrap().is_none());

    domains.autocreate().await;
    let mapping = domains.becomes("default", "True", "").await;
    let status = mapping.status.unwrap();
    assert_eq!(status.url.as_deref(), Some("http://www.example.org"));
    let claim = domains.claims().get(HOST).await.unwrap();
    assert_eq!(claim.spec.namespace, "default");
    let ingress: Ingress = domains.cluster.get(HOST).await;
    let path = &ingress.spec.rules[0].http.as_ref().unwrap().paths[0];
    assert_eq!(
        path.rewrite_host.as_deref(),
        Some("web.default.svc.cluster.local")
    );

    // Another namespace gets the host when it is given free, and not before.
    let namespaces: Api<Namespace> = Api::all(domains.cluster.client.clone());
    let other = json!({"metadata": {"name": "other"}});
    namespaces
        .create(&PostParams::default(), &serde_json::from_value(other).unwrap())
        .await
        .unwrap();
    domains.map("other", service("web")).await;
    domains.becomes("other", "False", "DomainAlreadyClaimed").await;
    domains
        .mappings("default")
        .delete(HOST, &DeleteParams::default())
        .await
        .unwrap();
    domains.becomes("other", "False", "ResolveFailed").await;
    let claim = domains.claims().get(HOST).await.unwrap();
    assert_eq!(claim.spec.namespace, "other");
    let gone = domains.mappings("default").get_opt(HOST).await.unwrap();
    assert!(gone.is_none(), "its finalizer is taken away");
}

#[tokio::test]
async fn a_mapping_waits_for_what_it_refers_to_and_follows_it() {
    let domains = Domains::start().await;
    domains.autocreate().await;
    domains.map("default", service("later")).await;
    domains.becomes("default", "False", "ResolveFailed").await;
    domains.cluster.create_service("later", "dev.local/later:1").await;
    domains.becomes("default", "True", "").await;

    let change = |reference: serde_json::Value| Patch::Merge(json!({"spec": {"ref": reference}}));
    let mappings = domains.mappings("default");
    // A Service of Kubernetes is found as well, though it is not watched: here the one that stands in for a host.
    for reference in [
        json!({"apiVersion": "v1", "kind": "Service", "name": "web"}),
        json!({"apiVersion": "serving.knative.dev/v1", "kind": "Route", "name": "later"}),
    ] {
        let name = reference["name"].as_str().unwrap().to_owned();
        mappings
            .patch(HOST, &PatchParams::default(), &change(reference))
            .await
            .unwrap();
        eventually("the ingress to lead to it", async || {
            let ingress: Ingress = domains.cluster.get(HOST).await;
            let path = &ingress.spec.rules[0].http.as_ref()?.paths[0];
            (path.splits[0].service_name == name).then_some(())
        })
        .await;
    }
    let unknown = json!({"apiVersion": "nowhere.example/v1", "kind": "Thing", "name": "x"});
    mappings
        .patch(HOST, &PatchParams::default(), &change(unknown))
        .await
        .unwrap();
    let mapping = domains.becomes("default", "False", "ResolveFailed").await;
    let conditions = mapping.status.unwrap().conditions;
    let ready = conditions.iter().find(|one| one.type_ == "Ready").unwrap();
    let message = ready.message.as_deref().unwrap_or_default();
    assert!(message.contains("no kind \"Thing\""), "{message}");
    // The ingress of before goes on.
    let ingress: Ingress = domains.cluster.get(HOST).await;
    assert_eq!(
        ingress.spec.rules[0].http.as_ref().unwrap().paths[0].splits[0].service_name,
        "later"
    );
}
