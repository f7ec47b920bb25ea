//! The verbs of built-in kinds, through `kube::Client` in process.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{config_map, server};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Service};
use kube::api::{Api, DeleteParams, ListParams, PostParams, Preconditions, WatchEvent, WatchParams};
use kube::{Error, ResourceExt};
use serde_json::json;

fn code(error: Error) -> (u16, String) {
    match error {
        Error::Api(status) => (status.code, status.reason.clone()),
        other => panic!("not an API error: {other}"),
    }
}

#[tokio::test]
async fn an_object_lives_through_create_read_update_delete() {
    let (server, _dir) = server().await;
    let api: Api<ConfigMap> = Api::default_namespaced(server.client());
    let created = api
        .create(&PostParams::default(), &config_map("a", "1"))
        .await
        .unwrap();
    assert!(created.uid().is_some() && created.creation_timestamp().is_some());
    assert_eq!(
        code(
            api.create(&PostParams::default(), &config_map("a", "1"))
                .await
                .unwrap_err()
        ),
        (409, "AlreadyExists".into())
    );

    let mut changed = created.clone();
    changed.data.as_mut().unwrap().insert("k".into(), "2".into());
    let updated = api.replace("a", &PostParams::default(), &changed).await.unwrap();
    assert_ne!(updated.resource_version(), created.resource_version());
    // A stale version is refused, a write of nothing new keeps the version.
    assert_eq!(
        code(
            api.replace("a", &PostParams::default(), &changed)
                .await
                .unwrap_err()
        ),
        (409, "Conflict".into())
    );
    let same = api.replace("a", &PostParams::default(), &updated).await.unwrap();
    assert_eq!(same.resource_version(), updated.resource_version());
    assert_eq!(api.get("a").await.unwrap(), updated);

    let wrong = DeleteParams {
        preconditions: Some(Preconditions {
            uid: Some("x".into()),
            ..Default::default()
        }),
        ..Default::default()
    };
    assert_eq!(code(api.delete("a", &wrong).await.unwrap_err()).0, 409);
    assert!(
        api.delete("a", &DeleteParams::default())
            .await
            .unwrap()
            .is_right()
    );
    assert_eq!(code(api.get("a").await.unwrap_err()), (404, "NotFound".into()));
}

#[tokio::test]
async fn lists_are_paged_at_one_revision() {
    let (server, _dir) = server().await;
    let api: Api<ConfigMap> = Api::default_namespaced(server.client());
    for name in ["a", "b", "c", "d", "e"] {
        api.create(&PostParams::default(), &config_map(name, "1"))
            .await
            .unwrap();
    }
    let first = api.list(&ListParams::default().limit(2)).await.unwrap();
    assert_eq!(first.metadata.remaining_item_count, Some(3));
    // What happens between pages does not show on later ones.
    api.delete("d", &DeleteParams::default()).await.unwrap();
    api.create(&PostParams::default(), &config_map("dd", "1"))
        .await
        .unwrap();
    let token = first.metadata.continue_.clone().unwrap();
    let second = api
        .list(&ListParams::default().limit(10).continue_token(&token))
        .await
        .unwrap();
    let names: Vec<String> = second.iter().map(|item| item.name_any()).collect();
    assert_eq!(names, ["c", "d", "e"]);
    assert_eq!(second.metadata.resource_version, first.metadata.resource_version);
    let now: Vec<String> = api
        .list(&ListParams::default())
        .await
        .unwrap()
        .iter()
        .map(|item| item.name_any())
        .collect();
    assert_eq!(now, ["a", "b", "c", "dd", "e"]);
}

