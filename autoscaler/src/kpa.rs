//! PodAutoscaler of the platform's own class: turns decisions into replicas, and says how far that has come.

mod probe;
mod status;
mod zero;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crds::annotations;
use crds::autoscaling::{Metric, MetricSpec, PodAutoscaler, PodAutoscalerStatus};
use crds::conditions::{Condition, ConditionStatus, ConditionedStatus, READY};
use crds::config::{Autoscaler, Deployment as DeploymentConfig};
use crds::networking::{ServerlessService, ServerlessServiceMode, ServerlessServiceSpec};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use reconciler::{Applier, Cache, Caches, ConfigStore, Controller, Error, Key, Next, Queue, Reconcile};
use serde_json::json;

use crate::pods::{Pods, revision_of};
use crate::registry::Registry;
use crate::scaling::decide::{BurstCapacity, Decision, UNKNOWN};
use crate::scaling::settings::Scaling;
use probe::Prober;
use zero::{ActivatorProbe, AtZero, Zero};

const MANAGER: &str = "spindrift-podautoscaler";
/// Activators in the path unless the revision needs more.
const LEAST_ACTIVATORS: i32 = 2;

pub struct Kpa {
    applier: Applier,
    registry: Arc<Registry>,
    config: ConfigStore,
    prober: Prober,
    pods: Pods,
    autoscalers: Cache<PodAutoscaler>,
    skss: Cache<ServerlessService>,
    metrics: Cache<Metric>,
    deployments: Cache<Deployment>,
    services: Cache<Service>,
}

/// Makes the controller; decisions wake its keys through `queue`.
pub fn controller(
    caches: &Caches,
    config: &ConfigStore,
    registry: &Arc<Registry>,
    pods: &Pods,
    cluster_domain: String,
    queue: Queue,
) -> Controller<Kpa> {
    let kpa = Kpa {
        applier: Applier::new(caches.client().clone(), MANAGER),
        registry: registry.clone(),
        config: config.clone(),
        prober: Prober::new(cluster_domain),
        pods: pods.clone(),
        autoscalers: caches.cache(),
        skss: caches.cache(),
        metrics: caches.cache(),
        deployments: caches.cache_of(crate::pods::deployment_selection()),
        services: caches.cache_of(crate::sks::service_selection()),
    };
    let (autoscalers, skss, metrics) = (kpa.autoscalers.clone(), kpa.skss.clone(), kpa.metrics.clone());
    Controller::with_queue("podautoscaler", queue, kpa)
        .watches(&autoscalers)
        .owns::<PodAutoscaler, ServerlessService>(&skss)
        .owns::<PodAutoscaler, Metric>(&metrics)
        .wakes(pods.cache(), |pod: &Pod| revision_of(pod).into_iter().collect())
}

impl Reconcile for Kpa {
    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let config = self.config.get::<Autoscaler>();
        let live = self
            .autoscalers
            .get(key)
            .filter(|pa| pa.metadata.deletion_timestamp.is_none());
        let Some(live) = live.filter(|pa| class(pa, &config) == annotations::CLASS_KPA) else {
            self.registry.forget_plan(key);
            return Ok(Next::OnChange);
        };
        let now = Timestamp::now();
        let observed = live.status.clone().unwrap_or_default();
        let mut updated = (*live).clone();
        let status = updated.status.get_or_insert_default();
        status::SET.begin(status, live.metadata.generation, now);
        let result = self.autoscale(key, &live, status, &config, now).await;
        status::SET.finish(status, &observed.conditions, live.metadata.generation, now);
        self.applier
            .update_status(&self.autoscalers, &live, &updated)
            .await?;
        result
    }
}

fn class<'a>(pa: &'a PodAutoscaler, config: &'a Autoscaler) -> &'a str {
    let annotated = pa
        .metadata
        .annotations
        .as_ref()
        .and_then(|all| all.get(annotations::CLASS));
    annotated.map_or(config.pod_autoscaler_class.as_str(), String::as_str)
}

