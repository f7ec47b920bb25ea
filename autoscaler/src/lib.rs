//! Metric windows, the scaling decision, and the reconcilers of PodAutoscaler, Metric and ServerlessService.
//!
//! Load comes from two sides: activators push it (`stats`), and ready pods are asked for it once a second (`scrape`).
//! Both fill the windows of the `registry`; a ticker decides for every revision each two seconds, and a push of load for
//! a revision at zero decides at once. A changed decision wakes the reconciler of the PodAutoscaler (`kpa`), which sets
//! the replicas and tells the ServerlessService (`sks`) whether the activators stay in the path.

mod clock;
mod exposition;
mod kpa;
mod metric;
mod metrics;
mod pods;
mod registry;
mod scaling;
mod scrape;
mod sks;
mod stats;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crds::autoscaling::PodAutoscaler;
use futures::future::BoxFuture;
use reconciler::{Cache, Caches, ConfigStore, Key, Leadership, Queue};
use tokio::net::TcpListener;
use tokio::time::MissedTickBehavior;

use pods::Pods;
use registry::Registry;

/// Pause between two decisions for a revision (a constant upstream too).
const TICK: Duration = Duration::from_secs(2);

/// What the autoscaler needs to run.
pub struct Config {
    /// The caches of the process; shared with other components that run in it.
    pub caches: Caches,
    /// The live ConfigMaps of the system namespace.
    pub config: ConfigStore,
    /// Namespace of the install, normally `knative-serving`.
    pub system_namespace: String,
    /// Domain of the cluster, normally `cluster.local`.
    pub cluster_domain: String,
    /// Where activators push their stats.
    pub stats: TcpListener,
    pub leadership: Leadership,
}

/// Runs until dropped.
pub fn run(config: Config) -> BoxFuture<'static, ()> {
    // Boxed, so that all below is compiled with this crate and not again with each program that calls it.
    Box::pin(components(config))
}

async fn components(config: Config) {
    let Config {
        caches,
        config,
        system_namespace,
        cluster_domain,
        stats,
        leadership,
    } = config;
    let registry = Arc::new(Registry::default());
    let pods = Pods::new(&caches);
    let (autoscaler_queue, metric_queue) = (reconciler::queue("podautoscaler"), reconciler::queue("metric"));

    let kpa = kpa::controller(
        &caches,
        &config,
        &registry,
        &pods,
        cluster_domain,
        autoscaler_queue.clone(),
    );
    let metric = metric::controller(&caches, &registry, metric_queue.clone());
    let sks = sks::controller(&caches, &system_namespace);
    caches.synced().await;

    let poke = {
        let (registry, pods, queue) = (registry.clone(), pods.clone(), autoscaler_queue.clone());
        move |key: Key| {
            if registry.decide(
                &key,
                pods.counts(&key).ready,
                clock::unix_second(),
                Instant::now(),
            ) {
                queue.add(key);
            }
        }
    };
    let scraped = {
        let queue = metric_queue;
        move |key: Key| queue.add(key)
    };
    let autoscalers = caches.cache::<PodAutoscaler>();
    exposition::register(&registry, &pods, &autoscalers);
    autoscalers.on_change(|change| {
        if let (Some(gone), None) = (&change.old, &change.new) {
            exposition::forget(&Key::of(gone.as_ref()), gone);
        }
    });
    let took = {
        let autoscalers = autoscalers.clone();
        move |key: &Key, took| exposition::scraped(&autoscalers, key, took)
    };
    tokio::join!(
        kpa.run(leadership.clone()),
        metric.run(leadership.clone()),
        sks.run(leadership),
        stats::serve(stats, registry.clone(), poke),
        scrape::run(
            scrape::Scraper::new(),
            registry.clone(),
            pods.clone(),
            scraped,
            took
        ),
        tick(&registry, &pods, &autoscaler_queue),
        follow_config(&config, &autoscalers, &autoscaler_queue),
    );
}

/// Decides for every revision that does not rest, again and again.
async fn tick(registry: &Registry, pods: &Pods, queue: &Queue) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for key in registry.awake() {
            if registry.decide(
                &key,
                pods.counts(&key).ready,
                clock::unix_second(),
                Instant::now(),
            ) {
                queue.add(key);
            }
        }
    }
}

/// Looks at every PodAutoscaler again when a ConfigMap changes.
async fn follow_config(config: &ConfigStore, autoscalers: &Cache<PodAutoscaler>, queue: &Queue) {
    let mut changes = config.changes();
    while changes.changed().await.is_ok() {
        autoscalers.keys().into_iter().for_each(|key| queue.add(key));
    }
}
