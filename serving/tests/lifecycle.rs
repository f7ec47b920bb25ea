//! The reconcilers against an API server: the embedded one, or a real one (see `test-api`). What belongs to others
//! (pods, autoscaler, ingress) is played by small reconcilers that report success.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

#[path = "support/cluster.rs"]
mod cluster;

use cluster::{Cluster, condition, eventually};
use crds::autoscaling::PodAutoscaler;
use crds::serving::{Configuration, Revision, Route, Service};
use crds::{annotations, labels};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Service as KubeService};
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;

fn traffic_of(service: &Service) -> Vec<(String, i64)> {
    let flowing = service.status.iter().flat_map(|status| &status.traffic);
    flowing
        .map(|target| {
            (
                target.revision_name.clone().unwrap_or_default(),
                target.percent.unwrap_or(0),
            )
        })
        .collect()
}

#[tokio::test]
async fn service_becomes_ready_with_all_its_children() {
    let cluster = Cluster::start().await;
    cluster.create_service("hello", "dev.local/hello:1").await;
    let service = cluster.ready_service("hello").await;
    let status = service.status.clone().unwrap();
    assert_eq!(status.url.as_deref(), Some("http://hello.default.example.com"));
    assert_eq!(
        status.address.unwrap().url.as_deref(),
        Some("http://hello.default.svc.cluster.local")
    );
    assert_eq!(status.latest_ready_revision_name.as_deref(), Some("hello-00001"));
    assert_eq!(traffic_of(&service), [("hello-00001".to_owned(), 100)]);

    let revision: Revision = cluster.get("hello-00001").await;
    assert_eq!(revision.labels()[labels::ROUTING_STATE], "active");
    assert_eq!(revision.annotations()[annotations::ROUTES], "hello");
    let deployment: Deployment = cluster.get("hello-00001-deployment").await;
    let containers = deployment.spec.template.spec.unwrap().containers;
    let names: Vec<_> = containers
        .iter()
        .map(|container| container.name.as_str())
        .collect();
    assert_eq!(names, ["user-container", "queue-proxy"]);
    let placeholder = eventually("the placeholder to point at the gateway", async || {
        let service: KubeService = cluster.get("hello").await;
        let name = service.spec.as_ref()?.external_name.clone()?;
        name.starts_with("gateway-internal").then_some(service)
    })
    .await;
    assert_eq!(placeholder.labels()[labels::ROUTE], "hello");
}

#[tokio::test]
async fn restarted_controllers_change_nothing() {
    let mut cluster = Cluster::start().await;
    cluster.create_service("still", "dev.local/hello:1").await;
    cluster.ready_service("still").await;
    cluster.settle().await;
    let before = cluster.versions().await;
    cluster.restart();
    // Whatever a restart does to the first service happens before the second is ready.
    cluster.create_service("barrier", "dev.local/hello:1").await;
    cluster.ready_service("barrier").await;
    cluster.settle().await;
    let after = cluster.versions().await;
    let kept: Vec<_> = after
        .into_iter()
        .filter(|(name, _)| !name.contains("barrier"))
        .collect();
    assert_eq!(kept, before);
}

#[tokio::test]
async fn update_moves_traffic_and_a_split_and_a_rollback_follow_the_spec() {
    let cluster = Cluster::start().await;
    cluster.create_service("app", "dev.local/app:1").await;
    cluster.ready_service("app").await;

    cluster.patch_service("app", json!({"spec": {"template": {"spec": {"containers": [{"name": "user-container", "image": "dev.local/app:2"}]}}}})).await;
    let service = cluster.ready_service("app").await;
    assert_eq!(traffic_of(&service), [("app-00002".to_owned(), 100)]);
    eventually("the old revision to go into reserve", async || {
        let old: Revision = cluster.get("app-00001").await;
        (old.labels()[labels::ROUTING_STATE] == "reserve").then_some(())
    })
    .await;

    let split = json!({"spec": {"traffic": [
        {"latestRevision": true, "percent": 70},
        {"revisionName": "app-00001", "latestRevision": false, "percent": 30, "tag": "old"},
    ]}});
    cluster.patch_service("app", split).await;
    let service = cluster.ready_service("app").await;
    assert_eq!(
        traffic_of(&service),
        [("app-00002".to_owned(), 70), ("app-00001".to_owned(), 30)]
    );
    let url = service.status.unwrap().traffic[1].url.clone();
    assert_eq!(url.as_deref(), Some("http://old-app.default.example.com"));
    let tagged: KubeService = cluster.get("old-app").await;
    assert!(tagged.spec.unwrap().external_name.is_some());

    let back = json!({"spec": {"traffic": [{"revisionName": "app-00001", "latestRevision": false, "percent": 100}]}});
    cluster.patch_service("app", back).await;
    let service = cluster.ready_service("app").await;
    assert_eq!(traffic_of(&service), [("app-00001".to_owned(), 100)]);
    eventually("the placeholder of the tag to go", async || {
        let services: Api<KubeService> = Api::namespaced(cluster.client.clone(), "default");
        services.get_opt("old-app").await.unwrap().is_none().then_some(())
    })
    .await;
}

