//! YAML as people have it, through admission, becomes ready; what is wrong is refused in the words of the peers.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

use std::sync::Arc;

use cluster_apiserver::{Admission, ApiServer, Config, Rule};
use eventing::admission::{Review, Settings, WEBHOOKS, Webhook, handle};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, PostParams};
use kube::runtime::{conditions::is_crd_established, wait::await_condition};
use serde_json::{Value, json};
use test_api::eventually;

fn admission() -> Vec<Admission> {
    let all = Webhook::ALL.into_iter().map(|webhook| Admission {
        name: WEBHOOKS.name(webhook),
        mutating: webhook.is_mutating(),
        rules: WEBHOOKS
            .rules(webhook)
            .into_iter()
            .map(|rule| Rule {
                operations: rule.operations.unwrap_or_default(),
                groups: rule.api_groups.unwrap_or_default(),
                versions: rule.api_versions.unwrap_or_default(),
                resources: rule.resources.unwrap_or_default(),
            })
            .collect(),
        only: None,
        handler: Arc::new(move |review: Review| {
            std::future::ready(handle(webhook, review, &Settings::default()))
        }),
    });
    all.collect()
}

struct Home {
    client: Client,
    controllers: tokio::task::JoinHandle<()>,
    _server: ApiServer,
    _dir: tempfile::TempDir,
}

impl Drop for Home {
    fn drop(&mut self) {
        self.controllers.abort();
    }
}

