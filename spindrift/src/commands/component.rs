//! One component of the platform against any cluster.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Service;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use reconciler::health::Readiness;
use reconciler::leases::{self, Election};
use reconciler::{Caches, Candidate, ConfigStore};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::interrupt::Interrupt;
use crate::cli::{ActivatorArgs, AutoscalerArgs, ComponentArgs, GatewayArgs, ProcessArgs};

/// The Service that activators push stats to unless told otherwise.
const AUTOSCALER: &str = crds::names::AUTOSCALER_SERVICE;
/// The lease of the one autoscaler that decides (upstream's name for a single bucket).
const AUTOSCALER_LEASE: &str = "autoscaler-bucket-00-of-01";

/// A client of the cluster that the arguments name.
pub async fn client(args: &ProcessArgs) -> anyhow::Result<Client> {
    connect(args.kubeconfig.as_deref()).await
}

/// A client of the cluster of a kubeconfig, or of the usual places.
pub async fn connect(kubeconfig: Option<&std::path::Path>) -> anyhow::Result<Client> {
    let mut config = match kubeconfig {
        Some(path) => {
            let kubeconfig =
                Kubeconfig::read_from(path).with_context(|| format!("cannot use {}", path.display()))?;
            Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?
        }
        None => Config::infer()
            .await
            .context("no cluster is configured: give --kubeconfig, or run in a pod")?,
    };
    // Watches are quiet for as long as nothing happens.
    config.read_timeout = None;
    Ok(Client::try_from(config)?)
}

pub async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))
}