#[tokio::test]
async fn crashing_update_fails_but_the_old_revision_goes_on() {
    let cluster = Cluster::start().await;
    cluster.create_service("crash", "dev.local/app:1").await;
    cluster.ready_service("crash").await;
    cluster.patch_service("crash", json!({"spec": {"template": {"spec": {"containers": [{"name": "user-container", "image": "dev.local/crash:2"}]}}}})).await;
    let service = eventually("the failure to be told", async || {
        let service: Service = cluster.get("crash").await;
        let (status, reason) = condition(&service, "Ready")?;
        (status == "False" && reason == "RevisionFailed").then_some(service)
    })
    .await;
    assert_eq!(traffic_of(&service), [("crash-00001".to_owned(), 100)]);
    let message = service
        .status
        .unwrap()
        .conditions
        .iter()
        .find(|c| c.type_ == "Ready")
        .unwrap()
        .message
        .clone();
    assert!(message.unwrap().contains("quota exceeded"), "the cause is named");
}

#[tokio::test]
async fn names_of_others_are_not_taken_over() {
    let cluster = Cluster::start().await;
    let configurations: Api<Configuration> = Api::namespaced(cluster.client.clone(), "default");
    let foreign = json!({
        "apiVersion": "serving.knative.dev/v1", "kind": "Configuration", "metadata": {"name": "taken"},
        "spec": {"template": {"spec": {"containers": [{"name": "user-container", "image": "dev.local/foreign:1"}]}}},
    });
    let foreign = configurations
        .create(&Default::default(), &serde_json::from_value(foreign).unwrap())
        .await
        .unwrap();
    cluster.create_service("taken", "dev.local/app:1").await;
    eventually("the conflict to be told", async || {
        let service: Service = cluster.get("taken").await;
        (condition(&service, "ConfigurationsReady")? == ("False".to_owned(), "NotOwned".to_owned()))
            .then_some(())
    })
    .await;
    let after: Configuration = cluster.get("taken").await;
    assert_eq!(
        (after.owner_references(), &after.spec),
        (foreign.owner_references(), &foreign.spec)
    );
}

#[tokio::test]
async fn deleted_route_takes_its_marks_off() {
    let cluster = Cluster::start().await;
    let configurations: Api<Configuration> = Api::namespaced(cluster.client.clone(), "default");
    let routes: Api<Route> = Api::namespaced(cluster.client.clone(), "default");
    let configuration = json!({
        "apiVersion": "serving.knative.dev/v1", "kind": "Configuration", "metadata": {"name": "own"},
        "spec": {"template": {"spec": {"containers": [{"name": "user-container", "image": "dev.local/own:1"}]}}},
    });
    let route = json!({
        "apiVersion": "serving.knative.dev/v1", "kind": "Route", "metadata": {"name": "way"},
        "spec": {"traffic": [{"configurationName": "own", "latestRevision": true, "percent": 100}]},
    });
    routes
        .create(&Default::default(), &serde_json::from_value(route).unwrap())
        .await
        .unwrap();
    configurations
        .create(
            &Default::default(),
            &serde_json::from_value(configuration).unwrap(),
        )
        .await
        .unwrap();
    eventually("the route to be ready and marked", async || {
        let route: Route = cluster.get("way").await;
        let revisions: Api<Revision> = Api::namespaced(cluster.client.clone(), "default");
        let revision = revisions.get_opt("own-00001").await.unwrap()?;
        let marked = revision
            .annotations()
            .get(annotations::ROUTES)
            .is_some_and(|routes| routes == "way");
        let ready = route.status.is_some_and(|status| {
            status
                .conditions
                .iter()
                .any(|c| c.type_ == "Ready" && c.is_true())
        });
        (marked && ready && revision.labels()[labels::ROUTING_STATE] == "active").then_some(())
    })
    .await;
    routes.delete("way", &Default::default()).await.unwrap();
    eventually("the marks to go with the route", async || {
        let revision: Revision = cluster.get("own-00001").await;
        let gone = routes.get_opt("way").await.unwrap().is_none();
        let free = !revision.annotations().contains_key(annotations::ROUTES);
        (gone && free && revision.labels()[labels::ROUTING_STATE] == "reserve").then_some(())
    })
    .await;
}

