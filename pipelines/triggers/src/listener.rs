//! What runs in the pod of an EventListener: takes events, keeps them, and makes what triggers say.
//!
//! An event is stored as a ReceivedEvent before it is acknowledged, and worked on afterwards. Whoever starts next
//! finds what was left: names of objects follow from the event, so doing something a second time finds it done.

mod answer;
mod api;
mod attempts;
mod chain;
mod create;
mod metrics;
mod notice;
mod program;
mod record;
mod select;
mod service;
mod store;
mod work;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use kube::Client;
use prometheus::Registry;
use proxy::{Server, ServerConfig};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use program::{Args, ProgramError, main};
use service::Service;

/// Connections open at once.
const MAX_CONNECTIONS: usize = 1024;
/// Between two looks for events that somebody has left.
const SWEEP: Duration = Duration::from_secs(60);

/// Makes clients: that of the listener itself, or of a user whom it impersonates.
pub type ClientFor = Arc<dyn Fn(Option<&str>) -> Result<Client, kube::Error> + Send + Sync>;

/// How a listener runs.
pub struct Config {
    /// Namespace of the EventListener.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Clients of the cluster.
    pub client_for: ClientFor,
    /// How other services are reached.
    pub outgoing: event_client::Config,
    /// Where events arrive.
    pub listener: TcpListener,
    /// Where metrics are registered.
    pub registry: Registry,
    /// Ends it.
    pub shutdown: CancellationToken,
    /// What requests and triggers under way get after `shutdown`.
    pub grace: Duration,
}

/// Why a listener does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No client can be made.
    #[error("no client of the cluster can be made: {0}")]
    Client(#[from] kube::Error),
    /// Metrics cannot be registered.
    #[error("metrics cannot be registered: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// Serves until `config.shutdown`, then lets what is under way finish.
///
/// # Errors
/// Before anything is served.
pub fn run(config: Config) -> BoxFuture<'static, Result<(), StartError>> {
    Box::pin(serve(config))
}

async fn serve(config: Config) -> Result<(), StartError> {
    let service = Arc::new(Service::new(&config)?);
    let server = Server::new(
        service.clone(),
        ServerConfig {
            max_connections: MAX_CONNECTIONS,
            ..ServerConfig::default()
        },
    );
    let sweeping = tokio::spawn(sweep(service.clone()));
    server.run(config.listener, config.shutdown, config.grace).await;
    sweeping.abort();
    service.finish(config.grace).await;
    Ok(())
}

/// Takes up what somebody has left, at once and from time to time, and clears away what is old.
async fn sweep(service: Arc<Service>) {
    let mut first = true;
    loop {
        service.clone().take_up(first).await;
        service.trim().await;
        service.expire();
        first = false;
        tokio::time::sleep(SWEEP).await;
    }
}