impl Kpa {
    async fn autoscale(
        &self,
        key: &Key,
        pa: &PodAutoscaler,
        status: &mut PodAutoscalerStatus,
        config: &Autoscaler,
        now: Timestamp,
    ) -> Result<Next, Error> {
        let progress_deadline = self.config.get::<DeploymentConfig>().progress_deadline;
        let scaling = Scaling::of(pa, config, progress_deadline);
        let threshold = status::threshold(
            status::is_initialized(status),
            bounded_min(pa, &scaling),
            scaling.initial_scale,
        );
        let ready = self.pods.counts(key).ready;

        let sks = self.skss.get(key);
        let private = sks
            .as_ref()
            .and_then(|sks| sks.status.as_ref()?.private_service_name.clone());
        let (Some(sks), Some(private)) = (sks, private) else {
            let wanted = desired_sks(pa, ServerlessServiceMode::Proxy, LEAST_ACTIVATORS);
            self.applier.apply(pa, &self.skss, wanted).await?;
            status::observe_sks(status, None, now);
            status::observe(status, UNKNOWN, ready, threshold, now);
            return Ok(Next::OnChange);
        };
        status.metrics_service_name = Some(private.clone());

        let decision = self
            .registry
            .plan(key, scaling.plan.clone(), ready, Instant::now());
        // Replicas before everything else: requests may be waiting for them.
        let (want, next) = self
            .scale(key, pa, &sks, status, &scaling, config, decision, now)
            .await?;
        self.applier
            .apply(pa, &self.metrics, desired_metric(pa, &scaling, private))
            .await?;
        let serve = want > 0 && decision.excess_burst_capacity >= 0;
        let mode = if serve {
            ServerlessServiceMode::Serve
        } else {
            ServerlessServiceMode::Proxy
        };
        let sks = self
            .applier
            .apply(
                pa,
                &self.skss,
                desired_sks(pa, mode, activators(&scaling, config, ready)),
            )
            .await;
        let sks = sks?.into_object();

        status.service_name = sks.status.as_ref().and_then(|status| status.service_name.clone());
        let observed = sks.metadata.generation.unwrap_or_default();
        let sks_ready = sks
            .status
            .as_ref()
            .filter(|status| status.observed_generation() == observed)
            .and_then(|status| status.condition(READY).cloned())
            .unwrap_or_default();
        status::observe_sks(status, Some(&sks_ready), now);
        status::observe(status, want, ready, threshold, now);
        Ok(next)
    }

    /// Sets the replicas that `decision` leads to; returns how many are wanted, and when to look again.
    #[expect(
        clippy::too_many_arguments,
        reason = "the inputs of one step, named where they are made"
    )]
    async fn scale(
        &self,
        key: &Key,
        pa: &PodAutoscaler,
        sks: &ServerlessService,
        status: &PodAutoscalerStatus,
        scaling: &Scaling,
        config: &Autoscaler,
        decision: Decision,
        now: Timestamp,
    ) -> Result<(i32, Next), Error> {
        let active = status.condition(status::ACTIVE).cloned().unwrap_or_default();
        let initialized = status::is_initialized(status);
        let wanted = within_bounds(decision.desired, active.status, initialized, pa, scaling);
        let current = self.current_replicas(pa).await?;
        if wanted != 0 {
            if wanted > 0 {
                self.set_replicas(pa, current, wanted).await?;
            }
            return Ok((wanted, Next::OnChange));
        }
        if current == Some(0) && active.status == ConditionStatus::False {
            return Ok((0, Next::OnChange));
        }
        let mut state = AtZero {
            scale_to_zero: config.enable_scale_to_zero,
            active: active.status,
            active_for: age(&active, now),
            stable_window: scaling.plan.settings.stable_window,
            progress_deadline: scaling.progress_deadline,
            grace: config.scale_to_zero_grace_period,
            retention: scaling.retention,
            proxy_mode: sks.spec.mode == ServerlessServiceMode::Proxy,
            proxied_for: sks
                .status
                .as_ref()
                .and_then(|status| status.condition("ActivatorEndpointsPopulated"))
                .filter(|condition| condition.is_true())
                .map(|condition| age(condition, now)),
            probe: ActivatorProbe::Unneeded,
        };
        if zero::needs_probe(&state) && scaling.plan.settings.burst_capacity != BurstCapacity::Unlimited {
            let reached = match self.services.get(key) {
                Some(service) => self.prober.reaches_activator(&service).await,
                None => false,
            };
            state.probe = if reached {
                ActivatorProbe::Answered
            } else {
                ActivatorProbe::Unanswered
            };
        }
        match zero::decide(&state) {
            Zero::Scale(replicas) => {
                self.set_replicas(pa, current, replicas).await?;
                Ok((replicas, Next::OnChange))
            }
            Zero::Mark(again) => Ok((0, again.map_or(Next::OnChange, Next::After))),
            Zero::KeepOne(again) => {
                self.set_replicas(pa, current, 1).await?;
                Ok((1, Next::After(again)))
            }
            Zero::Unknown(again) => Ok((UNKNOWN, Next::After(again))),
        }
    }

    /// The replicas that the target asks for; `None` if they cannot be told.
    async fn current_replicas(&self, pa: &PodAutoscaler) -> Result<Option<i32>, Error> {
        let name = pa.spec.scale_target_ref.name.clone().unwrap_or_default();
        let namespace = pa.metadata.namespace.clone().unwrap_or_default();
        if let Some(deployment) = self.deployments.named(&namespace, &name) {
            return Ok(Some(deployment.spec.replicas.unwrap_or(1)));
        }
        let Some(api) = self.target(pa) else {
            return Ok(None);
        };
        let scale = api.get_scale(&name).await;
        match scale {
            Ok(scale) => Ok(scale.spec.and_then(|spec| spec.replicas)),
            Err(error) if reconciler::error::is_not_found(&error) => {
                Err(Error::Wait(format!("the scale of {namespace}/{name}")))
            }
            Err(error) => Err(Error::api(format!("read the scale of {namespace}/{name}"), error)),
        }
    }

    async fn set_replicas(&self, pa: &PodAutoscaler, current: Option<i32>, wanted: i32) -> Result<(), Error> {
        if current == Some(wanted) {
            return Ok(());
        }
        let Some(api) = self.target(pa) else {
            return Err(Error::Terminal(
                "scaleTargetRef names no kind and object".to_owned(),
            ));
        };
        let name = pa.spec.scale_target_ref.name.clone().unwrap_or_default();
        let patch = Patch::Merge(json!({ "spec": { "replicas": wanted } }));
        api.patch_scale(&name, &PatchParams::default(), &patch)
            .await
            .map_err(|error| Error::api(format!("scale {name} to {wanted}"), error))?;
        tracing::info!(revision = ?pa.metadata.name, from = current, to = wanted, "Scaled");
        Ok(())
    }

    fn target(&self, pa: &PodAutoscaler) -> Option<kube::Api<DynamicObject>> {
        let target = &pa.spec.scale_target_ref;
        let (group, version) = match target.api_version.as_deref()?.split_once('/') {
            Some((group, version)) => (group, version),
            None => ("", target.api_version.as_deref()?),
        };
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, target.kind.as_deref()?));
        let namespace = pa.metadata.namespace.as_deref().unwrap_or_default();
        Some(kube::Api::namespaced_with(
            self.applier.client().clone(),
            namespace,
            &resource,
        ))
    }
}