#[tokio::test]
async fn annotation_added_to_a_child_by_hand_is_removed() {
    let cluster = Cluster::start().await;
    cluster.create_service("clean", "dev.local/app:1").await;
    cluster.ready_service("clean").await;
    let routes: Api<Route> = Api::namespaced(cluster.client.clone(), "default");
    let by_hand = json!({"metadata": {"annotations": {"by": "hand"}, "labels": {"by": "hand"}}});
    routes
        .patch("clean", &PatchParams::default(), &Patch::Merge(by_hand))
        .await
        .unwrap();
    eventually("the change to be taken back", async || {
        let route: Route = cluster.get("clean").await;
        (!route.annotations().contains_key("by") && !route.labels().contains_key("by")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn autoscaling_annotations_follow_the_revision_live() {
    let cluster = Cluster::start().await;
    cluster.create_service("live", "dev.local/app:1").await;
    cluster.ready_service("live").await;
    let revisions: Api<Revision> = Api::namespaced(cluster.client.clone(), "default");
    for value in [json!("3"), json!(null)] {
        let change = json!({"metadata": {"annotations": {annotations::MIN_SCALE: value}}});
        revisions
            .patch("live-00001", &PatchParams::default(), &Patch::Merge(change))
            .await
            .unwrap();
        eventually("the annotation to reach the PodAutoscaler", async || {
            let autoscaler: PodAutoscaler = cluster.get("live-00001").await;
            let found = autoscaler.annotations().get(annotations::MIN_SCALE).cloned();
            (found.as_deref() == value.as_str()).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn changed_configuration_updates_deployments_but_not_their_scale() {
    let cluster = Cluster::start().await;
    cluster.create_service("scaled", "dev.local/app:1").await;
    cluster.ready_service("scaled").await;
    let deployments: Api<Deployment> = Api::namespaced(cluster.client.clone(), "default");
    let scale = json!({"spec": {"replicas": 4}});
    deployments
        .patch_scale(
            "scaled-00001-deployment",
            &PatchParams::default(),
            &Patch::Merge(scale),
        )
        .await
        .unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(cluster.client.clone(), "knative-serving");
    let image = json!({"data": {"queue-sidecar-image": "localhost:5000/queue-proxy:2"}});
    maps.patch("config-deployment", &PatchParams::default(), &Patch::Merge(image))
        .await
        .unwrap();
    let deployment = eventually("the new sidecar to reach the Deployment", async || {
        let deployment: Deployment = cluster.get("scaled-00001-deployment").await;
        let containers = deployment.spec.template.spec.clone()?.containers;
        let image = containers
            .into_iter()
            .find(|container| container.name == "queue-proxy")?
            .image?;
        image.ends_with(":2").then_some(deployment)
    })
    .await;
    assert_eq!(deployment.spec.replicas, Some(4));
}

/// A successor must not wait until leases of a process that ended in order run out.
#[tokio::test]
async fn leases_are_given_back_at_the_end() {
    let cluster = Cluster::start().await;
    let config = serving::Config {
        election: Some(reconciler::Candidate::new("pod-a_1")),
        ..serving::Config::default()
    };
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let until = Box::pin(async move {
        let _ = stopped.await;
    });
    let running = tokio::spawn(serving::run_until(
        reconciler::Caches::new(cluster.client.clone()),
        config,
        until,
    ));
    let leases: Api<Lease> = Api::namespaced(cluster.client.clone(), crds::names::SYSTEM_NAMESPACE);
    let holders = async || -> Vec<String> {
        let list = leases.list(&ListParams::default()).await.unwrap();
        let holder = |lease: Lease| lease.spec?.holder_identity;
        list.items.into_iter().filter_map(holder).collect()
    };
    eventually("seven leases to be held", async || {
        let held = holders().await;
        (held.len() == 7 && held.iter().all(|holder| holder == "pod-a_1")).then_some(())
    })
    .await;
    stop.send(()).unwrap();
    running.await.unwrap();
    assert_eq!(holders().await, [""; 7]);
}
