//! One component of the platform against any cluster.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use prometheus::Registry;
use reconciler::leases::{self, Election};
use reconciler::{Caches, ConfigStore};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::cluster::interrupted;
use crate::cli::{ActivatorArgs, AutoscalerArgs, ComponentArgs, GatewayArgs};

/// The Service that activators push stats to unless told otherwise.
const AUTOSCALER: &str = "autoscaler";

async fn client(args: &ComponentArgs) -> anyhow::Result<Client> {
    let mut config = match &args.kubeconfig {
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

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))
}

/// Serves health and metrics beside `work` until a signal.
async fn beside_health(args: &ComponentArgs, work: impl Future<Output = ()>) -> anyhow::Result<ExitCode> {
    let listener = listen(args.health_address).await?;
    tokio::select! {
        () = reconciler::health::serve(listener, Arc::new(|| Ok(()))) => {}
        () = work => anyhow::bail!("the component ended by itself"),
        result = interrupted() => result?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Who this process is among its replicas: the pod's name, or the machine's and the process's.
fn identity() -> String {
    let host = std::env::var("POD_NAME")
        .ok()
        .or_else(|| nix::unistd::gethostname().ok()?.into_string().ok())
        .unwrap_or_else(|| "spindrift".to_owned());
    format!("{host}_{}", std::process::id())
}

pub async fn controller(args: ComponentArgs) -> anyhow::Result<ExitCode> {
    let client = client(&args).await?;
    let election = serving::Election {
        identity: identity(),
        timing: leases::Timing::default(),
    };
    let config = serving::Config {
        system_namespace: args.system_namespace.clone(),
        cluster_domain: args.cluster_domain.clone(),
        election: Some(election),
        ..serving::Config::default()
    };
    beside_health(&args, serving::run(client, config)).await
}

pub async fn autoscaler(args: AutoscalerArgs) -> anyhow::Result<ExitCode> {
    let component = &args.component;
    let client = client(component).await?;
    let stats = listen(args.stats_address).await?;
    let caches = Caches::new(client.clone());
    let config = ConfigStore::start(&caches, &component.system_namespace);
    let lease = format!("{AUTOSCALER}.00-of-01");
    let election = Election::new(
        client,
        &component.system_namespace,
        &lease,
        &identity(),
        leases::Timing::default(),
    );
    let leadership = election.leadership();
    let work = autoscaler::run(autoscaler::Config {
        caches,
        config,
        system_namespace: component.system_namespace.clone(),
        cluster_domain: component.cluster_domain.clone(),
        stats,
        leadership,
    });
    let work = async {
        tokio::join!(work, election.run(std::future::pending()));
    };
    beside_health(component, work).await
}

fn stats_url(given: Option<String>, component: &ComponentArgs) -> String {
    given.unwrap_or_else(|| {
        format!(
            "ws://{AUTOSCALER}.{}.svc.{}:8080",
            component.system_namespace, component.cluster_domain
        )
    })
}

fn activator_config(autoscaler: Option<String>, component: &ComponentArgs) -> activator::Config {
    activator::Config {
        pod_name: identity(),
        pod_ip: std::env::var("POD_IP").ok().and_then(|ip| ip.parse().ok()),
        autoscaler: Some(stats_url(autoscaler, component)),
        ..activator::Config::default()
    }
}

pub async fn activator(args: ActivatorArgs) -> anyhow::Result<ExitCode> {
    let client = client(&args.component).await?;
    let mut listeners = Vec::new();
    for port in [crds::ports::BACKEND_HTTP, crds::ports::BACKEND_HTTP2] {
        listeners.push(listen(SocketAddr::new(args.listen, port)).await?);
    }
    let activator = activator::Activator::new(
        activator_config(args.autoscaler, &args.component),
        &Registry::new(),
    )?;
    let stop = CancellationToken::new();
    let serving = tokio::spawn(activator.clone().serve(listeners, stop.clone()));
    let code = beside_health(&args.component, activator.run(client)).await;
    stop.cancel();
    let _ = serving.await;
    code
}

pub async fn gateway(args: GatewayArgs) -> anyhow::Result<ExitCode> {
    let client = client(&args.component).await?;
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
            args.component.system_namespace, args.component.cluster_domain
        )
    };
    let stop = CancellationToken::new();
    let config = gateway::Config {
        external,
        internal,
        external_domain: domain("gateway"),
        internal_domain: domain("gateway-internal"),
        activator: activator_config(args.autoscaler.clone(), &args.component),
        registry: Registry::new(),
        shutdown: stop.clone(),
        ..gateway::Config::new(client)
    };
    let serving = tokio::spawn(gateway::run(config));
    let code = beside_health(&args.component, std::future::pending()).await;
    stop.cancel();
    serving.await??;
    code
}
