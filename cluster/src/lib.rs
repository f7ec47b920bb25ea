//! The embedded Kubernetes for one machine: this crate joins its parts behind one door.
//!
//! API server, controllers, node agent, pod network, DNS, image store and registry run in this process; containers run
//! under shims that outlive it. Whoever holds a [`Cluster`] talks to it through an ordinary [`kube::Client`].

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use cluster_apiserver::{ApiServer, Config as ApiConfig, NodeLink};
use cluster_controllers::Controllers;
use cluster_images::{ImageStore, StoreConfig};
use cluster_network::dns::{self, Dns, DnsConfig};
use cluster_network::services::{ProxyConfig, ServiceProxy};
use cluster_network::{Catalog, Network};
use cluster_node::{NodeAgent, NodeConfig};
use futures::future::BoxFuture;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use node_link::SharedNode;

pub use cluster_apiserver::{
    Admission, AdmissionHandler, Concern, Conversion, ConversionHandler, KubeconfigEntry, KubeconfigError,
    Rule, write_kubeconfig,
};

mod endpoints;
mod node_link;

/// The cluster's DNS domain.
const DOMAIN: &str = "cluster.local";

/// What a cluster is started with.
pub struct Config {
    /// Tells instances on one machine apart; network devices and cgroups are named after it.
    pub name: String,
    /// Everything that is stored.
    pub data_dir: PathBuf,
    /// Where users reach the API.
    pub api: TcpListener,
    /// Where users reach the registry.
    pub registry: TcpListener,
    /// Names under which images mean the embedded registry; the first is shown.
    pub registry_names: Vec<String>,
    /// Admission handlers, called in process.
    pub admission: Vec<Admission>,
    /// Conversion webhooks in process.
    pub conversions: Vec<Conversion>,
    /// The program that is run as `<program> shim …` for each pod.
    pub shim: PathBuf,
}

