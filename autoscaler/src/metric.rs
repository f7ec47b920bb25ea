//! Metric: says that a revision is measured, and over which windows.

use std::sync::Arc;

use crds::autoscaling::Metric;
use crds::conditions::READY;
use k8s_openapi::jiff::Timestamp;
use reconciler::{Applier, Cache, Caches, ConditionSet, Controller, Error, Key, Next, Queue, Reconcile};

use crate::registry::{Registry, ScrapeFailure};

const MANAGER: &str = "spindrift-metric";
const SET: ConditionSet = ConditionSet::new(&[]);
const NANOS: u64 = 1_000_000_000;

pub struct Metrics {
    applier: Applier,
    registry: Arc<Registry>,
    metrics: Cache<Metric>,
}

/// Makes the controller; scrape results wake its keys through `queue`.
pub fn controller(caches: &Caches, registry: &Arc<Registry>, queue: Queue) -> Controller<Metrics> {
    let metrics: Cache<Metric> = caches.cache();
    let reconciler = Metrics {
        applier: Applier::new(caches.client().clone(), MANAGER),
        registry: registry.clone(),
        metrics: metrics.clone(),
    };
    Controller::with_queue("metric", queue, reconciler).watches(&metrics)
}

impl Reconcile for Metrics {
    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(live) = self
            .metrics
            .get(key)
            .filter(|metric| metric.metadata.deletion_timestamp.is_none())
        else {
            self.registry.forget_measure(key);
            return Ok(Next::OnChange);
        };
        let seconds = |nanos: i64| u64::try_from(nanos).unwrap_or(0) / NANOS;
        self.registry.measure(
            key,
            seconds(live.spec.stable_window),
            seconds(live.spec.panic_window),
        );
        let now = Timestamp::now();
        let observed = live.status.clone().unwrap_or_default();
        let mut updated = (*live).clone();
        let status = updated.status.get_or_insert_default();
        SET.begin(status, live.metadata.generation, now);
        let mut conditions = SET.manage(status, now);
        match self.registry.scrape_failure(key) {
            None => conditions.mark_true(READY),
            Some(ScrapeFailure::NoEndpoints) => {
                conditions.mark_unknown(
                    READY,
                    "NoEndpoints",
                    "No pod of the revision is ready to be measured.",
                );
            }
            Some(ScrapeFailure::DidNotReceiveStat(message)) => {
                conditions.mark_unknown(READY, "DidNotReceiveStat", &message);
            }
        }
        SET.finish(status, &observed.conditions, live.metadata.generation, now);
        self.applier.update_status(&self.metrics, &live, &updated).await?;
        Ok(Next::OnChange)
    }
}
