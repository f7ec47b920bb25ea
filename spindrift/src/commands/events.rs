//! The components of the events against any cluster.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use broker::model::Backend;
use reconciler::Caches;
use tokio_util::sync::CancellationToken;

use super::component::{beside_health, candidate, client, gate, listen, once_synced, until_told};
use crate::cli::{BrokerArgs, EventSinksArgs, EventSourcesArgs, ProcessArgs};
use crate::events::{self, Doors};

/// What deliveries in flight get when the process is told to end.
const GRACE: Duration = Duration::from_secs(30);

async fn doors(clear: SocketAddr, secure: SocketAddr) -> anyhow::Result<Doors> {
    Ok(Doors {
        clear: listen(clear).await?,
        secure: listen(secure).await?,
    })
}

pub async fn controller(args: ProcessArgs) -> anyhow::Result<ExitCode> {
    let client = client(&args).await?;
    let config = eventing::Config {
        cluster_domain: args.cluster_domain.clone(),
        // Whether it was started with servers of NATS, the data plane knows alone.
        jet_stream: true,
        selection_mode: events::selection_mode()?,
        election: Some(candidate()),
        ..eventing::Config::default()
    };
    let caches = Caches::new(client);
    let start = |until| eventing::run_until(caches.clone(), config, until);
    until_told(&args, &caches, "the caches are not filled yet", start).await
}

pub async fn broker(args: BrokerArgs) -> anyhow::Result<ExitCode> {
    let process = &args.process;
    let client = client(process).await?;
    let stop = CancellationToken::new();
    let caches = Caches::new(client);
    let mut stores = events::open(&args.events_dir)?;
    if let Some(servers) = &args.nats {
        let options = event_jetstream::Options {
            replicas: args.nats_replicas,
            max_age: args.nats_retention,
            ..event_jetstream::Options::new(servers)
        };
        stores.insert(Backend::JetStream, events::connect(options).await?);
    }
    let (open, readiness) = gate("brokers and triggers are not known yet");
    let config = broker::Config {
        serving: open,
        dns: args.dns,
        cluster_domain: process.cluster_domain.clone(),
        shutdown: stop.clone(),
        grace: GRACE,
        ..events::data_plane(caches, doors(args.listen, args.listen_tls).await?, stores.clone())
    };
    let mut running = tokio::spawn(broker::run(config));
    let work = async {
        match (&mut running).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "The data plane ended"),
            Err(error) => tracing::error!(%error, "The data plane broke"),
        }
    };
    let code = beside_health(process, readiness, work).await;
    stop.cancel();
    if !running.is_finished() {
        running.await.context("the data plane broke")??;
    }
    events::close(&stores).await;
    code
}

pub async fn sources(args: EventSourcesArgs) -> anyhow::Result<ExitCode> {
    let process = &args.process;
    let client = client(process).await?;
    let config = event_sources::Config {
        client: broker::client::Config {
            dns: args.dns,
            cluster_domain: process.cluster_domain.clone(),
            ..broker::client::Config::default()
        },
        election: Some(candidate()),
        git_hub: vec![listen(args.listen).await?],
        ..event_sources::Config::default()
    };
    let caches = Caches::new(client);
    let start = |until| event_sources::run_until(caches.clone(), config, until);
    until_told(process, &caches, "the sources are not known yet", start).await
}

pub async fn sinks(args: EventSinksArgs) -> anyhow::Result<ExitCode> {
    let process = &args.process;
    let stop = CancellationToken::new();
    let caches = Caches::new(client(process).await?);
    let sinks = event_sinks::Config {
        shutdown: stop.clone(),
        grace: GRACE,
        ..events::sinks(caches.clone(), doors(args.listen, args.listen_tls).await?)
    };
    let outgoing = broker::client::Config {
        dns: args.dns,
        cluster_domain: process.cluster_domain.clone(),
        ..broker::client::Config::default()
    };
    let request_replies = event_request_reply::Config {
        shutdown: stop.clone(),
        grace: GRACE,
        ..events::request_replies(
            caches.clone(),
            outgoing,
            doors(args.request_reply, args.request_reply_tls).await?,
        )
    };
    let mut sinks = tokio::spawn(event_sinks::run(sinks));
    let mut request_replies = tokio::spawn(event_request_reply::run(request_replies));
    let (open, readiness) = gate("the RequestReplies and the policies are not known yet");
    let work = once_synced(caches, open, async {
        let ended = tokio::select! {
            ended = &mut sinks => ended,
            ended = &mut request_replies => ended,
        };
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "The receivers of events ended"),
            Err(error) => tracing::error!(%error, "The receivers of events broke"),
        }
    });
    let code = beside_health(process, readiness, work).await;
    stop.cancel();
    for running in [sinks, request_replies] {
        if !running.is_finished() {
            running.await.context("the receivers of events broke")??;
        }
    }
    code
}
