//! Puts the data plane together, serves, and goes away in order.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crds::names::BROKER_INGRESS_TLS;
use event_tls::Door;
use futures::future::BoxFuture;
use proxy::{Server, ServerConfig};
use reconciler::Recorder;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::admin::Admin;
use crate::client::{self, Client};
use crate::config::Config;
use crate::dispatch::{self, DispatchMetrics, Dispatcher};
use crate::event_types::EventTypes;
use crate::identity::{Tokens, Verifier};
use crate::ingress::{Current, Ingress};
use crate::metrics::{Durations, IngressMetrics};
use crate::removal;
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
    let durations = Durations::new(&config.registry)?;
    let metrics = Arc::new(IngressMetrics::new(&config.registry, durations.clone())?);
    let tokens = Tokens::new(config.caches.client().clone());
    let client = Client::new(client::Config {
        dns: config.dns,
        cluster_domain: config.cluster_domain.clone(),
        allowed: config.allowed,
        credentials: Some(Arc::new(tokens.clone())),
        anchors: event_tls::anchors(&config.caches, &config.system_namespace),
        ..client::Config::default()
    });
    let limits = dispatch::Limits {
        drain: config.grace,
        ..dispatch::Limits::default()
    };
    let recorder = Recorder::new(config.caches.client().clone(), "broker");
    let dispatched = DispatchMetrics::new(&config.registry, durations)?;
    let (event_types, announcing) = EventTypes::start(&config.caches, &config.registry)?;
    let dispatcher = Dispatcher::new(config.stores.clone(), client, dispatched, limits, recorder);
    let dispatcher = Arc::new(dispatcher.announcing(event_types.clone()));
    let current = Arc::new(Current::default());
    let (removing, ended) = mpsc::channel(removal::ENDED);
    let following = {
        let (current, dispatcher, metrics) = (current.clone(), dispatcher.clone(), metrics.clone());
        let serving = config.serving.clone();
        let event_types = event_types.clone();
        Watch::start(&config.caches, &config.system_namespace).follow(move |model, ended| {
            dispatcher.set(&model);
            metrics.retain(&model);
            event_types.set(&model);
            current.store(Some(model));
            serving.store(true, Ordering::Relaxed);
            for topic in ended {
                // Full: retention removes its events in time.
                let _ = removing.try_send(topic);
            }
        })
    };
    let late = config.limits.body_timeout + config.limits.append_timeout;
    let background = [
        tokio::spawn(following),
        tokio::spawn(announcing),
        tokio::spawn(removal::remove(
            ended,
            config.caches.client().clone(),
            config.stores.clone(),
            late,
        )),
    ];

    let verifier = Arc::new(Verifier::new(config.caches.client().clone()));
    let door = Door::start(
        &config.caches,
        &config.system_namespace,
        BROKER_INGRESS_TLS,
        &config.registry,
    )?;
    let stop = CancellationToken::new();
    let admin = Admin::new(
        config.caches.client().clone(),
        current.clone(),
        config.stores.clone(),
        dispatcher.feeds(),
        stop.clone(),
    );
    let ingress = Ingress::new(
        admin,
        current,
        &config,
        verifier.clone(),
        event_types,
        metrics.clone(),
        door.clone(),
    );
    let server = Server::new(
        Arc::new(ingress),
        ServerConfig {
            max_connections: config.limits.connections,
            ..ServerConfig::default()
        },
    )
    .counting_closed(metrics.closed.clone());
    let gauge = tokio::spawn(sample(server.open_connections(), metrics, tokens, verifier));
    let doors = tokio::spawn(door.clone().follow());
    let serving = {
        let (stop, listeners) = (stop.clone(), (config.listeners, config.secure_listeners));
        tokio::spawn(async move { door.serve(&server, listeners, &stop, config.grace).await })
    };

    config.shutdown.cancelled().await;
    stop.cancel();
    for task in background {
        task.abort();
    }
    let _ = tokio::join!(serving, dispatcher.drain());
    doors.abort();
    gauge.abort();
    Ok(())
}

/// Keeps the gauges of what is bounded.
async fn sample(
    open: Arc<std::sync::atomic::AtomicUsize>,
    metrics: Arc<IngressMetrics>,
    tokens: Tokens,
    verifier: Arc<Verifier>,
) {
    let mut period = tokio::time::interval(Duration::from_secs(1));
    loop {
        period.tick().await;
        for (gauge, now) in [
            (&metrics.connections, open.load(Ordering::Relaxed)),
            (&metrics.tokens, tokens.len()),
            (&metrics.senders, verifier.len()),
        ] {
            gauge.set(i64::try_from(now).unwrap_or(i64::MAX));
        }
    }
}
