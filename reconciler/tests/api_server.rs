//! Leases and applies against an API server: the embedded one, or a real one (see `test-api`).

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use reconciler::leases::{Election, Timing};
use reconciler::{Applied, Applier, Caches, Error};
use serde_json::{Value, json};
use test_api::TestApi;

async fn server() -> (Client, TestApi) {
    let api = TestApi::start().await;
    (api.client(), api)
}

fn map(name: &str, data: Value) -> ConfigMap {
    let map = json!({"metadata": {"name": name, "namespace": "default"}, "data": data});
    serde_json::from_value(map).unwrap()
}

fn timing() -> Timing {
    Timing {
        lease: Duration::from_secs(1),
        renew_deadline: Duration::from_millis(800),
        retry: Duration::from_millis(100),
    }
}

#[tokio::test]
async fn lease_has_one_holder_and_passes_on_when_it_dies_or_leaves() {
    let (client, _api) = server().await;
    let candidate = |identity: &str| {
        let name = "Controller.Test.00-of-01";
        let election = Election::new(client.clone(), "default", name, identity, timing());
        (election.leadership(), election)
    };
    let within = Duration::from_secs(20);

    let (mut first, election) = candidate("first_1");
    let task = tokio::spawn(election.run(std::future::pending()));
    tokio::time::timeout(within, first.gained()).await.unwrap();

    let (mut second, election) = candidate("second_2");
    let (leave, left) = tokio::sync::oneshot::channel::<()>();
    let leaving = tokio::spawn(election.run(async move { drop(left.await) }));
    assert!(!second.is_leader());
    task.abort();
    tokio::time::timeout(within, second.gained()).await.unwrap();

    let (mut third, election) = candidate("third_3");
    let last = tokio::spawn(election.run(std::future::pending()));
    leave.send(()).unwrap();
    leaving.await.unwrap();
    assert!(!second.is_leader(), "one that leaves does not lead");
    tokio::time::timeout(within, third.gained()).await.unwrap();
    last.abort();
}

#[tokio::test]
async fn apply_creates_skips_takes_back_and_refuses() {
    let (client, _api) = server().await;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
    let owner = maps
        .create(&PostParams::default(), &map("owner", json!({})))
        .await
        .unwrap();
    let stranger = maps
        .create(&PostParams::default(), &map("stranger", json!({})))
        .await
        .unwrap();
    let caches = Caches::new(client.clone());
    let cache = caches.cache::<ConfigMap>();
    cache.synced().await;
    let applier = Applier::new(client.clone(), "test-controller");

    let wanted = map("child", json!({"a": "1", "b": "2"}));
    let created = applier.apply(&owner, &cache, wanted.clone()).await.unwrap();
    assert!(created.is_created());
    let again = applier.apply(&owner, &cache, wanted.clone()).await.unwrap();
    assert!(matches!(again, Applied::Unchanged(_)), "nothing to write");

    let foreign = json!({"data": {"theirs": "x"}});
    maps.patch("child", &PatchParams::default(), &Patch::Merge(foreign))
        .await
        .unwrap();
    let less = applier
        .apply(&owner, &cache, map("child", json!({"a": "1"})))
        .await
        .unwrap();
    assert!(matches!(less, Applied::Updated(_)));
    let data = less.object().data.clone().unwrap();
    assert_eq!(
        data.keys().collect::<Vec<_>>(),
        ["a", "theirs"],
        "own leftovers go, those of others stay"
    );

    let refused = applier.apply(&stranger, &cache, wanted).await.unwrap_err();
    assert!(matches!(&refused, Error::NotOwned { name, .. } if name == "child"));
    assert_eq!(
        refused.to_string(),
        "There is an existing ConfigMap \"child\" that we do not own."
    );
    let taken = applier
        .apply(&owner, &cache, map("stranger", json!({"a": "1"})))
        .await
        .unwrap_err();
    assert!(matches!(taken, Error::NotOwned { .. }));
    let untouched = maps.get("stranger").await.unwrap();
    assert_eq!(untouched.resource_version(), stranger.resource_version());
}

#[tokio::test]
async fn cache_follows_the_server() {
    let (client, _api) = server().await;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
    maps.create(&PostParams::default(), &map("before", json!({})))
        .await
        .unwrap();
    let caches = Caches::new(client);
    let cache = caches.cache::<ConfigMap>();
    let (changed, mut changes) = tokio::sync::mpsc::unbounded_channel();
    cache.on_change(move |change| {
        let name = change
            .latest()
            .map(|object| object.name_any())
            .unwrap_or_default();
        changed.send((name, change.new.is_some())).unwrap();
    });
    cache.synced().await;
    assert!(cache.named("default", "before").is_some());
    maps.create(&PostParams::default(), &map("after", json!({})))
        .await
        .unwrap();
    maps.delete("before", &Default::default()).await.unwrap();
    let mut wanted = vec![("after".to_owned(), true), ("before".to_owned(), false)];
    while !wanted.is_empty() {
        let change = tokio::time::timeout(Duration::from_secs(20), changes.recv())
            .await
            .unwrap()
            .unwrap();
        wanted.retain(|known| *known != change);
    }
    assert!(cache.named("default", "before").is_none() && cache.named("default", "after").is_some());
}
