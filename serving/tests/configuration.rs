//! Every ConfigMap takes effect while the controllers run, and one that is not valid takes none.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

#[path = "support/cluster.rs"]
mod cluster;

use cluster::{Cluster, eventually};
use crds::annotations;
use crds::networking::Ingress;
use crds::serving::{Revision, Service};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ListParams, Patch, PatchParams};
use kube::core::DynamicObject;
use kube::core::admission::{AdmissionResponse, AdmissionReview};
use kube::{Api, ResourceExt};
use reconciler::{Caches, ConfigStore};
use serde_json::{Value, json};
use serving::admission::{Review, Settings, Webhook, handle};

async fn configure(cluster: &Cluster, map: &str, data: Value) {
    let maps: Api<ConfigMap> = Api::namespaced(cluster.client.clone(), "knative-serving");
    let change = Patch::Merge(json!({ "data": data }));
    maps.patch(map, &PatchParams::default(), &change).await.unwrap();
}

fn image(name: &str) -> Value {
    json!({"spec": {"template": {"spec": {"containers": [{"name": "user-container", "image": name}]}}}})
}

async fn url_becomes(cluster: &Cluster, name: &str, url: &str) {
    eventually(&format!("the url to become {url}"), async || {
        let service: Service = cluster.get(name).await;
        (service.status?.url? == url).then_some(())
    })
    .await;
}

/// Asks admission about a Service that is about to be created.
fn admit(webhook: Webhook, template: &Value, store: &ConfigStore) -> AdmissionResponse {
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "1", "operation": "CREATE", "name": "new", "namespace": "default", "dryRun": false,
            "kind": {"group": "serving.knative.dev", "version": "v1", "kind": "Service"},
            "resource": {"group": "serving.knative.dev", "version": "v1", "resource": "services"},
            "userInfo": {"username": "test"}, "oldObject": null, "options": null,
            "object": {
                "apiVersion": "serving.knative.dev/v1", "kind": "Service",
                "metadata": {"name": "new", "namespace": "default"}, "spec": {"template": template, "traffic": [{"latestRevision": true, "percent": 100}]},
            },
        },
    });
    let review: Review = serde_json::from_value(review).unwrap();
    let answer: AdmissionReview<DynamicObject> =
        handle(webhook, review, &Settings::default().with_present(store));
    answer.response.unwrap()
}

#[tokio::test]
async fn domain_and_network_change_the_urls() {
    let cluster = Cluster::start().await;
    cluster.create_service("web", "dev.local/app:1").await;
    cluster.ready_service("web").await;
    url_becomes(&cluster, "web", "http://web.default.example.com").await;
    configure(
        &cluster,
        "config-domain",
        json!({"example.com": null, "example.org": ""}),
    )
    .await;
    url_becomes(&cluster, "web", "http://web.default.example.org").await;
    let template = json!({"domain-template": "{{.Name}}-{{.Namespace}}.{{.Domain}}", "default-external-scheme": "https"});
    configure(&cluster, "config-network", template).await;
    url_becomes(&cluster, "web", "https://web-default.example.org").await;
}

#[tokio::test]
async fn features_change_how_requests_are_routed() {
    let cluster = Cluster::start().await;
    cluster.create_service("web", "dev.local/app:1").await;
    cluster.ready_service("web").await;
    let marks_default_route = async |expected: bool| {
        eventually("the ingress to follow the feature", async || {
            let ingress: Ingress = cluster.get("web").await;
            let text = serde_json::to_string(&ingress.spec).unwrap();
            (text.contains("Knative-Serving-Default-Route") == expected).then_some(())
        })
        .await;
    };
    marks_default_route(false).await;
    let feature = |value: &str| json!({ "tag-header-based-routing": value });
    configure(&cluster, "config-features", feature("Enabled")).await;
    marks_default_route(true).await;
    configure(&cluster, "config-features", feature("Disabled")).await;
    marks_default_route(false).await;
}