#[tokio::test]
async fn watches_resume_and_follow_selectors() {
    let (server, _dir) = server().await;
    let api: Api<ConfigMap> = Api::default_namespaced(server.client());
    let mut object = config_map("a", "1");
    object.labels_mut().insert("on".into(), "yes".into());
    let created = api.create(&PostParams::default(), &object).await.unwrap();
    let mut off = created.clone();
    off.labels_mut().insert("on".into(), "no".into());
    let changed = api.replace("a", &PostParams::default(), &off).await.unwrap();
    api.delete("a", &DeleteParams::default()).await.unwrap();

    let version = created.resource_version().unwrap();
    let seen: Vec<(String, String)> = api
        .watch(&WatchParams::default().timeout(1), &version)
        .await
        .unwrap()
        .map_ok(|event| match event {
            WatchEvent::Modified(o) => ("MODIFIED".to_owned(), o.resource_version().unwrap()),
            WatchEvent::Deleted(o) => ("DELETED".to_owned(), o.resource_version().unwrap()),
            WatchEvent::Bookmark(_) => ("BOOKMARK".to_owned(), String::new()),
            other => (format!("{other:?}"), String::new()),
        })
        .try_collect()
        .await
        .unwrap();
    assert_eq!(seen.len(), 3, "{seen:?}");
    assert_eq!(seen[0], ("MODIFIED".into(), changed.resource_version().unwrap()));
    assert_eq!(seen[1].0, "DELETED");
    assert_eq!(seen[2].0, "BOOKMARK");

    // For a selector that the change left, the change is the deletion.
    let params = WatchParams::default().labels("on=yes").timeout(10);
    let mut stream = api.watch(&params, &version).await.unwrap().boxed();
    match stream.next().await.unwrap().unwrap() {
        WatchEvent::Deleted(object) => assert_eq!(object.resource_version(), changed.resource_version()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn namespaces_must_exist_and_be_alive() {
    let (server, _dir) = server().await;
    let client = server.client();
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), "nowhere");
    let error = api
        .create(&PostParams::default(), &config_map("a", "1"))
        .await
        .unwrap_err();
    assert_eq!(code(error), (404, "NotFound".into()));

    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": "nowhere"}})).unwrap();
    namespaces
        .create(&PostParams::default(), &namespace)
        .await
        .unwrap();
    api.create(&PostParams::default(), &config_map("a", "1"))
        .await
        .unwrap();
    let dying = namespaces
        .delete("nowhere", &DeleteParams::default())
        .await
        .unwrap()
        .left()
        .unwrap();
    assert_eq!(dying.status.unwrap().phase.as_deref(), Some("Terminating"));
    let error = api
        .create(&PostParams::default(), &config_map("b", "1"))
        .await
        .unwrap_err();
    assert_eq!(code(error), (403, "Forbidden".into()));
}

#[tokio::test]
async fn status_and_spec_are_written_apart_and_count_apart() {
    let (server, _dir) = server().await;
    let api: Api<Deployment> = Api::default_namespaced(server.client());
    let deployment: Deployment = serde_json::from_value(json!({
        "metadata": {"name": "a"},
        "spec": {
            "selector": {"matchLabels": {"app": "a"}},
            "template": {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
        },
        "status": {"replicas": 5},
    }))
    .unwrap();
    let created = api.create(&PostParams::default(), &deployment).await.unwrap();
    assert_eq!(created.metadata.generation, Some(1));
    assert_eq!(created.status.as_ref().and_then(|status| status.replicas), None);
    let mut with_status = created.clone();
    with_status.status = serde_json::from_value(json!({"replicas": 1})).unwrap();
    with_status.spec.replicas = Some(7);
    let after = api
        .replace_status("a", &PostParams::default(), &with_status)
        .await
        .unwrap();
    assert_eq!(after.status.as_ref().unwrap().replicas, Some(1));
    assert_ne!(after.spec.replicas, Some(7));
    assert_eq!(after.metadata.generation, Some(1));
    let mut spec = after.clone();
    spec.spec.replicas = Some(3);
    let after = api.replace("a", &PostParams::default(), &spec).await.unwrap();
    assert_eq!(after.metadata.generation, Some(2));
    let mut labels = after.clone();
    labels.labels_mut().insert("x".into(), "y".into());
    assert_eq!(
        api.replace("a", &PostParams::default(), &labels)
            .await
            .unwrap()
            .metadata
            .generation,
        Some(2)
    );
}

#[tokio::test]
async fn pods_get_their_grace_and_finalizers_are_waited_for() {
    let (server, _dir) = server().await;
    let api: Api<Pod> = Api::default_namespaced(server.client());
    let pod = |name: &str, node: Option<&str>| -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": name},
            "spec": {"nodeName": node, "containers": [{"name": "c", "image": "i"}], "terminationGracePeriodSeconds": 7},
        }))
        .unwrap()
    };
    api.create(&PostParams::default(), &pod("unscheduled", None))
        .await
        .unwrap();
    api.delete("unscheduled", &DeleteParams::default()).await.unwrap();
    assert!(api.get_opt("unscheduled").await.unwrap().is_none());

    api.create(&PostParams::default(), &pod("running", Some("node")))
        .await
        .unwrap();
    let marked = api
        .delete("running", &DeleteParams::default())
        .await
        .unwrap()
        .left()
        .unwrap();
    assert_eq!(marked.metadata.deletion_grace_period_seconds, Some(7));
    api.delete("running", &DeleteParams::default().grace_period(0))
        .await
        .unwrap();
    assert!(api.get_opt("running").await.unwrap().is_none());

    let maps: Api<ConfigMap> = Api::default_namespaced(server.client());
    let mut held = config_map("held", "1");
    held.metadata.finalizers = Some(vec!["example.com/hold".into()]);
    maps.create(&PostParams::default(), &held).await.unwrap();
    let mut marked = maps
        .delete("held", &DeleteParams::default())
        .await
        .unwrap()
        .left()
        .unwrap();
    assert!(marked.metadata.deletion_timestamp.is_some());
    marked.metadata.finalizers = None;
    maps.replace("held", &PostParams::default(), &marked)
        .await
        .unwrap();
    assert!(maps.get_opt("held").await.unwrap().is_none());
}

