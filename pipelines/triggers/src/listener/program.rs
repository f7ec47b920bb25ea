//! A listener as a program: its arguments, its cluster, its signals.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config as Cluster};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{Config, StartError, run};

/// What requests and triggers under way get when the program is told to end.
const GRACE: Duration = Duration::from_secs(25);
/// Where a pod finds its name servers.
const RESOLV_CONF: &str = "/etc/resolv.conf";
const DNS_PORT: u16 = 53;

/// What a listener is told.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Namespace of the EventListener
    #[arg(long, env = "EL_NAMESPACE")]
    pub namespace: String,
    /// Name of the EventListener
    #[arg(long, env = "EL_NAME")]
    pub name: String,
    /// Where events arrive
    #[arg(long, default_value = "0.0.0.0:8080", value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,
    /// Where metrics are served
    #[arg(long, default_value = "0.0.0.0:9000", value_name = "ADDRESS:PORT")]
    pub metrics: SocketAddr,
    /// DNS suffix of the cluster
    #[arg(long, default_value = "cluster.local")]
    pub cluster_domain: String,
    /// Server that resolves the names of the cluster [default: that of /etc/resolv.conf]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub dns: Option<SocketAddr>,
    /// Credentials of the cluster [default: those of the pod]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

/// Why the program ends.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// An address is taken.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Which one.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// There are no credentials of a cluster.
    #[error("no cluster is configured: {0}")]
    Cluster(String),
    /// Signals cannot be watched.
    #[error("cannot watch for signals: {0}")]
    Signals(std::io::Error),
    /// The listener does not start.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// If it cannot start.
pub async fn main(args: Args) -> Result<(), ProgramError> {
    let cluster = cluster(&args).await?;
    let client_for = move |user: Option<&str>| {
        let mut cluster = cluster.clone();
        cluster.auth_info.impersonate = user.map(str::to_owned);
        Client::try_from(cluster)
    };
    let registry = prometheus::default_registry().clone();
    let metrics = listen(args.metrics).await?;
    let stop = CancellationToken::new();
    let config = Config {
        listener: listen(args.listen).await?,
        client_for: Arc::new(client_for),
        outgoing: event_client::Config {
            dns: args.dns.or_else(system_dns),
            cluster_domain: args.cluster_domain.clone(),
            ..event_client::Config::default()
        },
        namespace: args.namespace,
        name: args.name,
        registry,
        shutdown: stop.clone(),
        grace: GRACE,
    };
    let mut terminate = signal(SignalKind::terminate()).map_err(ProgramError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ProgramError::Signals)?;
    let telling = tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.cancel();
    });
    let measured = tokio::spawn(reconciler::health::serve(metrics, Arc::new(|| Ok(()))));
    let ended = run(config).await;
    telling.abort();
    measured.abort();
    Ok(ended?)
}

async fn cluster(args: &Args) -> Result<Cluster, ProgramError> {
    let unusable = |error: &dyn std::fmt::Display| ProgramError::Cluster(error.to_string());
    match &args.kubeconfig {
        Some(path) => {
            let file = Kubeconfig::read_from(path).map_err(|error| unusable(&error))?;
            Cluster::from_custom_kubeconfig(file, &KubeConfigOptions::default())
                .await
                .map_err(|error| unusable(&error))
        }
        None => Cluster::infer().await.map_err(|error| unusable(&error)),
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, ProgramError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| ProgramError::Listen { address, source })
}

/// The first name server of the pod.
fn system_dns() -> Option<SocketAddr> {
    first_server(&std::fs::read_to_string(RESOLV_CONF).ok()?)
}

fn first_server(text: &str) -> Option<SocketAddr> {
    text.lines().find_map(|line| {
        let address: IpAddr = line.trim().strip_prefix("nameserver")?.trim().parse().ok()?;
        Some(SocketAddr::new(address, DNS_PORT))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_server_is_asked() {
        let text = "# comment\nsearch a b\nnameserver 10.96.0.10\nnameserver 1.1.1.1\n";
        assert_eq!(first_server(text), Some("10.96.0.10:53".parse().unwrap()));
        assert_eq!(
            first_server("nameserver fd00::1"),
            Some("[fd00::1]:53".parse().unwrap())
        );
        assert_eq!(first_server("options x"), None);
    }
}