impl Home {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = Config {
            admission: admission(),
            ..Config::ephemeral(dir.path())
        };
        let server = ApiServer::open(config).await.unwrap();
        let client = server.client();
        let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
        for definition in crds::all() {
            definitions
                .create(&PostParams::default(), &definition)
                .await
                .unwrap();
            let name = definition.metadata.name.unwrap();
            await_condition(definitions.clone(), &name, is_crd_established())
                .await
                .unwrap();
        }
        let home = Self {
            controllers: tokio::spawn(eventing::run(client.clone(), eventing::Config::default())),
            client,
            _server: server,
            _dir: dir,
        };
        home.apply("{apiVersion: v1, kind: Namespace, metadata: {name: knative-eventing}}")
            .await
            .unwrap();
        for map in crds::config::events::defaults_manifests() {
            let api: Api<k8s_openapi::api::core::v1::ConfigMap> =
                Api::namespaced(home.client.clone(), "knative-eventing");
            api.create(&PostParams::default(), &map).await.unwrap();
        }
        let slice = "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4, \
            metadata: {name: broker-ingress, namespace: knative-eventing, labels: {kubernetes.io/service-name: broker-ingress}}, \
            endpoints: [{addresses: [10.1.2.3]}]}";
        home.apply(slice).await.unwrap();
        home
    }

    fn api(&self, kind: &Value, namespace: Option<&str>) -> Api<DynamicObject> {
        let text = |name: &str| kind[name].as_str().unwrap_or_default().to_owned();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", &api_version));
        let gvk = kube::api::GroupVersionKind::gvk(group, version, &kind);
        let mut resource = ApiResource::from_gvk(&gvk);
        // The guess knows no names that end in a vowel and a `y`.
        resource.plural = resource.plural.replace("replys", "replies");
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        }
    }

    async fn apply(&self, yaml: &str) -> Result<DynamicObject, kube::Error> {
        let object: Value = serde_saphyr::from_str(yaml).unwrap();
        let namespace = match object["kind"].as_str() {
            Some("Namespace") => None,
            _ => Some(object["metadata"]["namespace"].as_str().unwrap_or("default")),
        };
        let api = self.api(&object, namespace);
        let object: DynamicObject = serde_json::from_value(object.clone()).unwrap();
        api.create(&PostParams::default(), &object).await
    }

    async fn refusal(&self, yaml: &str) -> String {
        match self.apply(yaml).await {
            Err(kube::Error::Api(status)) => status.message.clone(),
            other => panic!("not refused: {other:?}"),
        }
    }

    async fn ready(&self, api_version: &str, kind: &str, name: &str) -> Value {
        let api = self.api(&json!({"apiVersion": api_version, "kind": kind}), Some("default"));
        eventually(&format!("{kind} {name} to be ready"), async || {
            let object = serde_json::to_value(api.get(name).await.ok()?).ok()?;
            let all = object["status"]["conditions"].as_array()?.clone();
            let ready = all
                .iter()
                .any(|found| found["type"] == "Ready" && found["status"] == "True");
            ready.then_some(object)
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_have_becomes_ready() {
    let home = Home::start().await;
    for yaml in [
        "{apiVersion: v1, kind: Service, metadata: {name: display}, spec: {ports: [{port: 80}]}}",
        "{apiVersion: eventing.knative.dev/v1, kind: Broker, metadata: {name: default}}",
        "{apiVersion: eventing.knative.dev/v1, kind: Trigger, metadata: {name: hello}, spec: {broker: default, \
          filter: {attributes: {type: dev.example.hello}}, subscriber: {ref: {apiVersion: v1, kind: Service, name: display}}}}",
        "{apiVersion: messaging.knative.dev/v1, kind: InMemoryChannel, metadata: {name: bare}}",
        "{apiVersion: messaging.knative.dev/v1, kind: Channel, metadata: {name: orders}}",
        "{apiVersion: messaging.knative.dev/v1, kind: Subscription, metadata: {name: sub}, spec: {channel: \
          {apiVersion: messaging.knative.dev/v1, kind: Channel, name: orders}, subscriber: {ref: {apiVersion: v1, kind: Service, name: display}}}}",
        "{apiVersion: flows.knative.dev/v1, kind: Sequence, metadata: {name: steps}, spec: {steps: [{uri: 'http://a.b'}], \
          reply: {ref: {apiVersion: eventing.knative.dev/v1, kind: Broker, name: default}}}}",
        "{apiVersion: flows.knative.dev/v1, kind: Parallel, metadata: {name: branches}, spec: {branches: [{subscriber: {uri: 'http://a.b'}}]}}",
    ] {
        home.apply(yaml)
            .await
            .unwrap_or_else(|error| panic!("{yaml}: {error}"));
    }
    let broker = home.ready("eventing.knative.dev/v1", "Broker", "default").await;
    assert_eq!(broker["spec"]["delivery"]["backoffDelay"], "PT0.2S");
    let trigger = home.ready("eventing.knative.dev/v1", "Trigger", "hello").await;
    assert_eq!(
        trigger["metadata"]["labels"]["eventing.knative.dev/broker"],
        "default"
    );
    assert_eq!(trigger["spec"]["subscriber"]["ref"]["namespace"], "default");
    for kind in ["InMemoryChannel", "Channel", "Subscription"] {
        let name = match kind {
            "InMemoryChannel" => "bare",
            "Channel" => "orders",
            _ => "sub",
        };
        home.ready("messaging.knative.dev/v1", kind, name).await;
    }
    home.ready("flows.knative.dev/v1", "Sequence", "steps").await;
    home.ready("flows.knative.dev/v1", "Parallel", "branches").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_refused_in_the_words_of_the_peers() {
    let home = Home::start().await;
    let trigger = |spec: &str| {
        format!("{{apiVersion: eventing.knative.dev/v1, kind: Trigger, metadata: {{name: t}}, spec: {spec}}}")
    };
    let subscriber = "subscriber: {uri: 'http://a.b'}";
    for (spec, expected) in [
        (
            format!("{{broker: b, brocker: x, {subscriber}}}"),
            "admission webhook \"webhook.eventing.knative.dev\" denied the request: mutation failed: cannot decode incoming \
             new object: json: unknown field \"brocker\"",
        ),
        (
            "{broker: b, subscriber: {ref: {apiVersion: v1, kind: Service, name: s, nmespace: x}}}"
                .to_owned(),
            "admission webhook \"webhook.eventing.knative.dev\" denied the request: mutation failed: cannot decode incoming \
             new object: json: unknown field \"nmespace\"",
        ),
        (
            format!("{{{subscriber}}}"),
            "admission webhook \"validation.webhook.eventing.knative.dev\" denied the request: validation failed: \
             missing field(s): spec.broker",
        ),
    ] {
        assert_eq!(home.refusal(&trigger(&spec)).await, expected, "{spec}");
    }
}
