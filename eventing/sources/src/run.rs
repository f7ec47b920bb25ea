//! Puts the senders together.

use std::sync::Arc;
use std::time::Duration;

use broker::identity::Tokens;
use event_client as client;
use futures::future::BoxFuture;
use informer::Caches;
use jiff::Timestamp;
use proxy::{Server, ServerConfig};
use reconciler::{Leadership, Recorder, leases};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::post::Poster;
use crate::{api_server, git_hub, ping};

/// Source of the current time; tests pass their own.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

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
    pub election: Option<Election>,
    pub clock: Clock,
}

/// Who this process is among its replicas.
#[derive(Clone, Debug)]
pub struct Election {
    /// Starts with the pod's name and an underscore.
    pub identity: String,
    pub timing: leases::Timing,
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

async fn senders(caches: Caches, mut config: Config, mut stop: BoxFuture<'static, ()>) {
    let poster = Poster::new(client::Config {
        credentials: Some(Arc::new(Tokens::new(caches.client().clone()))),
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
    let mut elections = Elections {
        caches: caches.clone(),
        running: JoinSet::new(),
        stopping: watch::Sender::new(false),
    };
    let pinging = elections.leadership(&config, "pingsource-mt-adapter");
    let watching = elections.leadership(&config, "apiserversource-adapter");
    let mut running = JoinSet::new();
    running.spawn(async move { poster.keep().await });
    running.spawn(pings.run(pinging));
    running.spawn(changes.run(watching));
    let server = Server::new(
        Arc::new(webhooks),
        ServerConfig {
            max_connections: MAX_CONNECTIONS,
            ..ServerConfig::default()
        },
    );
    let (closing, mut serving) = (CancellationToken::new(), JoinSet::new());
    // Dropped with this, the servers end as well.
    for listener in std::mem::take(&mut config.git_hub) {
        serving.spawn(server.clone().run(listener, closing.clone(), config.grace));
    }
    let working = async {
        while let Some(ended) = running.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "A sender ended");
            }
        }
    };
    tokio::select! {
        () = working => {}
        () = stop => {}
    }
    // First the deliveries in flight, which need the sender of all, then the leases.
    closing.cancel();
    while serving.join_next().await.is_some() {}
    running.shutdown().await;
    elections.end().await;
}

/// Takes part in the elections of the ones that send.
struct Elections {
    caches: Caches,
    running: JoinSet<()>,
    /// Tells them to end.
    stopping: watch::Sender<bool>,
}

impl Elections {
    fn leadership(&mut self, config: &Config, name: &str) -> Leadership {
        let Some(election) = &config.election else {
            return Leadership::always();
        };
        let candidate = leases::Election::new(
            self.caches.client().clone(),
            &config.system_namespace,
            &format!("{name}.sender.00-of-01"),
            &election.identity,
            election.timing.clone(),
        );
        let leadership = candidate.leadership();
        let mut stopping = self.stopping.subscribe();
        self.running.spawn(candidate.run(async move {
            let _ = stopping.wait_for(|stopping| *stopping).await;
        }));
        leadership
    }

    /// Gives the leases back.
    async fn end(mut self) {
        self.stopping.send_replace(true);
        while self.running.join_next().await.is_some() {}
    }
}
