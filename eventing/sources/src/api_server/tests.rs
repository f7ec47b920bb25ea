use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::*;
use crate::test_support::{Received, api, received, sink, start};

/// A source as the control plane leaves it when its sink is resolved.
async fn source(client: &kube::Client, spec: Value, sink: &str) {
    let sources: Api<ApiServerSource> = Api::namespaced(client.clone(), "default");
    let source: ApiServerSource = serde_json::from_value(json!({
        "apiVersion": "sources.knative.dev/v1", "kind": "ApiServerSource", "metadata": {"name": "watch"}, "spec": spec,
    }))
    .unwrap();
    let source = sources.create(&PostParams::default(), &source).await.unwrap();
    let status = json!({"status": {
        "sinkUri": sink, "observedGeneration": source.metadata.generation, "namespaces": ["default"],
        "conditions": [{"type": "SufficientPermissions", "status": "True"}],
    }});
    sources
        .patch_status("watch", &PatchParams::default(), &Patch::Merge(status))
        .await
        .unwrap();
}

/// Creates maps until one is reported: only then the watch is known to run.
async fn watched(maps: &Api<ConfigMap>, events: &mut Received) {
    for number in 0.. {
        let map = map(&format!("probe-{number}"), "yes");
        maps.create(&PostParams::default(), &map).await.unwrap();
        if tokio::time::timeout(std::time::Duration::from_millis(300), events.recv())
            .await
            .is_ok()
        {
            break;
        }
    }
    // What was created between the list and the first report is reported, too.
    while tokio::time::timeout(std::time::Duration::from_millis(300), events.recv())
        .await
        .is_ok()
    {}
}

fn map(name: &str, wanted: &str) -> ConfigMap {
    serde_json::from_value(
        json!({"metadata": {"name": name, "labels": {"wanted": wanted}}, "data": {"a": "b"}}),
    )
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_posted_and_nothing_else() {
    let api = api().await;
    let maps: Api<ConfigMap> = Api::namespaced(api.client(), "default");
    maps.create(&PostParams::default(), &map("before", "yes"))
        .await
        .unwrap();
    let (url, mut events) = sink(Vec::new()).await;
    let selector = json!({"matchLabels": {"wanted": "yes"}});
    let spec = json!({
        "mode": "Reference", "sink": {"uri": url}, "serviceAccountName": "default",
        "resources": [{"apiVersion": "v1", "kind": "ConfigMap", "selector": selector}],
    });
    source(&api.client(), spec, &url).await;
    let running = start(&api);
    watched(&maps, &mut events).await;

    maps.create(&PostParams::default(), &map("other", "no"))
        .await
        .unwrap();
    maps.create(&PostParams::default(), &map("one", "yes"))
        .await
        .unwrap();
    let added = received(&mut events).await;
    assert_eq!(added.type_, "dev.knative.apiserver.ref.add");
    let text = |name: &str| added.get(name).unwrap().text().into_owned();
    assert_eq!(text("subject"), "/apis/v1/namespaces/default/configmaps/one");
    assert_eq!(
        [text("apiversion"), text("kind"), text("namespace"), text("name")],
        ["v1", "ConfigMap", "default", "one"]
    );
    let data: Value = serde_json::from_slice(added.data.as_ref().unwrap()).unwrap();
    assert_eq!(
        data,
        json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "one", "namespace": "default"})
    );

    // The mode changes, the watch goes on: the next change is one of an object that is known.
    let sources: Api<ApiServerSource> = Api::namespaced(api.client(), "default");
    let change = Patch::Merge(json!({"spec": {"mode": "Resource"}}));
    let changed = sources
        .patch("watch", &PatchParams::default(), &change)
        .await
        .unwrap();
    // Until somebody has looked at the new spec, the old one holds; no change goes unseen.
    for number in 0..3 {
        let change = Patch::Merge(json!({"data": {"early": number.to_string()}}));
        maps.patch("one", &PatchParams::default(), &change).await.unwrap();
        let early = received(&mut events).await;
        assert_eq!(early.type_, "dev.knative.apiserver.ref.update");
    }
    let observed = Patch::Merge(json!({"status": {"observedGeneration": changed.metadata.generation}}));
    sources
        .patch_status("watch", &PatchParams::default(), &observed)
        .await
        .unwrap();
    let mut number = 0;
    let updated = loop {
        number += 1;
        let change = Patch::Merge(json!({"data": {"a": number.to_string()}}));
        maps.patch("one", &PatchParams::default(), &change).await.unwrap();
        let event = received(&mut events).await;
        if event.type_ != "dev.knative.apiserver.ref.update" {
            break event;
        }
    };
    assert_eq!(updated.type_, "dev.knative.apiserver.resource.update");
    let data: Value = serde_json::from_slice(updated.data.as_ref().unwrap()).unwrap();
    assert_eq!(
        (&data["data"]["a"], &data["kind"]),
        (&json!(number.to_string()), &json!("ConfigMap"))
    );

    maps.delete("one", &DeleteParams::default()).await.unwrap();
    let deleted = received(&mut events).await;
    assert_eq!(deleted.type_, "dev.knative.apiserver.resource.delete");
    running.abort();
}
