//! Puts the senders together.

use std::sync::Arc;

use broker::client;
use broker::identity::Tokens;
use futures::future::BoxFuture;
use informer::Caches;
use jiff::Timestamp;
use reconciler::{Leadership, Recorder, leases};
use tokio::task::JoinSet;

use crate::post::Poster;
use crate::{api_server, ping};

/// Source of the current time; tests pass their own.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// How the senders run.
#[derive(Clone)]
pub struct Config {
    /// Where the leases are, and what was sent last.
    pub system_namespace: String,
    /// How sinks are reached, and which of them are not.
    pub client: client::Config,
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
            election: None,
            clock: Arc::new(Timestamp::now),
        }
    }
}

/// Sends until the future is dropped. What is being sent then is sent again, with the same id, by who comes next.
pub fn run_with(caches: Caches, config: Config) -> BoxFuture<'static, ()> {
    // Boxed, so that all below is compiled with this crate and not again with each program that calls it.
    Box::pin(senders(caches, config))
}

async fn senders(caches: Caches, config: Config) {
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
    let changes = api_server::Sender::new(&caches, poster.clone(), recorder("apiserversource-adapter"));
    caches.synced().await;
    let mut running = JoinSet::new();
    let pinging = leadership(&mut running, &caches, &config, "pingsource-mt-adapter");
    let watching = leadership(&mut running, &caches, &config, "apiserversource-adapter");
    running.spawn(async move { poster.keep().await });
    running.spawn(pings.run(pinging));
    running.spawn(changes.run(watching));
    while let Some(ended) = running.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "A sender ended");
        }
    }
}

/// Takes part in the election of the one that sends.
fn leadership(running: &mut JoinSet<()>, caches: &Caches, config: &Config, name: &str) -> Leadership {
    let Some(election) = &config.election else {
        return Leadership::always();
    };
    let candidate = leases::Election::new(
        caches.client().clone(),
        &config.system_namespace,
        &format!("{name}.sender.00-of-01"),
        &election.identity,
        election.timing.clone(),
    );
    let leadership = candidate.leadership();
    running.spawn(candidate.run(std::future::pending()));
    leadership
}
