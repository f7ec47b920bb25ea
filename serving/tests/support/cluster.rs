//! An API server with the controllers of this crate, and players for everything else.

use std::time::Duration;

use crds::autoscaling::{PodAutoscaler, PodAutoscalerStatus};
use crds::conditions::{Condition, ConditionStatus};
use crds::networking::{Ingress, IngressStatus, LoadBalancerIngressStatus, LoadBalancerStatus};
use crds::serving::{Configuration, Revision, Route, Service};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition, DeploymentStatus};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Service as KubeService};
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::core::NamespaceResourceScope;
use kube::{Client, ResourceExt};
use reconciler::{Applier, Cache, Caches, Controller, Error, Key, Leadership, Next, Object, Reconcile};
use serde_json::{Value, json};
use test_api::TestApi;
pub use test_api::eventually;
use tokio::task::JoinHandle;

pub struct Cluster {
    pub client: Client,
    controllers: JoinHandle<()>,
    players: Vec<JoinHandle<()>>,
    _caches: Caches,
    #[allow(dead_code, reason = "not every test file counts requests")]
    pub api: TestApi,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.controllers.abort();
        self.players.iter().for_each(JoinHandle::abort);
    }
}

impl Cluster {
    pub async fn start() -> Self {
        // `RUST_LOG=reconciler=debug` shows what the controllers do; the first test to come wins.
        let _ = tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_test_writer()
            .try_init();
        let api = TestApi::start().await;
        let client = api.client();
        install(&api).await;
        let caches = Caches::new(client.clone());
        let players = vec![
            play(&caches, "pods", Pods),
            play(&caches, "autoscaler", Autoscaler),
            play(&caches, "ingress", Gateway),
        ];
        let controllers = tokio::spawn(serving::run(client.clone(), serving::Config::default()));
        Self {
            client,
            controllers,
            players,
            _caches: caches,
            api,
        }
    }

    /// Stops the controllers and starts them anew.
    #[allow(dead_code, reason = "not every test file restarts")]
    pub fn restart(&mut self) {
        self.controllers.abort();
        self.controllers = tokio::spawn(serving::run(self.client.clone(), serving::Config::default()));
    }

    pub async fn create_service(&self, name: &str, image: &str) {
        let service = json!({
            "apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": {"name": name},
            "spec": {
                "template": {"spec": {
                    "containerConcurrency": 0, "timeoutSeconds": 300,
                    "containers": [{"name": "user-container", "image": image, "readinessProbe": {"tcpSocket": {"port": 0}, "successThreshold": 1}}],
                }},
                "traffic": [{"latestRevision": true, "percent": 100}],
            },
        });
        let services: Api<Service> = Api::namespaced(self.client.clone(), "default");
        services
            .create(&PostParams::default(), &serde_json::from_value(service).unwrap())
            .await
            .unwrap();
    }

    #[allow(dead_code, reason = "not every test file changes services")]
    pub async fn patch_service(&self, name: &str, change: Value) {
        let services: Api<Service> = Api::namespaced(self.client.clone(), "default");
        services
            .patch(name, &PatchParams::default(), &Patch::Merge(change))
            .await
            .unwrap();
    }

    #[allow(dead_code, reason = "not every test file looks at children")]
    pub async fn get<K: Object<Scope = NamespaceResourceScope>>(&self, name: &str) -> K {
        Api::<K>::namespaced(self.client.clone(), "default")
            .get(name)
            .await
            .unwrap()
    }

    /// Waits until the Service is ready in its present generation.
    #[allow(dead_code, reason = "not every test file waits for one service")]
    pub async fn ready_service(&self, name: &str) -> Service {
        eventually(&format!("Service {name} to be ready"), async || {
            let service: Service = self.get(name).await;
            let observed = service.status.as_ref()?.observed_generation == service.metadata.generation;
            (observed && condition(&service, "Ready")?.0 == "True").then_some(service)
        })
        .await
    }

    /// Waits until nothing has changed for a moment.
    #[allow(dead_code, reason = "not every test file compares versions")]
    pub async fn settle(&self) {
        let mut before = self.versions().await;
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let now = self.versions().await;
            if now == before {
                return;
            }
            before = now;
        }
        panic!("the cluster did not come to rest");
    }

    /// Names and versions of everything that the controllers write.
    #[allow(dead_code, reason = "not every test file compares versions")]
    pub async fn versions(&self) -> Vec<(String, String)> {
        let mut all = self.versions_of::<Service>().await;
        all.extend(self.versions_of::<Configuration>().await);
        all.extend(self.versions_of::<Revision>().await);
        all.extend(self.versions_of::<Route>().await);
        all.extend(self.versions_of::<Deployment>().await);
        all.extend(self.versions_of::<PodAutoscaler>().await);
        all.extend(self.versions_of::<Ingress>().await);
        all.extend(self.versions_of::<KubeService>().await);
        all.extend(self.versions_of::<crds::caching::Image>().await);
        all
    }

    #[allow(dead_code, reason = "not every test file compares versions")]
    async fn versions_of<K: Object<Scope = NamespaceResourceScope>>(&self) -> Vec<(String, String)> {
        let list = Api::<K>::namespaced(self.client.clone(), "default")
            .list(&ListParams::default())
            .await
            .unwrap();
        let entry = |object: K| {
            (
                format!("{} {}", K::kind(&()), object.name_any()),
                object.resource_version().unwrap(),
            )
        };
        list.items.into_iter().map(entry).collect()
    }
}