/// Time since the condition last changed.
fn age(condition: &Condition, now: Timestamp) -> Duration {
    let since = condition.last_transition_time.as_ref().map_or(now, |time| time.0);
    Duration::try_from(now.duration_since(since)).unwrap_or(Duration::ZERO)
}

/// The minimum that applies: none for a revision that nobody can reach.
fn bounded_min(_pa: &PodAutoscaler, scaling: &Scaling) -> i32 {
    if scaling.plan.settings.reachable {
        scaling.min_scale
    } else {
        0
    }
}

/// Clamps a decision. Unknown stays unknown, except that an activation without data asks for zero, on which the caller
/// decides whether to go on waiting.
fn within_bounds(
    desired: i32,
    active: ConditionStatus,
    initialized: bool,
    pa: &PodAutoscaler,
    scaling: &Scaling,
) -> i32 {
    if desired == UNKNOWN && active != ConditionStatus::Unknown {
        return UNKNOWN;
    }
    let mut min = bounded_min(pa, scaling);
    if !initialized && scaling.plan.settings.reachable {
        min = min.max(scaling.initial_scale);
    }
    let wanted = desired.max(0).max(min);
    scaling.max_scale.map_or(wanted, |max| wanted.min(max))
}

/// Activators that share the load of a revision with `ready` pods and its burst.
fn activators(scaling: &Scaling, config: &Autoscaler, ready: i32) -> i32 {
    let settings = &scaling.plan.settings;
    let burst = match settings.burst_capacity {
        BurstCapacity::None => return LEAST_ACTIVATORS,
        BurstCapacity::Unlimited => 0.0,
        BurstCapacity::Requests(burst) => burst,
    };
    let capacity = f64::from(ready) * settings.total + burst;
    LEAST_ACTIVATORS.max((capacity / config.activator_capacity).ceil() as i32)
}

fn child_metadata(pa: &PodAutoscaler) -> ObjectMeta {
    ObjectMeta {
        name: pa.metadata.name.clone(),
        namespace: pa.metadata.namespace.clone(),
        labels: pa.metadata.labels.clone(),
        annotations: pa.metadata.annotations.clone(),
        ..ObjectMeta::default()
    }
}

fn desired_sks(pa: &PodAutoscaler, mode: ServerlessServiceMode, activators: i32) -> ServerlessService {
    ServerlessService {
        metadata: child_metadata(pa),
        spec: ServerlessServiceSpec {
            mode,
            object_ref: pa.spec.scale_target_ref.clone(),
            protocol_type: pa.spec.protocol_type,
            num_activators: Some(activators),
        },
        status: None,
    }
}

fn desired_metric(pa: &PodAutoscaler, scaling: &Scaling, private_service: String) -> Metric {
    let nanos = |duration: Duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
    Metric {
        metadata: child_metadata(pa),
        spec: MetricSpec {
            stable_window: nanos(scaling.plan.settings.stable_window),
            panic_window: nanos(scaling.panic_window),
            scrape_target: if scaling.plan.scraped {
                private_service
            } else {
                String::new()
            },
        },
        status: None,
    }
}
