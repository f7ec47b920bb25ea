//! Custom resources whose versions a webhook converts, over real TLS and in process.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use cluster_apiserver::{ApiServer, Config, Conversion};
use common::server;
use common::webhook::{WebhookServer, patched};
use futures::{StreamExt, TryStreamExt};
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams,
    PostParams, WatchEvent, WatchParams,
};
use kube::core::conversion::{ConversionRequest, ConversionResponse, ConversionReview};
use kube::{Client, Error};
use serde_json::{Value, json};

/// `v1` is stored and has `host` and `port`, `v2` has both in `address` and a label with the port.
fn definition(conversion: Value) -> Value {
    let version = |name: &str, fields: Value| {
        json!({
            "name": name, "served": true, "storage": name == "v1", "subresources": {"status": {}},
            "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                "spec": {"type": "object", "properties": fields},
                "status": {"type": "object", "properties": {"ready": {"type": "boolean"}}},
            }}},
        })
    };
    let text = json!({"type": "string"});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "sites.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "sites", "singular": "site", "kind": "Site"},
            "versions": [
                version("v1", json!({"host": text, "port": text, "mode": text})),
                version("v2", json!({"address": text, "mode": text})),
            ],
            "conversion": conversion,
        },
    })
}

fn by_webhook(url: &str, ca_bundle: &str) -> Value {
    json!({"strategy": "Webhook", "webhook": {
        "conversionReviewVersions": ["v1"], "clientConfig": {"url": url, "caBundle": ca_bundle},
    }})
}

async fn define(client: &Client, conversion: Value) {
    let created = http::Request::post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions")
        .header("content-type", "application/json")
        .body(definition(conversion).to_string().into_bytes())
        .unwrap();
    client.request::<Value>(created).await.unwrap();
}

/// What a webhook makes of one object.
fn converted(desired: &str, mut object: Value) -> Value {
    if object["apiVersion"] == desired {
        return object;
    }
    object["apiVersion"] = json!(desired);
    let spec = object["spec"].as_object_mut().unwrap();
    let text = |value: Option<Value>| match value {
        Some(Value::String(text)) => text,
        _ => String::new(),
    };
    if desired == "example.com/v2" {
        let (host, port) = (text(spec.remove("host")), text(spec.remove("port")));
        spec.insert("address".to_owned(), json!(format!("{host}:{port}")));
        object["metadata"]["labels"]["port"] = json!(port);
    } else {
        let address = text(spec.remove("address"));
        let (host, port) = address.split_once(':').unwrap_or((&address, ""));
        spec.insert("host".to_owned(), json!(host));
        spec.insert("port".to_owned(), json!(port));
        if let Some(labels) = object["metadata"]["labels"].as_object_mut() {
            labels.remove("port");
        }
    }
    object
}

fn convert_all(request: &Value) -> Value {
    let desired = request["desiredAPIVersion"].as_str().unwrap();
    let objects = request["objects"].as_array().unwrap().iter();
    let objects: Vec<Value> = objects.map(|object| converted(desired, object.clone())).collect();
    json!({"result": {"status": "Success"}, "convertedObjects": objects})
}

fn sites(client: &Client, version: &str) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("example.com", version, "Site"));
    Api::default_namespaced_with(client.clone(), &resource)
}

fn site(version: &str, name: &str, spec: Value) -> DynamicObject {
    serde_json::from_value(json!({
        "apiVersion": format!("example.com/{version}"), "kind": "Site", "metadata": {"name": name}, "spec": spec,
    }))
    .unwrap()
}

