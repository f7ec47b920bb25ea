//! Serves, and goes away in order.

use std::sync::Arc;
use std::time::Duration;

use crds::names::JOB_SINK_TLS;
use event_identity::Doorkeeper;
use event_tls::Door;
use futures::future::BoxFuture;
use informer::Caches;
use prometheus::Registry;
use proxy::{Server, ServerConfig};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::service::Service;
use crate::sweep;

/// Connections open at once; each holds at most one body of [`crate::jobs::MAX_EVENT`] at a time.
const MAX_CONNECTIONS: usize = 1024;

/// How the receivers run.
pub struct Config {
    /// Watches of policies; shared with whoever else reads them.
    pub caches: Caches,
    /// Where the ConfigMaps are.
    pub system_namespace: String,
    pub listeners: Vec<TcpListener>,
    /// Over TLS.
    pub secure_listeners: Vec<TcpListener>,
    pub registry: Registry,
    pub shutdown: CancellationToken,
    /// What requests in flight get after `shutdown`.
    pub grace: Duration,
}

/// Serves until `config.shutdown`, then lets requests in flight finish.
///
/// # Errors
/// Before anything is served, if metrics cannot be registered.
pub fn run(config: Config) -> BoxFuture<'static, prometheus::Result<()>> {
    // Boxed, so that all below is compiled with this crate and not again with each program that calls it.
    Box::pin(serve(config))
}

async fn serve(config: Config) -> prometheus::Result<()> {
    let caches = config.caches;
    let client = caches.client().clone();
    let doorkeeper = Doorkeeper::start(&caches, &config.system_namespace);
    let door = Door::start(&caches, &config.system_namespace, JOB_SINK_TLS, &config.registry)?;
    let (open, ready) = watch::channel(false);
    let service = Service::new(client.clone(), door.clone(), doorkeeper, ready, &config.registry)?;
    let server = Server::new(
        Arc::new(service),
        ServerConfig {
            max_connections: MAX_CONNECTIONS,
            ..ServerConfig::default()
        },
    );
    let opening = tokio::spawn(async move {
        caches.synced().await;
        open.send_replace(true);
        // Kept, and with it its caches.
        std::future::pending::<()>().await;
        drop(caches);
    });
    let sweeping = tokio::spawn(sweep::run(client));
    let doors = tokio::spawn(door.clone().follow());
    let listeners = (config.listeners, config.secure_listeners);
    door.serve(&server, listeners, &config.shutdown, config.grace)
        .await;
    doors.abort();
    sweeping.abort();
    opening.abort();
    Ok(())
}
