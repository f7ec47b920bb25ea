//! Puts the gateway together, serves, and goes away in order.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use activator::{Activator, Change, follow};
use crds::annotations::INGRESS_CLASS_KEYS;
use crds::networking::{Ingress, ServerlessService};
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt;
use kube::api::Api;
use kube::runtime::watcher;
use proxy::{Server, ServerConfig};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::backend::Backends;
use crate::config::Config;
use crate::edge::{Edge, Gateway};
use crate::metrics::Metrics;
use crate::progress::{Part, Progress};
use crate::status::{Pending, StatusWriter};
use crate::table::Table;

/// A head must arrive within this time, from anybody on the internet.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(30);

/// The gateway could not start.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    #[error("metrics cannot be registered")]
    Metrics(#[from] prometheus::Error),
}

/// Serves until `config.shutdown`, then lets requests in flight finish.
///
/// # Errors
/// [`GatewayError`] before anything is served.
pub fn run(config: Config) -> BoxFuture<'static, Result<(), GatewayError>> {
    // Boxed, so that all below is compiled with this crate and not again with each program that calls it.
    Box::pin(serve(config))
}

async fn serve(config: Config) -> Result<(), GatewayError> {
    let metrics = Arc::new(Metrics::register(&config.registry)?);
    let activator = Activator::new(config.activator, &config.registry)?;
    let table = Arc::new(Table::default());
    let backends = Backends::new(activator.model().clone());
    let pending = Arc::new(Pending::default());
    let upgraded = TaskTracker::new();
    let gateway = Arc::new(Gateway {
        table: table.clone(),
        backends: backends.clone(),
        activator: activator.clone(),
        metrics: metrics.clone(),
        upgraded: upgraded.clone(),
        trust_forwarded: config.trust_forwarded,
        access_log: config.access_log,
    });
    let writer = StatusWriter {
        client: config.client.clone(),
        table: table.clone(),
        backends: backends.clone(),
        activator: activator.clone(),
        pending: pending.clone(),
        external_domain: config.external_domain,
        internal_domain: config.internal_domain,
    };

    let background = [
        tokio::spawn(activator.clone().run(config.client.clone())),
        tokio::spawn(follow_ingresses(
            config.client.clone(),
            config.ingress_class,
            table,
            pending,
            metrics.clone(),
            config.progress.clone(),
        )),
        tokio::spawn(follow(
            Api::<Service>::all(config.client.clone()),
            watcher::Config::default(),
            {
                let (backends, progress) = (backends.clone(), config.progress.clone());
                move |change| {
                    let synced = matches!(change, Change::Synced);
                    backends.apply_service(change);
                    if synced {
                        progress.done(Part::Services);
                    }
                }
            },
        )),
        tokio::spawn(follow(
            Api::<ServerlessService>::all(config.client),
            watcher::Config::default(),
            {
                let progress = config.progress.clone();
                move |change| {
                    let synced = matches!(change, Change::Synced);
                    backends.apply_mode(change);
                    if synced {
                        progress.done(Part::Modes);
                    }
                }
            },
        )),
        tokio::spawn(writer.run()),
        tokio::spawn({
            let (activator, progress) = (activator.clone(), config.progress);
            async move {
                activator.model().synced().await;
                progress.done(Part::Pods);
            }
        }),
    ];

    let stop = CancellationToken::new();
    let limits = ServerConfig {
        header_read_timeout: HEADER_READ_TIMEOUT,
        ..ServerConfig::default()
    };
    let external = Server::new(
        Arc::new(Edge {
            gateway: gateway.clone(),
            external: true,
        }),
        limits.clone(),
    )
    .counting_closed(metrics.closed.clone());
    let internal = Server::new(
        Arc::new(Edge {
            gateway,
            external: false,
        }),
        ServerConfig::default(),
    )
    .counting_closed(metrics.closed.clone());
    let allowed = limits.max_connections + ServerConfig::default().max_connections;
    metrics
        .connections_limit
        .set(i64::try_from(allowed).unwrap_or(i64::MAX));
    let open = [external.open_connections(), internal.open_connections()];
    let mut serving = Vec::new();
    for listener in config.external {
        serving.push(tokio::spawn(external.clone().run(
            listener,
            stop.clone(),
            config.grace,
        )));
    }
    for listener in config.internal {
        serving.push(tokio::spawn(internal.clone().run(
            listener,
            stop.clone(),
            config.grace,
        )));
    }
    serving.push(tokio::spawn(
        activator.serve(config.activator_listeners, config.shutdown.clone()),
    ));
    let gauge = tokio::spawn(async move {
        let mut period = tokio::time::interval(Duration::from_secs(1));
        loop {
            period.tick().await;
            let connections: usize = open.iter().map(|open| open.load(Ordering::Relaxed)).sum();
            metrics
                .connections
                .set(i64::try_from(connections).unwrap_or(i64::MAX));
        }
    });

    config.shutdown.cancelled().await;
    stop.cancel();
    for task in serving {
        let _ = task.await;
    }
    upgraded.close();
    let _ = tokio::time::timeout(config.grace, upgraded.wait()).await;
    gauge.abort();
    for task in background {
        task.abort();
    }
    Ok(())
}

async fn follow_ingresses(
    client: kube::Client,
    class: String,
    table: Arc<Table>,
    pending: Arc<Pending>,
    metrics: Arc<Metrics>,
    progress: Progress,
) {
    follow(
        Api::<Ingress>::all(client),
        watcher::Config::default(),
        move |change| {
            let affected = match change {
                Change::Applied(key, ingress) if is_ours(&ingress, &class) => table.apply(&key, ingress),
                // The class may have been taken away.
                Change::Applied(key, _) | Change::Deleted(key) => table.remove(&key),
                Change::Synced => {
                    table.publish();
                    progress.done(Part::Routes);
                    Default::default()
                }
            };
            metrics
                .hosts
                .set(i64::try_from(table.hosts()).unwrap_or(i64::MAX));
            pending.add(affected);
        },
    )
    .await;
}

fn is_ours(ingress: &Ingress, class: &str) -> bool {
    let annotations = ingress.annotations();
    INGRESS_CLASS_KEYS
        .iter()
        .find_map(|key| annotations.get(*key))
        .is_some_and(|own| own == class)
}
