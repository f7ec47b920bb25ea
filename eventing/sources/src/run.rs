//! Puts the senders together.

use std::sync::Arc;
use std::time::Duration;

use broker::identity::Tokens;
use event_client as client;
use futures::future::BoxFuture;
use informer::Caches;
use jiff::Timestamp;
use proxy::{Server, ServerConfig};
use reconciler::{Candidate, Clock, Manager, Recorder};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::post::Poster;
use crate::{api_server, git_hub, ping};

/// Connections of GitHub, and of whoever else finds the receiver.
const MAX_CONNECTIONS: usize = 1024;

/// How the senders run.
pub struct Config {
    /// Where the leases are, and what was sent last.
    pub system_namespace: String,
    /// How sinks are reached, and which of them are not.
    pub client: client::Config,
    /// Where GitHub's webhooks arrive.
    pub git_hub: Vec<TcpListener>,
    /// Time for deliveries in flight to finish in the end.
    pub grace: Duration,
    /// `None` if there is only one process.
    pub election: Option<Candidate>,
    pub clock: Clock,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            system_namespace: crds::names::EVENTING_NAMESPACE.to_owned(),
            client: client::Config::default(),
            git_hub: Vec::new(),
            grace: Duration::from_secs(10),
            election: None,
            clock: Arc::new(Timestamp::now),
        }
    }
}

/// Sends until the future is dropped. What is being sent then is sent again, with the same id, by who comes next.
pub fn run_with(caches: Caches, config: Config) -> BoxFuture<'static, ()> {
    run_until(caches, config, Box::pin(std::future::pending()))
}

/// Sends until `stop` ends, then lets deliveries in flight finish and gives the leases back, so that a successor need
/// not wait for their end.
pub fn run_until(caches: Caches, config: Config, stop: BoxFuture<'static, ()>) -> BoxFuture<'static, ()> {
    // Boxed, so that all below is compiled with this crate and not again with each program that calls it.
    Box::pin(senders(caches, config, stop))
}

async fn senders(caches: Caches, config: Config, mut stop: BoxFuture<'static, ()>) {
    let poster = Poster::new(client::Config {
        credentials: Some(Arc::new(Tokens::new(caches.client().clone()))),
        anchors: event_tls::anchors(&caches, &config.system_namespace),
        ..config.client.clone()
    });
    let recorder = |component| Recorder::new(caches.client().clone(), component);
    let pings = ping::Sender::new(
        &caches,
        &config,
        poster.clone(),
        recorder("pingsource-mt-adapter"),
    );
    let changes = api_server::Sender::new(
        &caches,
        &config.system_namespace,
        poster.clone(),
        recorder("apiserversource-adapter"),
    );
    let webhooks = git_hub::Receiver::new(&caches, poster.clone(), recorder("githubsource-adapter"));
    tokio::select! {
        () = caches.synced() => {}
        () = &mut stop => return,
    }
    let mut senders = Manager::new(
        caches.client().clone(),
        &config.system_namespace,
        "event-sources",
        config.election,
    );
    let pinging = senders.leadership("pingsource");
    let watching = senders.leadership("apiserversource");
    senders.spawn(async move { poster.keep().await });
    senders.spawn(pings.run(pinging));
    senders.spawn(changes.run(watching));
    let server = Server::new(
        Arc::new(webhooks),
        ServerConfig {
            max_connections: MAX_CONNECTIONS,
            ..ServerConfig::default()
        },
    );
    let (closing, mut serving) = (CancellationToken::new(), JoinSet::new());
    // Dropped with this, the servers end as well.
    for listener in config.git_hub {
        serving.spawn(server.clone().run(listener, closing.clone(), config.grace));
    }
    senders.work_until(stop).await;
    // First the deliveries in flight, which need the sender of all, then the leases.
    closing.cancel();
    while serving.join_next().await.is_some() {}
    senders.shut_down().await;
}