#[tokio::test]
async fn services_get_addresses_that_are_given_back() {
    let (server, _dir) = server().await;
    let api: Api<Service> = Api::default_namespaced(server.client());
    assert_eq!(
        api.get("kubernetes")
            .await
            .unwrap()
            .spec
            .unwrap()
            .cluster_ip
            .as_deref(),
        Some("10.96.0.1")
    );
    let service = |name: &str, ip: Option<&str>, kind: &str| -> Service {
        serde_json::from_value(json!({
            "metadata": {"name": name}, "spec": {"clusterIP": ip, "type": kind, "ports": [{"port": 80}]},
        }))
        .unwrap()
    };
    let created = api
        .create(&PostParams::default(), &service("a", None, "NodePort"))
        .await
        .unwrap();
    let spec = created.spec.clone().unwrap();
    let ip = spec.cluster_ip.clone().unwrap();
    assert!(ip.starts_with("10.96.") && spec.ports.unwrap()[0].node_port.unwrap() >= 30_000);
    let taken = api
        .create(&PostParams::default(), &service("b", Some(&ip), "ClusterIP"))
        .await
        .unwrap_err();
    assert_eq!(code(taken).0, 422);
    api.delete("a", &DeleteParams::default()).await.unwrap();
    api.create(&PostParams::default(), &service("b", Some(&ip), "ClusterIP"))
        .await
        .unwrap();
    let headless = api
        .create(&PostParams::default(), &service("c", Some("None"), "ClusterIP"))
        .await
        .unwrap();
    assert_eq!(headless.spec.unwrap().cluster_ip.as_deref(), Some("None"));
}

#[tokio::test]
async fn generated_names_differ_and_dry_runs_leave_nothing() {
    let (server, _dir) = server().await;
    let api: Api<ConfigMap> = Api::default_namespaced(server.client());
    let mut object = config_map("", "1");
    object.metadata.name = None;
    object.metadata.generate_name = Some("gen-".into());
    let a = api
        .create(&PostParams::default(), &object)
        .await
        .unwrap()
        .name_any();
    let b = api
        .create(&PostParams::default(), &object)
        .await
        .unwrap()
        .name_any();
    assert!(a != b && a.starts_with("gen-") && a.len() == 9);
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    api.create(&dry, &config_map("dry", "1")).await.unwrap();
    assert!(api.get_opt("dry").await.unwrap().is_none());
    api.delete_collection(&DeleteParams::default(), &ListParams::default())
        .await
        .unwrap();
    assert_eq!(api.list(&ListParams::default()).await.unwrap().items.len(), 0);
}

#[tokio::test]
async fn everything_survives_a_restart_and_old_versions_are_expired() {
    let (server, dir) = server().await;
    let api: Api<ConfigMap> = Api::default_namespaced(server.client());
    let created = api
        .create(&PostParams::default(), &config_map("a", "1"))
        .await
        .unwrap();
    api.create(&PostParams::default(), &config_map("b", "1"))
        .await
        .unwrap();
    server.shutdown().await;
    drop(api);
    drop(server);
    let server = common::reopen(&dir).await;
    let api: Api<ConfigMap> = Api::default_namespaced(server.client());
    assert_eq!(api.get("a").await.unwrap(), created);
    let mut stream = api
        .watch(&WatchParams::default(), &created.resource_version().unwrap())
        .await
        .unwrap()
        .boxed();
    match stream.next().await.unwrap().unwrap() {
        WatchEvent::Error(status) => assert_eq!((status.code, status.reason.as_str()), (410, "Expired")),
        other => panic!("{other:?}"),
    }
    let next = api
        .create(&PostParams::default(), &config_map("c", "1"))
        .await
        .unwrap();
    let number = |version: Option<String>| version.unwrap().parse::<u64>().unwrap();
    assert!(number(next.resource_version()) > number(created.resource_version()) + 1);
}
