//! An API server with the controllers of this crate, and players for everything else.

#![allow(dead_code, reason = "not every test file uses all of it")]

use std::time::Duration;

use crds::conditions::{Condition, ConditionStatus};
use crds::serving::Service as KnativeService;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::core::NamespaceResourceScope;
use kube::{Client, ResourceExt};
use reconciler::Object;
use serde_json::{Value, json};
use test_api::TestApi;
pub use test_api::eventually;
use tokio::task::JoinHandle;

pub const SYSTEM: &str = "knative-eventing";

pub struct Cluster {
    pub client: Client,
    controllers: JoinHandle<()>,
    pub api: TestApi,
}

/// Players of what sources call are on this machine.
fn config() -> eventing::Config {
    eventing::Config {
        client: event_client::Config {
            allowed: event_client::Allowed::ALL,
            ..event_client::Config::default()
        },
        ..eventing::Config::default()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.controllers.abort();
    }
}

impl Cluster {
    /// With a data plane that says it is there.
    pub async fn start() -> Self {
        let cluster = Self::without_ingress().await;
        cluster.open_ingress().await;
        cluster
    }

    pub async fn without_ingress() -> Self {
        // `RUST_LOG=reconciler=debug` shows what the controllers do; the first test to come wins.
        let _ = tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_test_writer()
            .try_init();
        let api = TestApi::start().await;
        let client = api.client();
        api.define(&crds::all()).await;
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let system = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}});
        namespaces
            .create(&PostParams::default(), &serde_json::from_value(system).unwrap())
            .await
            .unwrap();
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), SYSTEM);
        for map in crds::config::events::defaults_manifests() {
            maps.create(&PostParams::default(), &map).await.unwrap();
        }
        let controllers = tokio::spawn(eventing::run(client.clone(), config()));
        Self {
            client,
            controllers,
            api,
        }
    }

    /// The Service of brokers and channels, with an endpoint.
    pub async fn open_ingress(&self) {
        self.open("broker-ingress").await;
    }

    /// A Service of the data plane, with an endpoint.
    pub async fn open(&self, name: &str) {
        let services: Api<Service> = Api::namespaced(self.client.clone(), SYSTEM);
        let slices: Api<EndpointSlice> = Api::namespaced(self.client.clone(), SYSTEM);
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"ports": [{"name": "http", "port": 80}, {"name": "https", "port": 443}]},
        });
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}},
            "endpoints": [{"addresses": ["10.1.2.3"], "conditions": {"ready": true}}],
        });
        services
            .create(&PostParams::default(), &serde_json::from_value(service).unwrap())
            .await
            .unwrap();
        slices
            .create(&PostParams::default(), &serde_json::from_value(slice).unwrap())
            .await
            .unwrap();
    }

    pub async fn close_ingress(&self) {
        let slices: Api<EndpointSlice> = Api::namespaced(self.client.clone(), SYSTEM);
        slices
            .delete("broker-ingress", &DeleteParams::default())
            .await
            .unwrap();
    }

    /// Stops the controllers and starts them anew.
    pub fn restart(&mut self) {
        self.controllers.abort();
        self.controllers = tokio::spawn(eventing::run(self.client.clone(), config()));
    }

    pub async fn create<K: Object<Scope = NamespaceResourceScope>>(&self, object: Value) -> K {
        let mut object = object;
        object["apiVersion"] = K::api_version(&()).into();
        object["kind"] = K::kind(&()).into();
        let object: K = serde_json::from_value(object).unwrap();
        let namespace = object.namespace().unwrap_or_else(|| "default".to_owned());
        Api::<K>::namespaced(self.client.clone(), &namespace)
            .create(&PostParams::default(), &object)
            .await
            .unwrap()
    }

    pub async fn patch<K: Object<Scope = NamespaceResourceScope>>(&self, name: &str, change: Value) -> K {
        Api::<K>::namespaced(self.client.clone(), "default")
            .patch(name, &PatchParams::default(), &Patch::Merge(change))
            .await
            .unwrap()
    }

    pub async fn delete<K: Object<Scope = NamespaceResourceScope>>(&self, name: &str) {
        Api::<K>::namespaced(self.client.clone(), "default")
            .delete(name, &DeleteParams::default())
            .await
            .unwrap();
    }

    pub async fn get<K: Object<Scope = NamespaceResourceScope>>(&self, name: &str) -> Option<K> {
        Api::<K>::namespaced(self.client.clone(), "default")
            .get_opt(name)
            .await
            .unwrap()
    }

    /// A broker as admission would have defaulted it.
    pub async fn create_broker(&self, name: &str, spec: Value) {
        let mut broker = json!({
            "metadata": {"name": name, "annotations": {"eventing.knative.dev/broker.class": "MTChannelBasedBroker"}},
            "spec": {"config": {
                "apiVersion": "v1", "kind": "ConfigMap", "name": "config-br-default-channel", "namespace": SYSTEM,
            }},
        });
        broker["spec"]
            .as_object_mut()
            .unwrap()
            .extend(spec.as_object().unwrap().clone());
        self.create::<crds::eventing::Broker>(broker).await;
    }

    pub async fn create_service(&self, name: &str) {
        self.create::<Service>(json!({"metadata": {"name": name}, "spec": {"ports": [{"port": 80}]}}))
            .await;
    }

    /// A Knative Service, and what its controller would say about it.
    pub async fn create_addressable(&self, name: &str, url: Option<&str>) {
        let container = json!({"image": "x"});
        self.create::<KnativeService>(json!({
            "metadata": {"name": name}, "spec": {"template": {"spec": {"containers": [container]}}},
        }))
        .await;
        if let Some(url) = url {
            self.set_address(name, url).await;
        }
    }

    pub async fn set_address(&self, name: &str, url: &str) {
        let services: Api<KnativeService> = Api::namespaced(self.client.clone(), "default");
        let status = json!({"status": {"address": {"url": url}}});
        services
            .patch_status(name, &PatchParams::default(), &Patch::Merge(status))
            .await
            .unwrap();
    }

    /// Waits until a condition has this status and reason.
    pub async fn condition<K: Object<Scope = NamespaceResourceScope>>(
        &self,
        name: &str,
        type_: &str,
        status: &str,
        reason: &str,
    ) -> Condition {
        let what = format!("{} {name} to have {type_} {status} {reason}", K::kind(&()));
        eventually(&what, async || {
            let object = self.get::<K>(name).await?;
            let found = conditions(&object)
                .into_iter()
                .find(|found| found.type_ == type_)?;
            let same =
                found.status.as_str() == status && found.reason.as_deref().unwrap_or_default() == reason;
            same.then_some(found)
        })
        .await
    }

    /// Waits until the object is ready in its present generation.
    pub async fn ready<K: Object<Scope = NamespaceResourceScope>>(&self, name: &str) -> K {
        eventually(&format!("{} {name} to be ready", K::kind(&())), async || {
            let object = self.get::<K>(name).await?;
            let value = serde_json::to_value(&object).unwrap();
            let observed = value["status"]["observedGeneration"] == value["metadata"]["generation"];
            let ready = conditions(&object)
                .iter()
                .any(|found| found.type_ == "Ready" && found.status == ConditionStatus::True);
            (observed && ready).then_some(object)
        })
        .await
    }

    /// Waits until nothing is written for a moment.
    pub async fn settle(&self) {
        let mut before = self.api.requests().writes();
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let now = self.api.requests().writes();
            if now == before {
                return;
            }
            before = now;
        }
        panic!("the cluster did not come to rest");
    }

    pub async fn list<K: Object<Scope = NamespaceResourceScope>>(&self) -> Vec<K> {
        let api = Api::<K>::namespaced(self.client.clone(), "default");
        api.list(&ListParams::default()).await.unwrap().items
    }

    pub async fn names_of<K: Object<Scope = NamespaceResourceScope>>(&self) -> Vec<String> {
        let list = Api::<K>::namespaced(self.client.clone(), "default")
            .list(&ListParams::default())
            .await
            .unwrap();
        list.items.iter().map(ResourceExt::name_any).collect()
    }
}

pub fn conditions<K: serde::Serialize>(object: &K) -> Vec<Condition> {
    let value = serde_json::to_value(object).unwrap();
    serde_json::from_value(value["status"]["conditions"].clone()).unwrap_or_default()
}