/// Why a cluster does not start.
#[derive(Debug, Error)]
pub enum Error {
    /// The machine lacks something; the text says what, and how to mend it.
    #[error("{0}")]
    Lacking(String),
    #[error("cannot start the pod network")]
    Network(#[from] cluster_network::NetworkError),
    #[error("cannot open the image store")]
    Images(#[from] cluster_images::ImageError),
    #[error("cannot open the store")]
    Store(#[from] cluster_apiserver::OpenError),
    #[error("cannot start the node agent")]
    Node(#[from] cluster_node::StartError),
    #[error("cannot listen on {address}")]
    Listen {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot write to the API")]
    Api(#[from] kube::Error),
}

/// A running cluster.
pub struct Cluster {
    api: ApiServer,
    api_address: SocketAddr,
    images: ImageStore,
    network: Network,
    node: SharedNode,
    controllers: Controllers,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

/// Says in one sentence what this machine lacks to run containers; `Ok` if nothing.
///
/// # Errors
/// [`Error::Lacking`].
pub async fn preflight() -> Result<(), Error> {
    cluster_node::preflight().map_err(|missing| Error::Lacking(missing.to_string()))?;
    cluster_network::preflight()
        .await
        .map_err(|missing| Error::Lacking(missing.to_string()))
}

impl Cluster {
    /// Starts everything. Pods that run already are taken over.
    ///
    /// # Errors
    /// [`Error`]; what was started until then is stopped.
    pub fn start(config: Config) -> BoxFuture<'static, Result<Self, Error>> {
        // Boxed, so that all below is compiled with this crate and not again with each program that calls it.
        Box::pin(Self::start_parts(config))
    }

    async fn start_parts(config: Config) -> Result<Self, Error> {
        let network = Network::start(cluster_network::Config {
            name: config.name.clone(),
            data_dir: config.data_dir.clone(),
            pod_cidr: None,
            service_cidr: None,
        })
        .await?;
        tracing::debug!("The network is there");
        let gateway = network.gateway_ip();
        let service_cidr = network.service_cidr();
        let api_address = local_address(&config.api)?;
        let api_inside = listen(SocketAddr::from((gateway, api_address.port()))).await?;

        let images = ImageStore::open(StoreConfig {
            embedded_registries: config.registry_names,
            ..StoreConfig::new(config.data_dir.join("images"))
        })?;
        let node_link = NodeLink::default();
        let api = ApiServer::open(ApiConfig {
            service_cidr: cluster_apiserver::Cidr {
                base: service_cidr.network(),
                prefix: service_cidr.prefix(),
            },
            admission: config.admission,
            conversions: config.conversions,
            node: node_link.clone(),
            extra_sans: vec![gateway.to_string()],
            ..ApiConfig::new(config.data_dir.join("api"))
        })
        .await?;
        let client = api.client();
        tracing::debug!("The API is there");

        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for listener in [config.api, api_inside] {
            let (api, stopped) = (api.clone(), ended(&stopped));
            tasks.spawn(async move {
                if let Err(error) = api.serve(listener, stopped).await {
                    tracing::error!(%error, "The API is not served");
                }
            });
        }
        tasks.spawn(cluster_images::registry::serve(
            config.registry,
            images.clone(),
            ended(&stopped),
        ));
        endpoints::publish_api(&client, gateway, api_address.port()).await?;

        let controllers = cluster_controllers::start(
            client.clone(),
            cluster_controllers::Config {
                ca_pem: api.ca_pem().to_owned(),
                volumes: std::path::absolute(config.data_dir.join("volumes")).ok(),
            },
        );
        let catalog = Catalog::start(client.clone());
        let proxy = ServiceProxy::start(
            catalog.clone(),
            ProxyConfig {
                node_ports: Some(Ipv4Addr::LOCALHOST),
                ..ProxyConfig::default()
            },
        );
        let dns = Dns::start(
            catalog,
            DnsConfig {
                listen: vec![SocketAddr::from((gateway, dns::PORT))],
                domain: DOMAIN.to_owned(),
                pod_cidr: network.pod_cidr(),
                service_cidr,
                upstreams: None,
            },
        )
        .await?;
        tracing::debug!("Controllers, proxy and DNS are there");
        let until = ended(&stopped);
        tasks.spawn(async move {
            until.await;
            tokio::join!(proxy.stop(), dns.stop());
        });
        let node = NodeAgent::start(NodeConfig::new(
            client,
            host_name(),
            config.data_dir.join("node"),
            images.clone(),
            network.clone(),
            config.shim,
        ))
        .await?;
        tracing::debug!("The node is there");
        let node = SharedNode::new(node);
        node_link.connect(Arc::new(node.clone()));
        Ok(Self {
            api,
            api_address,
            images,
            network,
            node,
            controllers,
            stop,
            tasks,
        })
    }

    /// A client of the API, in process.
    pub fn client(&self) -> kube::Client {
        self.api.client()
    }

    /// Tells whenever it is called why the cluster cannot do its work; `None` if it can.
    pub fn health(&self) -> impl Fn() -> Option<String> + Send + Sync + use<> {
        let api = self.api.clone();
        move || api.trouble()
    }

    /// The images of this machine.
    pub fn images(&self) -> &ImageStore {
        &self.images
    }

    /// The address of this machine as pods see it; what listens there is reachable from pods only.
    pub fn gateway_ip(&self) -> Ipv4Addr {
        self.network.gateway_ip()
    }

    /// URL of the API for users of this machine.
    pub fn api_url(&self) -> String {
        let ip = if self.api_address.ip().is_unspecified() {
            Ipv4Addr::LOCALHOST.into()
        } else {
            self.api_address.ip()
        };
        format!("https://{}", SocketAddr::new(ip, self.api_address.port()))
    }

    /// The credentials of the administrator.
    pub fn kubeconfig(&self, name: &str) -> KubeconfigEntry {
        self.api.kubeconfig_entry(name, &self.api_url())
    }

    /// Stops everything: pods, network, API. Nothing is left on the machine but what is stored.
    pub fn stop(self) -> BoxFuture<'static, ()> {
        // Boxed, so that all below is compiled with this crate and not again with each program that calls it.
        Box::pin(self.stop_parts())
    }

    async fn stop_parts(mut self) {
        drop(self.controllers);
        if let Some(node) = self.node.take() {
            node.stop(true).await;
        }
        let _ = self.stop.send(true);
        while self.tasks.join_next().await.is_some() {}
        if let Err(error) = self.network.stop().await {
            tracing::warn!(%error, "The pod network is not removed whole");
        }
        self.api.shutdown().await;
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address)
        .await
        .map_err(|source| Error::Listen { address, source })
}

fn local_address(listener: &TcpListener) -> Result<SocketAddr, Error> {
    listener.local_addr().map_err(|source| Error::Listen {
        address: SocketAddr::from(([0, 0, 0, 0], 0)),
        source,
    })
}

/// Resolves when the cluster stops.
fn ended(stopped: &watch::Receiver<bool>) -> impl Future<Output = ()> + Send + 'static {
    let mut stopped = stopped.clone();
    async move {
        let _ = stopped.wait_for(|stopped| *stopped).await;
    }
}

/// The name of the one node: that of the machine.
fn host_name() -> String {
    let name = nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .unwrap_or_default();
    let name: String = name
        .to_lowercase()
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '.' {
                c
            } else {
                '-'
            }
        })
        .collect();
    let name = name.trim_matches(|c| c == '-' || c == '.').to_owned();
    if name.is_empty() {
        "spindrift".to_owned()
    } else {
        name
    }
}

/// Removes what a killed instance left on this machine: containers, mounts, devices, control groups. What is stored stays.
///
/// # Errors
/// [`Error`] if the instance cannot be opened; nothing is done if the folder does not exist.
pub async fn clean_up(data_dir: &std::path::Path, name: &str) -> Result<(), Error> {
    if !data_dir.join("node").is_dir() {
        return Ok(());
    }
    // Whoever starts takes over what is there, and whoever stops leaves nothing: one way to clean up, not two.
    let ephemeral = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let cluster = Cluster::start(Config {
        name: name.to_owned(),
        data_dir: data_dir.to_path_buf(),
        api: listen(ephemeral).await?,
        registry: listen(ephemeral).await?,
        registry_names: vec!["localhost".to_owned()],
        admission: Vec::new(),
        conversions: Vec::new(),
        shim: std::env::current_exe().unwrap_or_default(),
    })
    .await?;
    cluster.stop().await;
    Ok(())
}