#[tokio::test]
async fn deployment_settings_reach_deployments_and_a_bad_edit_changes_nothing() {
    let cluster = Cluster::start().await;
    cluster.create_service("web", "dev.local/app:1").await;
    cluster.ready_service("web").await;
    let deadline_becomes = async |name: &str, seconds: i32| {
        eventually(
            &format!("the deadline of {name} to become {seconds}"),
            async || {
                let deployments: Api<Deployment> = Api::namespaced(cluster.client.clone(), "default");
                let deployment = deployments.get_opt(name).await.unwrap()?;
                (deployment.spec.progress_deadline_seconds == Some(seconds)).then_some(())
            },
        )
        .await;
    };
    deadline_becomes("web-00001-deployment", 600).await;
    configure(&cluster, "config-deployment", json!({"progress-deadline": "90s"})).await;
    deadline_becomes("web-00001-deployment", 90).await;

    // This got past admission. The next revision shows what the controllers go by now.
    let bad = json!({"progress-deadline": "soon", "queue-sidecar-cpu-request": "99m"});
    configure(&cluster, "config-deployment", bad).await;
    cluster.patch_service("web", image("dev.local/app:2")).await;
    cluster.ready_service("web").await;
    deadline_becomes("web-00002-deployment", 90).await;
    let deployment: Deployment = cluster.get("web-00002-deployment").await;
    let text = serde_json::to_string(&deployment.spec).unwrap();
    assert!(!text.contains("99m"), "nothing of an invalid ConfigMap is taken");
    eventually("the rejected ConfigMap to be seen in the metrics", async || {
        let metrics = prometheus::TextEncoder::new()
            .encode_to_string(&prometheus::gather())
            .unwrap();
        metrics
            .contains("kn_config_rejected{name=\"config-deployment\"} 1")
            .then_some(())
    })
    .await;

    let good = json!({"progress-deadline": "120s"});
    configure(&cluster, "config-deployment", good).await;
    deadline_becomes("web-00001-deployment", 120).await;
    let deployment: Deployment = cluster.get("web-00001-deployment").await;
    assert!(serde_json::to_string(&deployment.spec).unwrap().contains("99m"));
}

#[tokio::test]
async fn collection_follows_its_limits_and_spares_what_is_used() {
    let cluster = Cluster::start().await;
    cluster.create_service("web", "dev.local/app:1").await;
    for generation in 1..=4 {
        if generation > 1 {
            cluster
                .patch_service("web", image(&format!("dev.local/app:{generation}")))
                .await;
        }
        let service = cluster.ready_service("web").await;
        let latest = service.status.unwrap().latest_ready_revision_name;
        assert_eq!(latest, Some(format!("web-{generation:05}")));
    }
    let keep = json!({"metadata": {"annotations": {annotations::NO_GC: "true"}}});
    let revisions: Api<Revision> = Api::namespaced(cluster.client.clone(), "default");
    revisions
        .patch("web-00002", &PatchParams::default(), &Patch::Merge(keep))
        .await
        .unwrap();
    cluster.settle().await;
    let names = async || {
        let list = revisions.list(&ListParams::default()).await.unwrap();
        let mut names: Vec<_> = list.iter().map(ResourceExt::name_any).collect();
        names.sort();
        names
    };
    assert_eq!(names().await.len(), 4, "the defaults keep twenty");
    configure(
        &cluster,
        "config-gc",
        json!({"min-non-active-revisions": "0", "max-non-active-revisions": "1"}),
    )
    .await;
    eventually(
        "all but the last, the kept and one more to be collected",
        async || (names().await == ["web-00002", "web-00003", "web-00004"]).then_some(()),
    )
    .await;
    configure(&cluster, "config-gc", json!({"max-non-active-revisions": "0"})).await;
    eventually("all but the last and the kept to be collected", async || {
        (names().await == ["web-00002", "web-00004"]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn defaults_and_limits_change_what_admission_says() {
    let cluster = Cluster::start().await;
    let caches = Caches::new(cluster.client.clone());
    let store = ConfigStore::start(&caches, "knative-serving");
    caches.synced().await;
    let plain = json!({"spec": {"containers": [{"image": "dev.local/app:1"}]}});
    let timeout = || {
        let response = admit(Webhook::Defaulting, &plain, &store);
        let patch: Vec<Value> = serde_json::from_slice(&response.patch.unwrap()).unwrap();
        let text = serde_json::to_string(&patch).unwrap();
        ["300", "77"].into_iter().find(|seconds| text.contains(seconds))
    };
    assert_eq!(timeout(), Some("300"));
    configure(
        &cluster,
        "config-defaults",
        json!({"revision-timeout-seconds": "77"}),
    )
    .await;
    eventually("the default timeout to change", async || {
        (timeout() == Some("77")).then_some(())
    })
    .await;

    let mut from_zero = plain.clone();
    from_zero["metadata"] = json!({"annotations": {annotations::INITIAL_SCALE: "0"}});
    let allowed = || admit(Webhook::ResourceValidation, &from_zero, &store).allowed;
    configure(
        &cluster,
        "config-autoscaler",
        json!({"allow-zero-initial-scale": "false"}),
    )
    .await;
    eventually("an initial scale of zero to be refused", async || {
        (!allowed()).then_some(())
    })
    .await;
    configure(
        &cluster,
        "config-autoscaler",
        json!({"allow-zero-initial-scale": "true"}),
    )
    .await;
    eventually("an initial scale of zero to be allowed", async || {
        allowed().then_some(())
    })
    .await;
}