fn refused(error: Error) -> (u16, String) {
    match error {
        Error::Api(status) => (status.code, status.message.clone()),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn each_version_is_read_and_written_in_its_own_shape() {
    let hooks = WebhookServer::start(&["localhost"], Arc::new(|_, request| convert_all(request))).await;
    let (server, _dir) = server().await;
    let client = server.client();
    define(&client, by_webhook(&hooks.url("/convert"), &hooks.ca_bundle)).await;
    let (v1, v2) = (sites(&client, "v1"), sites(&client, "v2"));
    let asked = || hooks.paths().len();

    // Whoever speaks the stored version asks nobody.
    for name in ["a", "b", "c"] {
        let spec = json!({"host": name, "port": "80"});
        v1.create(&PostParams::default(), &site("v1", name, spec))
            .await
            .unwrap();
    }
    assert_eq!(v1.list(&ListParams::default()).await.unwrap().items.len(), 3);
    assert_eq!(asked(), 0);

    let shown = v2.get("a").await.unwrap();
    assert_eq!(shown.types.as_ref().unwrap().api_version, "example.com/v2");
    assert_eq!(shown.data["spec"], json!({"address": "a:80"}));
    assert_eq!(shown.metadata.uid, v1.get("a").await.unwrap().metadata.uid);
    assert_eq!((asked(), hooks.paths()[0].as_str()), (1, "/convert"));

    // A list goes as one review, and selectors see what the client would.
    let selected = v2.list(&ListParams::default().labels("port=80")).await.unwrap();
    assert_eq!((selected.items.len(), asked()), (3, 2));
    let one = v2.list(&ListParams::default().limit(1)).await.unwrap();
    assert_eq!(one.items[0].data["spec"], json!({"address": "a:80"}));
    assert_eq!(hooks.asked.lock()[2].1["objects"].as_array().unwrap().len(), 1);
    assert!(
        v1.list(&ListParams::default().labels("port=80"))
            .await
            .unwrap()
            .items
            .is_empty()
    );

    let spec = json!({"address": "d:81", "mode": "x"});
    let made = v2
        .create(&PostParams::default(), &site("v2", "d", spec.clone()))
        .await
        .unwrap();
    assert_eq!(made.data["spec"], spec);
    let stored = v1.get("d").await.unwrap();
    assert_eq!(
        stored.data["spec"],
        json!({"host": "d", "port": "81", "mode": "x"})
    );
    assert!(stored.metadata.labels.is_none());
    let merge = json!({"spec": {"address": "d:82"}});
    let patched = v2
        .patch("d", &PatchParams::default(), &Patch::Merge(&merge))
        .await
        .unwrap();
    assert_eq!(patched.metadata.generation, Some(2));
    let mut replaced = patched.clone();
    replaced.data["spec"]["mode"] = json!("y");
    v2.replace("d", &PostParams::default(), &replaced).await.unwrap();
    let ready = json!({"status": {"ready": true}});
    let status = v2
        .patch_status("d", &PatchParams::default(), &Patch::Merge(&ready))
        .await
        .unwrap();
    assert_eq!(status.data["status"], json!({"ready": true}));
    let stored = v1.get("d").await.unwrap();
    assert_eq!(
        stored.data["spec"],
        json!({"host": "d", "port": "82", "mode": "y"})
    );
    // What changes nothing is not written.
    let same = v2
        .patch("d", &PatchParams::default(), &Patch::Merge(&merge))
        .await
        .unwrap();
    assert_eq!(same.metadata.resource_version, stored.metadata.resource_version);
    let dry = PatchParams {
        dry_run: true,
        ..PatchParams::default()
    };
    let preview = json!({"spec": {"address": "e:1"}});
    let preview = v2.patch("d", &dry, &Patch::Merge(&preview)).await.unwrap();
    assert_eq!(preview.data["spec"]["address"], "e:1");
    v2.delete("d", &DeleteParams::default()).await.unwrap();
    v2.delete_collection(&DeleteParams::default(), &ListParams::default())
        .await
        .unwrap();
    assert!(v1.list(&ListParams::default()).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn watches_show_their_version_and_end_when_nobody_converts() {
    let hooks = WebhookServer::start(
        &["localhost"],
        Arc::new(|_, request| {
            if request["objects"][0]["spec"]["mode"] == "bad" {
                return json!({"result": {"status": "Failure", "message": "mode is bad"}});
            }
            convert_all(request)
        }),
    )
    .await;
    let (server, _dir) = server().await;
    let client = server.client();
    define(&client, by_webhook(&hooks.url("/"), &hooks.ca_bundle)).await;
    let (v1, v2) = (sites(&client, "v1"), sites(&client, "v2"));
    let first = site("v1", "a", json!({"host": "a", "port": "1"}));
    v1.create(&PostParams::default(), &first).await.unwrap();

    let selected = WatchParams::default().labels("port=1");
    let mut all = v2.watch(&WatchParams::default(), "0").await.unwrap().boxed();
    let mut some = v2.watch(&selected, "0").await.unwrap().boxed();
    let spec = json!({"spec": {"port": "2"}});
    v1.patch("a", &PatchParams::default(), &Patch::Merge(&spec))
        .await
        .unwrap();
    let next =
        async |watch: &mut futures::stream::BoxStream<'_, Result<WatchEvent<DynamicObject>, Error>>| {
            let event = tokio::time::timeout(Duration::from_secs(60), watch.try_next())
                .await
                .unwrap();
            match event.unwrap().unwrap() {
                WatchEvent::Added(object) => format!("added {}", object.data["spec"]["address"]),
                WatchEvent::Modified(object) => format!("modified {}", object.data["spec"]["address"]),
                WatchEvent::Deleted(object) => format!("deleted {}", object.data["spec"]["address"]),
                WatchEvent::Error(status) => status.message.clone(),
                WatchEvent::Bookmark(_) => "bookmark".to_owned(),
            }
        };
    assert_eq!(next(&mut all).await, "added \"a:1\"");
    assert_eq!(next(&mut all).await, "modified \"a:2\"");
    assert_eq!(next(&mut some).await, "added \"a:1\"");
    assert_eq!(next(&mut some).await, "deleted \"a:1\"");
    let spec = json!({"spec": {"mode": "bad"}});
    v1.patch("a", &PatchParams::default(), &Patch::Merge(&spec))
        .await
        .unwrap();
    let why = "Internal error occurred: conversion webhook for example.com/v1, Kind=Site failed: mode is bad";
    assert_eq!(next(&mut all).await, why);
    assert!(all.next().await.is_none());
    // So do reads; the stored version goes on.
    assert_eq!(refused(v2.get("a").await.unwrap_err()), (500, why.to_owned()));
    let listed = v2.list(&ListParams::default()).await.unwrap_err();
    assert_eq!(refused(listed), (500, why.to_owned()));
    v1.get("a").await.unwrap();
}

#[tokio::test]
async fn appliers_of_both_versions_keep_their_fields() {
    let hooks = WebhookServer::start(&["localhost"], Arc::new(|_, request| convert_all(request))).await;
    let (server, _dir) = server().await;
    let client = server.client();
    define(&client, by_webhook(&hooks.url("/"), &hooks.ca_bundle)).await;
    let (v1, v2) = (sites(&client, "v1"), sites(&client, "v2"));
    let config = |version: &str, spec: Value| json!({"apiVersion": format!("example.com/{version}"), "kind": "Site", "metadata": {"name": "a"}, "spec": spec});
    let (new, old) = (PatchParams::apply("new"), PatchParams::apply("old"));
    let made = Patch::Apply(config("v2", json!({"address": "a:1", "mode": "x"})));
    v2.patch("a", &new, &made).await.unwrap();
    assert_eq!(v1.get("a").await.unwrap().data["spec"]["host"], "a");
    let port = Patch::Apply(config("v1", json!({"port": "1"})));
    v1.patch("a", &old, &port).await.unwrap();
    let again = v2.patch("a", &new, &made).await.unwrap();
    let owners: Vec<(String, Value)> = again
        .metadata
        .managed_fields
        .iter()
        .flatten()
        .map(|entry| {
            (
                entry.api_version.clone().unwrap(),
                serde_json::to_value(&entry.fields_v1).unwrap(),
            )
        })
        .collect();
    assert_eq!(
        owners,
        [
            (
                "example.com/v2".to_owned(),
                json!({"f:spec": {"f:address": {}, "f:mode": {}}})
            ),
            ("example.com/v1".to_owned(), json!({"f:spec": {"f:port": {}}})),
        ]
    );
    let third = v2.patch("a", &new, &made).await.unwrap();
    assert_eq!(third.metadata.resource_version, again.metadata.resource_version);
    // What the same applier no longer names goes.
    let less = Patch::Apply(config("v2", json!({"address": "a:1"})));
    v2.patch("a", &new, &less).await.unwrap();
    let stored = v1.get("a").await.unwrap();
    assert_eq!(stored.data["spec"], json!({"host": "a", "port": "1"}));
}

#[tokio::test]
async fn admission_webhooks_see_the_version_that_they_know() {
    let hooks = WebhookServer::start(
        &["localhost"],
        Arc::new(|path, request| match path {
            "/convert" => convert_all(request),
            _ => {
                let host = request["object"]["spec"]["host"].as_str().unwrap();
                patched(&json!([{"op": "replace", "path": "/spec/host", "value": format!("{host}{host}")}]))
            }
        }),
    )
    .await;
    let (server, _dir) = server().await;
    let client = server.client();
    define(&client, by_webhook(&hooks.url("/convert"), &hooks.ca_bundle)).await;
    let configuration = json!({"metadata": {"name": "m"}, "webhooks": [{
        "name": "m.example.com", "clientConfig": {"url": hooks.url("/admit"), "caBundle": hooks.ca_bundle},
        "rules": [{"operations": ["CREATE"], "apiGroups": ["example.com"], "apiVersions": ["v1"], "resources": ["sites"]}],
        "sideEffects": "None", "admissionReviewVersions": ["v1"],
    }]});
    let path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
    let post = http::Request::post(path)
        .header("content-type", "application/json")
        .body(configuration.to_string().into_bytes())
        .unwrap();
    client.request::<Value>(post).await.unwrap();
    let spec = json!({"address": "a:1"});
    let made = sites(&client, "v2")
        .create(&PostParams::default(), &site("v2", "a", spec))
        .await;
    assert_eq!(made.unwrap().data["spec"]["address"], "aa:1");
}

#[tokio::test]
async fn without_its_webhook_only_the_stored_version_works_and_all_can_be_removed() {
    let (server, _dir) = server().await;
    let client = server.client();
    let closed = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("https://localhost:{}/", listener.local_addr().unwrap().port())
    };
    define(&client, by_webhook(&closed, "")).await;
    let (v1, v2) = (sites(&client, "v1"), sites(&client, "v2"));
    let made = site("v1", "a", json!({"host": "a", "port": "1"}));
    v1.create(&PostParams::default(), &made).await.unwrap();
    let (code, message) = refused(v2.get("a").await.unwrap_err());
    assert_eq!(code, 500);
    assert!(message.contains("Connection refused"), "{message}");
    let refusal = v2
        .create(
            &PostParams::default(),
            &site("v2", "b", json!({"address": "b:1"})),
        )
        .await;
    assert_eq!(refused(refusal.unwrap_err()).0, 500);
    assert!(v1.get_opt("b").await.unwrap().is_none());

    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/sites.example.com";
    let delete = http::Request::delete(path).body(Vec::new()).unwrap();
    client.request::<Value>(delete).await.unwrap();
    let gone = async {
        while client
            .request::<Value>(http::Request::get(path).body(Vec::new()).unwrap())
            .await
            .is_ok()
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), gone).await.unwrap();
}

#[tokio::test]
async fn handlers_in_process_are_asked_wherever_the_definition_points() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::ephemeral(dir.path());
    config.conversions = vec![Conversion {
        definition: "sites.example.com".to_owned(),
        handler: Arc::new(|review: ConversionReview| async {
            let request = ConversionRequest::from_review(review).unwrap();
            let desired = request.desired_api_version.clone();
            let objects = request.objects.clone();
            let objects = objects
                .into_iter()
                .map(|object| converted(&desired, object))
                .collect();
            ConversionResponse::for_request(request)
                .success(objects)
                .into_review()
        }),
    }];
    let server = ApiServer::open(config).await.unwrap();
    let client = server.client();
    define(&client, by_webhook("https://localhost:1/", "")).await;
    let spec = json!({"address": "a:1"});
    sites(&client, "v2")
        .create(&PostParams::default(), &site("v2", "a", spec))
        .await
        .unwrap();
    assert_eq!(
        sites(&client, "v1").get("a").await.unwrap().data["spec"]["port"],
        "1"
    );
}