/// Serves health and metrics beside `work` until a signal.
pub async fn beside_health(
    args: &ProcessArgs,
    readiness: Readiness,
    work: impl Future<Output = ()>,
) -> anyhow::Result<ExitCode> {
    let mut interrupt = Interrupt::listen()?;
    let listener = listen(args.health_address).await?;
    tracing::info!(address = %listener.local_addr()?, "Health and metrics are served");
    tokio::select! {
        () = reconciler::health::serve(listener, readiness) => {}
        () = work => anyhow::bail!("the component ended by itself"),
        () = interrupt.next() => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// Who this process is among its replicas: the pod's name, or the machine's and the process's.
pub fn identity() -> String {
    let host = std::env::var("POD_NAME")
        .ok()
        .or_else(|| nix::unistd::gethostname().ok()?.into_string().ok())
        .unwrap_or_else(|| "spindrift".to_owned());
    format!("{host}_{}", std::process::id())
}

/// Takes part in the elections among the replicas of this process.
pub fn candidate() -> Candidate {
    Candidate::new(identity())
}

/// A readiness that is told when it is so.
pub fn gate(missing: &'static str) -> (Arc<AtomicBool>, Readiness) {
    let open = Arc::new(AtomicBool::new(false));
    let seen = open.clone();
    let readiness = move || match seen.load(Ordering::Relaxed) {
        true => Ok(()),
        false => Err(missing.to_owned()),
    };
    (open, Arc::new(readiness))
}

/// Runs `work`, whose first step subscribes to what it reads, and opens the gate once all of that is there.
pub async fn once_synced(caches: Caches, open: Arc<AtomicBool>, work: impl Future<Output = ()>) {
    let synced = async {
        caches.synced().await;
        open.store(true, Ordering::Relaxed);
    };
    tokio::join!(biased; work, synced);
}

/// Runs the component that `start` makes until a signal, and then to the end that it ends in itself: it gives its leases
/// back, so that the next one need not wait for theirs.
pub async fn until_told(
    args: &ProcessArgs,
    caches: &Caches,
    missing: &'static str,
    start: impl FnOnce(BoxFuture<'static, ()>) -> BoxFuture<'static, ()>,
) -> anyhow::Result<ExitCode> {
    let (open, readiness) = gate(missing);
    let stop = CancellationToken::new();
    let mut running = start(Box::pin(stop.clone().cancelled_owned()));
    // Not a task of its own: when that would subscribe to what it reads is not known here, and before it does nothing
    // is missing.
    let work = once_synced(caches.clone(), open, &mut running);
    let code = beside_health(args, readiness, work).await?;
    stop.cancel();
    running.await;
    Ok(code)
}

pub async fn controller(args: ComponentArgs) -> anyhow::Result<ExitCode> {
    let client = client(&args.process).await?;
    let config = serving::Config {
        system_namespace: args.system_namespace.clone(),
        cluster_domain: args.process.cluster_domain.clone(),
        election: Some(candidate()),
        ..serving::Config::default()
    };
    let caches = Caches::new(client);
    let start = |until| serving::run_until(caches.clone(), config, until);
    until_told(&args.process, &caches, "the caches are not filled yet", start).await
}

pub async fn autoscaler(args: AutoscalerArgs) -> anyhow::Result<ExitCode> {
    let component = &args.component;
    let client = client(&component.process).await?;
    let stats = listen(args.stats_address).await?;
    let caches = Caches::new(client.clone());
    let config = ConfigStore::start(&caches, &component.system_namespace);
    let election = Election::new(
        client,
        &component.system_namespace,
        AUTOSCALER_LEASE,
        &identity(),
        leases::Timing::default(),
    );
    let leadership = election.leadership();
    let (open, readiness) = gate("the caches are not filled yet");
    let work = once_synced(
        caches.clone(),
        open,
        autoscaler::run(autoscaler::Config {
            caches,
            config,
            system_namespace: component.system_namespace.clone(),
            cluster_domain: component.process.cluster_domain.clone(),
            stats,
            leadership,
        }),
    );
    let stop = CancellationToken::new();
    let electing = tokio::spawn(election.run(stop.clone().cancelled_owned()));
    let code = beside_health(&component.process, readiness, work).await;
    // Gives the lease back, so that the next one need not wait for its end.
    stop.cancel();
    let _ = electing.await;
    code
}

/// Where to push stats: as given, else the address of the Service, which works without cluster DNS too, else its name.
async fn stats_url(client: &Client, given: Option<String>, component: &ComponentArgs) -> String {
    if let Some(url) = given {
        return url;
    }
    let services: Api<Service> = Api::namespaced(client.clone(), &component.system_namespace);
    let address = services
        .get_opt(AUTOSCALER)
        .await
        .inspect_err(|error| tracing::warn!(%error, "The Service of the autoscaler cannot be read"))
        .ok()
        .flatten()
        .and_then(|service| service.spec?.cluster_ip)
        .filter(|address| address != "None");
    let host = address.unwrap_or_else(|| {
        format!(
            "{AUTOSCALER}.{}.svc.{}",
            component.system_namespace, component.process.cluster_domain
        )
    });
    format!("ws://{host}:{}", crds::ports::AUTOSCALER)
}

async fn activator_config(
    client: &Client,
    autoscaler: Option<String>,
    component: &ComponentArgs,
) -> activator::Config {
    activator::Config {
        pod_name: identity(),
        pod_ip: std::env::var("POD_IP").ok().and_then(|ip| ip.parse().ok()),
        autoscaler: Some(stats_url(client, autoscaler, component).await),
        ..activator::Config::default()
    }
}

pub async fn activator(args: ActivatorArgs) -> anyhow::Result<ExitCode> {
    let client = client(&args.component.process).await?;
    let mut listeners = Vec::new();
    for port in [crds::ports::BACKEND_HTTP, crds::ports::BACKEND_HTTP2] {
        listeners.push(listen(SocketAddr::new(args.listen, port)).await?);
    }
    let activator = activator::Activator::new(
        activator_config(&client, args.autoscaler, &args.component).await,
        prometheus::default_registry(),
    )?;
    let (open, readiness) = gate("the revisions and their pods are not known yet");
    let model = activator.model().clone();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(activator.clone().serve(listeners, stop.clone()));
    let work = async {
        let synced = async {
            model.synced().await;
            open.store(true, Ordering::Relaxed);
        };
        tokio::join!(activator.run(client), synced);
    };
    let code = beside_health(&args.component.process, readiness, work).await;
    stop.cancel();
    let _ = serving.await;
    code
}

pub async fn gateway(args: GatewayArgs) -> anyhow::Result<ExitCode> {
    let client = client(&args.component.process).await?;
    let (mut external, mut internal) = (Vec::new(), Vec::new());
    for address in &args.external {
        external.push(listen(*address).await?);
    }
    for address in &args.internal {
        internal.push(listen(*address).await?);
    }
    let domain = |service: &str| {
        format!(
            "{service}.{}.svc.{}",
            args.component.system_namespace, args.component.process.cluster_domain
        )
    };
    let stop = CancellationToken::new();
    let config = gateway::Config {
        external,
        internal,
        external_domain: domain("gateway"),
        internal_domain: domain("gateway-internal"),
        activator: activator_config(&client, args.autoscaler.clone(), &args.component).await,
        registry: prometheus::default_registry().clone(),
        shutdown: stop.clone(),
        ..gateway::Config::new(client)
    };
    let progress = config.progress.clone();
    let readiness = Arc::new(move || progress.missing().map_or(Ok(()), Err));
    let serving = tokio::spawn(gateway::run(config));
    let code = beside_health(&args.component.process, readiness, std::future::pending()).await;
    stop.cancel();
    serving.await??;
    code
}
