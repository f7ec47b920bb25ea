use std::sync::atomic::{AtomicBool, Ordering};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::*;
use crate::test_support::{PATIENCE, Received, SYSTEM, api, received, sink, start, start_on};

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

/// A process that sends; it ends where it stands.
async fn kill(running: tokio::task::JoinHandle<()>) {
    running.abort();
    let _ = running.await;
}

fn all_maps(url: &str) -> Value {
    json!({
        "mode": "Reference", "sink": {"uri": url}, "serviceAccountName": "default",
        "resources": [{"apiVersion": "v1", "kind": "ConfigMap"}],
    })
}

/// Waits until a place is stored from which nothing before `version` is told again.
async fn stored(client: &kube::Client, version: &str) {
    let records: Api<ConfigMap> = Api::namespaced(client.clone(), SYSTEM);
    let wanted: u64 = version.parse().unwrap();
    let wait = async {
        loop {
            let record = records.get_opt("apiserversource-places").await.unwrap();
            let texts = record.and_then(|record| record.data).unwrap_or_default();
            let far = texts.values().any(|text| {
                let places: HashMap<String, String> = serde_json::from_str(text).unwrap();
                places.values().any(|place| {
                    let version = place.split(' ').next().unwrap();
                    version.parse::<u64>().unwrap() >= wanted
                })
            });
            if far {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait)
        .await
        .expect("the place is stored in time");
}

/// What came to a sink, each event once.
struct Told {
    events: Received,
    ids: HashSet<String>,
}

impl Told {
    fn new(events: Received) -> Self {
        Self {
            events,
            ids: HashSet::new(),
        }
    }

    /// Verb and name of the next event that does not tell of a probe.
    async fn next(&mut self) -> String {
        loop {
            let event = received(&mut self.events).await;
            let name = event.get("name").unwrap().text().into_owned();
            if self.ids.insert(event.id.to_string()) && !name.starts_with("probe-") {
                let verb = event.type_.rsplit('.').next().unwrap();
                return format!("{verb} {name}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_over_tells_what_changed_meanwhile() {
    let api = api().await;
    let client = api.client();
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
    let (create, nothing) = (PostParams::default(), DeleteParams::default());
    let change = Patch::Merge(json!({"data": {"a": "1"}}));
    for name in ["stays", "changes", "goes"] {
        maps.create(&create, &map(name, "yes")).await.unwrap();
    }
    let (url, mut events) = sink(Vec::new()).await;
    source(&client, all_maps(&url), &url).await;
    let running = start(&api);
    watched(&maps, &mut events).await;
    let seen = maps.create(&create, &map("seen", "yes")).await.unwrap();
    let mut told = Told::new(events);
    assert_eq!(told.next().await, "add seen");
    stored(&client, &seen.metadata.resource_version.unwrap()).await;
    kill(running).await;

    maps.create(&create, &map("comes", "yes")).await.unwrap();
    maps.patch("changes", &PatchParams::default(), &change)
        .await
        .unwrap();
    maps.delete("goes", &nothing).await.unwrap();
    maps.create(&create, &map("passes", "yes")).await.unwrap();
    maps.delete("passes", &nothing).await.unwrap();
    let running = start(&api);
    for expected in [
        "add comes",
        "update changes",
        "delete goes",
        "add passes",
        "delete passes",
    ] {
        assert_eq!(told.next().await, expected);
    }
    // It goes on from there, and knows all that is there.
    maps.delete("stays", &nothing).await.unwrap();
    assert_eq!(told.next().await, "delete stays");
    kill(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_is_forgotten_is_made_up_for_by_a_list() {
    let api = api().await;
    let client = api.client();
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
    for name in ["stays", "changes"] {
        maps.create(&PostParams::default(), &map(name, "yes"))
            .await
            .unwrap();
    }
    let (url, mut events) = sink(Vec::new()).await;
    source(&client, all_maps(&url), &url).await;
    let running = start(&api);
    watched(&maps, &mut events).await;
    stored(&client, "1").await;
    kill(running).await;

    // As if the API server had no history so old: it refuses a place that it never gave.
    let sources: Api<ApiServerSource> = Api::namespaced(client.clone(), "default");
    let uid = sources.get("watch").await.unwrap().metadata.uid.unwrap();
    let now = maps.list(&Default::default()).await.unwrap();
    let version = now.metadata.resource_version.unwrap();
    let text = json!({"v1 ConfigMap default ": format!("{version} {}", jiff::Timestamp::now())});
    let record = Patch::Merge(json!({"data": {uid: text.to_string()}}));
    let records: Api<ConfigMap> = Api::namespaced(client.clone(), SYSTEM);
    records
        .patch("apiserversource-places", &PatchParams::default(), &record)
        .await
        .unwrap();
    let change = Patch::Merge(json!({"data": {"a": "1"}}));
    maps.patch("changes", &PatchParams::default(), &change)
        .await
        .unwrap();
    maps.create(&PostParams::default(), &map("comes", "yes"))
        .await
        .unwrap();
    let running = start_on(forgetful(client, version));
    // In the order of the list. Which of them is new is told by the second of its creation, and these are of one.
    let (mut told, mut names) = (Told::new(events), Vec::new());
    for _ in 0..2 {
        names.push(told.next().await.split(' ').next_back().unwrap().to_owned());
    }
    assert_eq!(names, ["changes", "comes"]);
    // It goes on from there.
    maps.delete("stays", &DeleteParams::default()).await.unwrap();
    assert_eq!(told.next().await, "delete stays");
    kill(running).await;
}

/// A client of an API server that knows nothing of `version` when it is asked to watch from there.
fn forgetful(client: kube::Client, version: String) -> kube::Client {
    let place = format!("resourceVersion={version}");
    let answer = move |request: http::Request<kube::client::Body>| {
        let (client, place) = (client.clone(), place.clone());
        async move {
            let query = request.uri().query().unwrap_or_default();
            let watches = query
                .split('&')
                .any(|pair| pair == "watch=true" || pair == "watch=1");
            if watches && query.split('&').any(|pair| pair == place) {
                let status = json!({
                    "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "code": 410,
                    "message": "too old resource version",
                });
                let body = kube::client::Body::from(status.to_string().into_bytes());
                return Ok(http::Response::builder().status(410).body(body).unwrap());
            }
            client.send(request).await
        }
    };
    kube::Client::new(tower::service_fn(answer), "default")
}

/// A client of an API server that lists maps of the namespace `default` only while `permits` is true.
fn strict(client: kube::Client, permits: Arc<AtomicBool>) -> kube::Client {
    let answer = move |request: http::Request<kube::client::Body>| {
        let (client, permits) = (client.clone(), permits.clone());
        async move {
            let refused = request.uri().path() == "/api/v1/namespaces/default/configmaps";
            if refused && !permits.load(Ordering::SeqCst) {
                let status = json!({
                    "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "code": 403,
                    "message": "configmaps is forbidden",
                });
                let body = kube::client::Body::from(status.to_string().into_bytes());
                return Ok(http::Response::builder().status(403).body(body).unwrap());
            }
            client.send(request).await
        }
    };
    kube::Client::new(tower::service_fn(answer), "default")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_to_the_sender_is_told_in_the_status_until_it_is_granted() {
    let api = api().await;
    let client = api.client();
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
    let (url, mut events) = sink(Vec::new()).await;
    source(&client, all_maps(&url), &url).await;
    let permits = Arc::new(AtomicBool::new(false));
    let running = start_on(strict(client.clone(), permits.clone()));
    let sources: Api<ApiServerSource> = Api::namespaced(client, "default");
    let told = async |expected: Option<&str>| {
        let wait = async {
            loop {
                let status = sources.get("watch").await.unwrap().status.unwrap();
                let annotations = status.annotations.unwrap_or_default();
                let told = annotations.get("sources.spindrift.dev/refused");
                if told.map(String::as_str) == expected {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, wait).await;
        waited.unwrap_or_else(|_| panic!("{expected:?} is told in time"));
    };
    told(Some("configmaps is forbidden")).await;
    // What the control plane makes of it: the sender goes on trying.
    let refused = Patch::Merge(json!({"status": {"conditions": [
        {"type": "SufficientPermissions", "status": "False", "reason": "SenderNotPermitted"},
    ]}}));
    let params = PatchParams::default();
    sources.patch_status("watch", &params, &refused).await.unwrap();
    permits.store(true, Ordering::SeqCst);
    told(None).await;
    watched(&maps, &mut events).await;
    running.abort();
}
