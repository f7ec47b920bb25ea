//! Puts the data plane together, serves, and goes away in order.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use event_store::Topic;
use futures::future::{BoxFuture, join_all};
use proxy::{Server, ServerConfig};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::admin::Admin;
use crate::client::{self, Client};
use crate::config::{Config, Stores};
use crate::dispatch::{self, DeadLetter, DispatchMetrics, Dispatcher};
use crate::ingress::{Current, Ingress};
use crate::metrics::IngressMetrics;
use crate::watch::Watch;

/// The data plane could not start.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    #[error("metrics cannot be registered")]
    Metrics(#[from] prometheus::Error),
}

/// Serves until `config.shutdown`, then lets requests and deliveries in flight finish. The stores are left open.
///
/// # Errors
/// [`BrokerError`] before anything is served.
pub fn run(config: Config) -> BoxFuture<'static, Result<(), BrokerError>> {
    // Boxed, so that all below is compiled with this crate and not again with each program that calls it.
    Box::pin(serve(config))
}

async fn serve(config: Config) -> Result<(), BrokerError> {
    let metrics = Arc::new(IngressMetrics::new(&config.registry)?);
    let client = Client::new(client::Config {
        dns: config.dns,
        cluster_domain: config.cluster_domain.clone(),
        allowed: config.allowed,
        ..client::Config::default()
    });
    let limits = dispatch::Limits {
        drain: config.grace,
        ..dispatch::Limits::default()
    };
    let dispatched = DispatchMetrics::new(&config.registry)?;
    let dispatcher = Arc::new(Dispatcher::new(config.stores.clone(), client, dispatched, limits));
    let current = Arc::new(Current::default());
    let (watch, gone) = Watch::start(&config.caches);
    let following = {
        let (current, dispatcher, metrics) = (current.clone(), dispatcher.clone(), metrics.clone());
        watch.follow(move |model| {
            dispatcher.set(&model);
            metrics.retain(&model);
            current.store(Some(model));
        })
    };
    let background = [
        tokio::spawn(following),
        tokio::spawn(remove(gone, config.stores.clone())),
    ];

    let stop = CancellationToken::new();
    let admin = Admin::new(
        config.caches.client().clone(),
        current.clone(),
        config.stores.clone(),
        stop.clone(),
    );
    let ingress = Ingress::new(
        admin,
        current,
        config.stores,
        config.limits.clone(),
        &config.cluster_domain,
        metrics.clone(),
    );
    let server = Server::new(
        Arc::new(ingress),
        ServerConfig {
            max_connections: config.limits.connections,
            ..ServerConfig::default()
        },
    )
    .counting_closed(metrics.closed.clone());
    let gauge = tokio::spawn(count_connections(server.open_connections(), metrics));
    let serving: Vec<_> = config
        .listeners
        .into_iter()
        .map(|listener| tokio::spawn(server.clone().run(listener, stop.clone(), config.grace)))
        .collect();

    config.shutdown.cancelled().await;
    stop.cancel();
    for task in background {
        task.abort();
    }
    tokio::join!(join_all(serving), dispatcher.drain());
    gauge.abort();
    Ok(())
}

/// Removes the events of topics that were deleted.
async fn remove(mut gone: mpsc::Receiver<Topic>, stores: Stores) {
    while let Some(topic) = gone.recv().await {
        let letters = DeadLetter::topic(&topic);
        for topic in [Some(topic), letters].into_iter().flatten() {
            // Which of them had it is not known any more, and asking the others is harmless.
            for store in stores.values() {
                if let Err(error) = store.remove(&topic).await {
                    tracing::warn!(%error, %topic, "Events of a deleted broker or channel were not removed");
                }
            }
        }
    }
}

async fn count_connections(open: Arc<std::sync::atomic::AtomicUsize>, metrics: Arc<IngressMetrics>) {
    let mut period = tokio::time::interval(Duration::from_secs(1));
    loop {
        period.tick().await;
        let open = i64::try_from(open.load(Ordering::Relaxed)).unwrap_or(i64::MAX);
        metrics.connections.set(open);
    }
}
