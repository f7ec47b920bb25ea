//! Serves, and goes away in order.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use kube::Client;
use prometheus::Registry;
use proxy::{Server, ServerConfig};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::service::Service;
use crate::sweep;

/// Connections open at once; each holds at most one body of [`crate::jobs::MAX_EVENT`] at a time.
const MAX_CONNECTIONS: usize = 1024;

/// How the receivers run.
pub struct Config {
    pub client: Client,
    pub listeners: Vec<TcpListener>,
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
    let service = Service::new(config.client.clone(), &config.registry)?;
    let server = Server::new(
        Arc::new(service),
        ServerConfig {
            max_connections: MAX_CONNECTIONS,
            ..ServerConfig::default()
        },
    );
    let sweeping = tokio::spawn(sweep::run(config.client));
    let serving = config.listeners.into_iter().map(|listener| {
        tokio::spawn(
            server
                .clone()
                .run(listener, config.shutdown.clone(), config.grace),
        )
    });
    join_all(serving).await;
    sweeping.abort();
    Ok(())
}
