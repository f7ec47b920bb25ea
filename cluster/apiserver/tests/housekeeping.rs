//! What the server does by itself: old events go, names of definitions are given on, health is told.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use cluster_apiserver::{ApiServer, Config};
use common::server;
use k8s_openapi::api::core::v1::Event;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Client;
use kube::api::{Api, DeleteParams, PostParams};
use kube::runtime::wait::{await_condition, conditions};
use serde_json::{Value, json};

async fn raw(client: &Client, path: &str) -> String {
    let request = http::Request::get(path).body(Vec::new()).unwrap();
    client.request_text(request).await.unwrap()
}

#[tokio::test]
async fn events_are_forgotten_an_hour_after_their_last_report() {
    let dir = tempfile::tempdir().unwrap();
    let start = jiff::Timestamp::now();
    let at = |hours: i64| {
        let mut config = Config::ephemeral(dir.path());
        let now = start + jiff::SignedDuration::from_mins(hours * 60 + 1);
        config.clock = Arc::new(move || now);
        config
    };
    let server = ApiServer::open(at(0)).await.unwrap();
    let event = |name: &str, hours: i64| -> Event {
        let seen = start + jiff::SignedDuration::from_hours(hours);
        serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": "default"}, "reason": "Test", "lastTimestamp": seen.to_string(),
            "involvedObject": {"kind": "Pod", "namespace": "default", "name": "p"},
        }))
        .unwrap()
    };
    let events: Api<Event> = Api::default_namespaced(server.client());
    for (name, hours) in [("old", 0), ("repeated", 1)] {
        events
            .create(&PostParams::default(), &event(name, hours))
            .await
            .unwrap();
    }
    server.shutdown().await;
    drop(server);
    let server = ApiServer::open(at(1)).await.unwrap();
    let events: Api<Event> = Api::default_namespaced(server.client());
    let gone = tokio::time::timeout(
        Duration::from_secs(30),
        await_condition(events.clone(), "old", |event: Option<&Event>| event.is_none()),
    );
    gone.await.unwrap().unwrap();
    events.get("repeated").await.unwrap();
}

fn definition(plural: &str, kind: &str, short: &str) -> CustomResourceDefinition {
    serde_json::from_value(json!({
        "metadata": {"name": format!("{plural}.example.com")},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": plural, "singular": plural.trim_end_matches('s'), "kind": kind,
                      "listKind": format!("{kind}List"), "shortNames": [short]},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}}],
        },
    }))
    .unwrap()
}

#[tokio::test]
async fn a_definition_waits_until_its_names_are_free() {
    let (server, _dir) = server().await;
    let client = server.client();
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let post = PostParams::default();
    definitions
        .create(&post, &definition("tests", "Test", "t"))
        .await
        .unwrap();
    let second = definitions
        .create(&post, &definition("trials", "Trial", "t"))
        .await
        .unwrap();
    let status = serde_json::to_value(second.status).unwrap();
    assert_eq!(status["conditions"][0]["reason"], "ShortNamesConflict");
    assert_eq!(status["conditions"][1]["reason"], "NotAccepted");
    let served = |document: String| {
        let document: Value = serde_json::from_str(&document).unwrap();
        let names: Vec<String> = document["resources"]
            .as_array()
            .unwrap()
            .iter()
            .map(|resource| resource["name"].as_str().unwrap().to_owned())
            .collect();
        names
    };
    assert_eq!(served(raw(&client, "/apis/example.com/v1").await), ["tests"]);
    definitions
        .delete("tests.example.com", &DeleteParams::default())
        .await
        .unwrap();
    let established = await_condition(
        definitions,
        "trials.example.com",
        conditions::is_crd_established(),
    );
    tokio::time::timeout(Duration::from_secs(30), established)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(served(raw(&client, "/apis/example.com/v1").await), ["trials"]);
}

#[tokio::test]
async fn health_is_told_part_by_part() {
    let (server, _dir) = server().await;
    let client = server.client();
    assert_eq!(raw(&client, "/livez").await, "ok");
    assert_eq!(
        raw(&client, "/readyz?verbose").await,
        "[+]ping ok\n[+]etcd ok\n[+]shutdown ok\nreadyz check passed\n"
    );
    assert_eq!(
        raw(&client, "/livez?verbose&exclude=etcd").await,
        "[+]ping ok\n[+]etcd excluded: ok\nlivez check passed\n"
    );
    assert_eq!(raw(&client, "/healthz/etcd").await, "ok");
    let nowhere = http::Request::get("/livez/nowhere").body(Vec::new()).unwrap();
    assert!(client.request_text(nowhere).await.is_err());
}
