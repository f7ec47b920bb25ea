//! A data plane that runs.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use broker::model::Backend;
use broker::{Allowed, BrokerError, Config, Limits};
use crds::eventing::{Broker, Trigger};
use event_store::{Log, Options, Store, Topic};
use informer::Caches;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use prometheus::Registry;
use serde_json::{Value, json};
use test_api::TestApi;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Producer, eventually};

/// A running data plane.
pub struct Plane {
    /// `http://127.0.0.1:<port>`
    pub url: String,
    /// `https://127.0.0.1:<port>`
    pub secure_url: String,
    pub producer: Producer,
    pub store: Arc<dyn Store>,
    pub registry: Registry,
    shutdown: CancellationToken,
    running: JoinHandle<Result<(), BrokerError>>,
}

/// How a plane differs from the usual.
#[derive(Default)]
pub struct Setup {
    pub limits: Limits,
    pub options: Options,
}

/// An API server that knows the kinds of events.
pub async fn api() -> TestApi {
    let api = TestApi::start().await;
    let definitions: Vec<_> = crds::all()
        .into_iter()
        .filter(|definition| {
            ["eventing.knative.dev", "messaging.knative.dev"].contains(&definition.spec.group.as_str())
        })
        .collect();
    api.define(&definitions).await;
    api
}

impl Plane {
    pub async fn start(api: &TestApi, folder: &Path, setup: Setup) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let secure = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let secure_url = format!("https://{}", secure.local_addr().unwrap());
        let store: Arc<dyn Store> = Arc::new(Log::open(folder, setup.options).unwrap());
        let shutdown = CancellationToken::new();
        let registry = Registry::new();
        let config = Config {
            caches: Caches::new(api.client()),
            system_namespace: crds::names::EVENTING_NAMESPACE.to_owned(),
            listeners: vec![listener],
            secure_listeners: vec![secure],
            stores: HashMap::from([(Backend::Embedded, store.clone())]),
            dns: None,
            cluster_domain: "cluster.local".to_owned(),
            // Subscribers of tests are on this machine.
            allowed: Allowed::ALL,
            registry: registry.clone(),
            shutdown: shutdown.clone(),
            grace: Duration::from_secs(5),
            limits: setup.limits,
            serving: Arc::default(),
        };
        Self {
            url,
            secure_url,
            producer: Producer::default(),
            store,
            registry,
            shutdown,
            running: tokio::spawn(broker::run(config)),
        }
    }

    /// Ends it in order, so that its folder can be used again.
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.running.await.unwrap().unwrap();
        self.store.close().await;
    }

    /// Waits until a path is known, and says where it is.
    pub async fn serves(&self, path: &str) -> String {
        let url = format!("{}{path}", self.url);
        eventually(path, async || {
            let answer = self.producer.event(&url, "", &[], "").await;
            (answer.status == 400).then_some(())
        })
        .await;
        url
    }
}

pub async fn broker(api: &TestApi, name: &str) -> Topic {
    let brokers: Api<Broker> = Api::namespaced(api.client(), "default");
    let broker = json!({
        "apiVersion": "eventing.knative.dev/v1", "kind": "Broker",
        "metadata": {"name": name, "annotations": {"eventing.knative.dev/broker.class": "MTChannelBasedBroker"}},
        "spec": {},
    });
    let broker = serde_json::from_value(broker).unwrap();
    let broker = brokers.create(&PostParams::default(), &broker).await.unwrap();
    Topic::new(broker.metadata.uid.unwrap()).unwrap()
}

/// A trigger whose subscriber is resolved, as the control plane would.
pub async fn trigger(api: &TestApi, name: &str, spec: Value, subscriber: &str) {
    let triggers: Api<Trigger> = Api::namespaced(api.client(), "default");
    let trigger = json!({
        "apiVersion": "eventing.knative.dev/v1", "kind": "Trigger",
        "metadata": {"name": name}, "spec": spec,
    });
    let trigger = serde_json::from_value(trigger).unwrap();
    triggers.create(&PostParams::default(), &trigger).await.unwrap();
    let status = json!({"status": {"subscriberUri": subscriber}});
    let patch = Patch::Merge(&status);
    triggers
        .patch_status(name, &PatchParams::default(), &patch)
        .await
        .unwrap();
}

/// A channel with these entries under `spec.subscribers`.
pub async fn channel(api: &TestApi, name: &str, subscribers: Value) -> Topic {
    use crds::messaging::InMemoryChannel;
    let channels: Api<InMemoryChannel> = Api::namespaced(api.client(), "default");
    let channel = json!({
        "apiVersion": "messaging.knative.dev/v1", "kind": "InMemoryChannel",
        "metadata": {"name": name}, "spec": {"subscribers": subscribers},
    });
    let channel = serde_json::from_value(channel).unwrap();
    let channel = channels.create(&PostParams::default(), &channel).await.unwrap();
    Topic::new(channel.metadata.uid.unwrap()).unwrap()
}

/// Sets features, as an operator would.
pub async fn configure(api: &TestApi, data: Value) {
    let namespaces: Api<Namespace> = Api::all(api.client());
    let system = json!({"metadata": {"name": "knative-eventing"}});
    // There since the first time.
    let _ = namespaces
        .create(&PostParams::default(), &serde_json::from_value(system).unwrap())
        .await;
    let maps: Api<ConfigMap> = Api::namespaced(api.client(), "knative-eventing");
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "config-features"}, "data": data});
    let params = PatchParams::apply("test").force();
    maps.patch("config-features", &params, &Patch::Apply(&map))
        .await
        .unwrap();
}
