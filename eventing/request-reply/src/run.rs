//! Serves, and goes away in order.

use std::sync::Arc;
use std::time::Duration;

use crds::names::REQUEST_REPLY_TLS;
use event_client::Client;
use event_identity::{Doorkeeper, Tokens};
use event_tls::Door;
use futures::future::BoxFuture;
use informer::Caches;
use prometheus::Registry;
use proxy::{Server, ServerConfig};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::broker::Brokers;
use crate::keys::Keys;
use crate::metrics::Metrics;
use crate::service::Service;
use crate::waiting::Waiting;

/// Between two looks at connections that nobody uses any more.
const EXPIRY: Duration = Duration::from_secs(10);

/// All that [`run`] needs.
pub struct Config {
    /// Watches of RequestReplies, brokers and policies; shared with whoever else reads them.
    pub caches: Caches,
    /// Where the Secret with the keys is, and the ConfigMaps.
    pub system_namespace: String,
    /// How brokers are reached. Its credentials are set here.
    pub client: event_client::Config,
    pub listeners: Vec<TcpListener>,
    /// Over TLS.
    pub secure_listeners: Vec<TcpListener>,
    pub registry: Registry,
    pub shutdown: CancellationToken,
    /// What requests in flight get after `shutdown`; those that wait for an answer are told to come again.
    pub grace: Duration,
    pub limits: Limits,
}

/// Bounds of what is accepted.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Requests that wait at once; further ones are answered with 503.
    pub waiting: usize,
    /// Likewise, of one RequestReply.
    pub waiting_each: usize,
    /// Bytes of a body; more is answered with 413.
    pub body_bytes: usize,
    /// Bodies that are read or handed on at once, of requests and of answers; further ones are answered with 503.
    pub bodies: usize,
    /// Bytes of them that have arrived, of requests and of answers; beyond it, 503.
    pub held_bytes: usize,
    /// Time for a body to arrive.
    pub body_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            waiting: 4_096,
            waiting_each: 1_024,
            body_bytes: 1 << 20,
            bodies: 1_024,
            held_bytes: 64 << 20,
            body_timeout: Duration::from_secs(10),
        }
    }
}

/// Serves until `config.shutdown`.
///
/// # Errors
/// Before anything is served, if metrics cannot be registered.
pub fn run(config: Config) -> BoxFuture<'static, prometheus::Result<()>> {
    // Boxed, so that all below is compiled with this crate and not again with each program that calls it.
    Box::pin(serve(config))
}

async fn serve(config: Config) -> prometheus::Result<()> {
    let Config { caches, limits, .. } = config;
    let metrics = Metrics::new(&config.registry, limits.waiting)?;
    let keys = Keys::start(&caches, &config.system_namespace);
    let door = Door::start(
        &caches,
        &config.system_namespace,
        REQUEST_REPLY_TLS,
        &config.registry,
    )?;
    let doorkeeper = Doorkeeper::start(&caches, &config.system_namespace);
    let (objects, brokers) = (caches.cache(), caches.cache());
    let client = Client::new(event_client::Config {
        credentials: Some(Arc::new(Tokens::new(caches.client().clone()))),
        anchors: event_tls::anchors(&caches, &config.system_namespace),
        ..config.client
    });
    let (open, ready) = watch::channel(false);
    let background = [
        tokio::spawn(keys.clone().follow()),
        tokio::spawn(door.clone().follow()),
        tokio::spawn(expire(client.clone())),
        tokio::spawn(async move {
            caches.synced().await;
            open.send_replace(true);
            // Kept, and with it its caches.
            std::future::pending::<()>().await;
            drop(caches);
        }),
    ];
    let ending = CancellationToken::new();
    let max_connections = limits.waiting + 4 * limits.bodies;
    let service = Service {
        objects,
        ready,
        brokers: Brokers::new(brokers, client),
        keys,
        doorkeeper,
        door: door.clone(),
        waiting: Waiting::new(limits.waiting, limits.waiting_each),
        bodies: Semaphore::new(limits.bodies.min(Semaphore::MAX_PERMITS)),
        answers: Semaphore::new(limits.bodies.min(Semaphore::MAX_PERMITS)),
        held: Arc::new(Semaphore::new(limits.held_bytes.min(Semaphore::MAX_PERMITS))),
        held_answers: Arc::new(Semaphore::new(limits.held_bytes.min(Semaphore::MAX_PERMITS))),
        limits,
        metrics,
        ending: ending.clone(),
    };
    let server = Server::new(
        Arc::new(service),
        ServerConfig {
            max_connections,
            ..ServerConfig::default()
        },
    );
    let serving = {
        let (door, shutdown) = (door.clone(), config.shutdown.clone());
        let listeners = (config.listeners, config.secure_listeners);
        tokio::spawn(async move { door.serve(&server, listeners, &shutdown, config.grace).await })
    };
    config.shutdown.cancelled().await;
    // Their answers will find nobody: better they ask again, of whoever comes next.
    ending.cancel();
    let _ = serving.await;
    for task in background {
        task.abort();
    }
    Ok(())
}

async fn expire(client: Client) {
    let mut ticks = tokio::time::interval(EXPIRY);
    loop {
        ticks.tick().await;
        client.expire_idle();
    }
}