async fn install(api: &TestApi) {
    api.define(&crds::all()).await;
    let client = api.client();
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let system = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "knative-serving"}});
    namespaces
        .create(&PostParams::default(), &serde_json::from_value(system).unwrap())
        .await
        .unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "knative-serving");
    let install = crds::config::Install {
        queue_sidecar_image: "localhost:5000/queue-proxy:1".to_owned(),
        domain: Some("example.com".to_owned()),
        ingress_class: crds::names::SPINDRIFT_INGRESS_CLASS.to_owned(),
    };
    for map in crds::config::defaults_manifests(&install) {
        maps.create(&PostParams::default(), &map).await.unwrap();
    }
}

/// Status and reason of a condition.
pub fn condition(service: &Service, type_: &str) -> Option<(String, String)> {
    let found = service
        .status
        .as_ref()?
        .conditions
        .iter()
        .find(|condition| condition.type_ == type_)?;
    Some((
        found.status.as_str().to_owned(),
        found.reason.clone().unwrap_or_default(),
    ))
}

/// Somebody who reports a status for every object of a kind.
trait Player: Send + Sync + 'static {
    type Kind: Object<Scope = NamespaceResourceScope> + PartialEq;
    fn play(&self, object: &mut Self::Kind);
}

struct Playing<P: Player> {
    player: P,
    cache: Cache<P::Kind>,
    applier: Applier,
}

impl<P: Player> Reconcile for Playing<P> {
    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(live) = self.cache.get(key) else {
            return Ok(Next::OnChange);
        };
        let mut updated = (*live).clone();
        self.player.play(&mut updated);
        self.applier
            .update_status(&self.cache, &live, &updated)
            .await
            .map(|_| Next::OnChange)
    }
}

fn play<P: Player>(caches: &Caches, name: &'static str, player: P) -> JoinHandle<()> {
    let cache: Cache<P::Kind> = caches.cache();
    let playing = Playing {
        player,
        cache: cache.clone(),
        applier: Applier::new(caches.client().clone(), name),
    };
    let controller = Controller::new(name, playing).watches(&cache);
    tokio::spawn(async move {
        cache.synced().await;
        controller.run(Leadership::always()).await;
    })
}

/// All pods come up, except those whose image is called `crash`.
struct Pods;

impl Player for Pods {
    type Kind = Deployment;

    fn play(&self, deployment: &mut Deployment) {
        let containers = deployment
            .spec
            .template
            .spec
            .iter()
            .flat_map(|spec| &spec.containers);
        let crashes = containers
            .into_iter()
            .any(|c| c.image.as_deref().unwrap_or_default().contains("/crash"));
        let condition = |type_: &str, status: &str, reason: &str, message: &str| DeploymentCondition {
            type_: Some(type_.to_owned()),
            status: Some(status.to_owned()),
            reason: Some(reason.to_owned()),
            message: Some(message.to_owned()),
            ..DeploymentCondition::default()
        };
        let replicas = deployment.spec.replicas;
        deployment.status = Some(if crashes {
            let conditions = vec![condition(
                "ReplicaFailure",
                "True",
                "FailedCreate",
                "quota exceeded",
            )];
            DeploymentStatus {
                conditions: Some(conditions),
                ..DeploymentStatus::default()
            }
        } else {
            let conditions = vec![condition("Progressing", "True", "NewReplicaSetAvailable", "up")];
            DeploymentStatus {
                replicas,
                ready_replicas: replicas,
                available_replicas: replicas,
                conditions: Some(conditions),
                ..DeploymentStatus::default()
            }
        });
    }
}

fn all_true(types: &[&str]) -> Vec<Condition> {
    types
        .iter()
        .map(|type_| Condition::new(*type_, ConditionStatus::True))
        .collect()
}

struct Autoscaler;

impl Player for Autoscaler {
    type Kind = PodAutoscaler;

    fn play(&self, autoscaler: &mut PodAutoscaler) {
        // The crashing revision never reaches its scale.
        if autoscaler.name_any() == "crash-00002" {
            return;
        }
        autoscaler.status = Some(PodAutoscalerStatus {
            conditions: all_true(&["Active", "Ready", "SKSReady", "ScaleTargetInitialized"]),
            observed_generation: autoscaler.metadata.generation,
            service_name: Some(autoscaler.name_any()),
            metrics_service_name: Some(format!("{}-private", autoscaler.name_any())),
            desired_scale: Some(1),
            actual_scale: Some(1),
            ..PodAutoscalerStatus::default()
        });
    }
}

struct Gateway;

impl Player for Gateway {
    type Kind = Ingress;

    fn play(&self, ingress: &mut Ingress) {
        let at = |name: &str| {
            let address = LoadBalancerIngressStatus {
                domain_internal: Some(format!("{name}.knative-serving.svc.cluster.local")),
                ..LoadBalancerIngressStatus::default()
            };
            Some(LoadBalancerStatus {
                ingress: vec![address],
            })
        };
        ingress.status = Some(IngressStatus {
            conditions: all_true(&["LoadBalancerReady", "NetworkConfigured", "Ready"]),
            observed_generation: ingress.metadata.generation,
            public_load_balancer: at("gateway"),
            private_load_balancer: at("gateway-internal"),
            ..IngressStatus::default()
        });
    }
}
