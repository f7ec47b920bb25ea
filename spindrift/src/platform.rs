//! The parts of the platform in one process, as `spindrift up` runs them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use reconciler::{Caches, ConfigStore, Leadership};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::events::{self, Doors, Events};
use crate::install::{self, Front, Half};

/// DNS suffix of the embedded cluster.
pub const CLUSTER_DOMAIN: &str = "cluster.local";

/// Where components answer a scraper, as everywhere (`http-metrics` of the Service `activator-service`).
const METRICS_PORT: u16 = 9090;

/// Where the embedded cluster answers for its names.
const DNS_PORT: u16 = 53;

/// What requests in flight get when the platform stops: one machine, one user, a moment and not minutes.
const GRACE: Duration = Duration::from_secs(5);

/// Where the platform listens.
pub struct Listeners {
    /// Requests from outside.
    pub external: Vec<TcpListener>,
    /// Requests from pods to cluster-local hosts.
    internal: TcpListener,
    /// What ServerlessServices send to activators.
    activator: Vec<TcpListener>,
    /// Where activators push stats.
    stats: TcpListener,
    stats_port: u16,
    /// Where events are accepted, from pods and, through the gateway, from outside.
    events: Doors,
    /// Where webhooks arrive, through the gateway.
    webhooks: TcpListener,
    /// Where job sinks take events.
    sinks: Doors,
    /// Where git hosts tell of pushes, through the gateway.
    pushes: TcpListener,
    /// Where archived runs are read, through the gateway.
    runs: TcpListener,
    /// Where RequestReplies take requests.
    request_replies: Doors,
    /// Health and metrics of the whole process.
    metrics: TcpListener,
    fronts: Vec<Front>,
}

impl Listeners {
    /// Listens for pods on `inside`, the machine's address on the pod network, where no one else is.
    pub async fn open(external: Vec<TcpListener>, inside: Ipv4Addr) -> anyhow::Result<Self> {
        let listen = async |port: u16| {
            let address = SocketAddr::from((inside, port));
            TcpListener::bind(address)
                .await
                .with_context(|| format!("cannot listen on {address}"))
        };
        let doors = async || {
            let (clear, secure) = (listen(0).await?, listen(0).await?);
            anyhow::Ok(Doors { clear, secure })
        };
        let internal = listen(0).await?;
        let activator = vec![
            listen(crds::ports::BACKEND_HTTP).await?,
            listen(crds::ports::BACKEND_HTTP2).await?,
        ];
        let stats = listen(0).await?;
        let metrics = listen(METRICS_PORT).await?;
        let events = doors().await?;
        let webhooks = listen(0).await?;
        let sinks = doors().await?;
        let pushes = listen(0).await?;
        let runs = listen(0).await?;
        let runs_port = runs.local_addr()?.port();
        let request_replies = doors().await?;
        let (internal_port, stats_port) = (internal.local_addr()?.port(), stats.local_addr()?.port());
        let ports = |doors: &Doors| {
            let port = |listener: &TcpListener| anyhow::Ok(listener.local_addr()?.port());
            anyhow::Ok(install::doors(port(&doors.clear)?, port(&doors.secure)?))
        };
        let (events_ports, sinks_ports) = (ports(&events)?, ports(&sinks)?);
        let fronts_ports = ports(&request_replies)?;
        let webhooks_port = webhooks.local_addr()?.port();
        let pushes_port = pushes.local_addr()?.port();
        let fronts = vec![
            Front {
                half: Half::Serving,
                service: "gateway",
                ports: vec![("http", crds::ports::SERVICE_HTTP, internal_port)],
            },
            Front {
                half: Half::Serving,
                service: "gateway-internal",
                ports: vec![("http2", crds::ports::SERVICE_HTTP, internal_port)],
            },
            Front {
                half: Half::Serving,
                service: "activator-service",
                ports: vec![
                    ("http", crds::ports::SERVICE_HTTP, crds::ports::BACKEND_HTTP),
                    ("http2", crds::ports::SERVICE_HTTP2, crds::ports::BACKEND_HTTP2),
                    ("http-metrics", METRICS_PORT, METRICS_PORT),
                ],
            },
            Front {
                half: Half::Serving,
                service: "autoscaler",
                ports: vec![("http", crds::ports::AUTOSCALER, stats_port)],
            },
            Front {
                half: Half::Events,
                service: crds::names::BROKER_INGRESS_SERVICE,
                ports: events_ports.clone(),
            },
            Front {
                half: Half::Events,
                service: crds::names::CHANNEL_DISPATCHER_SERVICE,
                ports: events_ports,
            },
            Front {
                half: Half::Events,
                service: crds::names::GIT_HUB_SOURCE_SERVICE,
                ports: vec![("http", crds::ports::SERVICE_HTTP, webhooks_port)],
            },
            Front {
                half: Half::Events,
                service: crds::names::JOB_SINK_SERVICE,
                ports: sinks_ports,
            },
            Front {
                half: Half::Pipelines,
                service: crds::spindrift::PUSH_SERVICE,
                ports: vec![("http", crds::ports::SERVICE_HTTP, pushes_port)],
            },
            Front {
                half: Half::Pipelines,
                service: archive::SERVICE,
                ports: vec![("http", crds::ports::SERVICE_HTTP, runs_port)],
            },
            Front {
                half: Half::Events,
                service: crds::names::REQUEST_REPLY_SERVICE,
                ports: fronts_ports,
            },
        ];
        Ok(Self {
            external,
            internal,
            activator,
            stats,
            stats_port,
            metrics,
            events,
            webhooks,
            sinks,
            pushes,
            runs,
            request_replies,
            fronts,
        })
    }

    /// The Services in front of these listeners.
    pub fn fronts(&self) -> &[Front] {
        &self.fronts
    }
}

/// What the part of the platform that deals with pipelines is started with.
pub struct Pipelines {
    pub tasks: pipelines::Config,
    pub push: push::Config,
    /// What runs said that are over.
    pub runs: Arc<archive::Store>,
    pub triggers: triggers::Config,
}

/// The running platform.
pub struct Platform {
    tasks: JoinSet<()>,
    /// Ends by itself after `stop`, once its requests have.
    gateway: JoinHandle<()>,
    /// Likewise, once its deliveries have.
    broker: JoinHandle<()>,
    senders: JoinHandle<()>,
    /// Likewise, once its requests have.
    sinks: JoinHandle<()>,
    /// Likewise, once it has told of runs what it can.
    task_runs: JoinHandle<()>,
    /// Likewise, once its deliveries have.
    push: JoinHandle<()>,
    /// Likewise, once its requests have.
    runs: JoinHandle<()>,
    request_replies: JoinHandle<()>,
    stores: broker::Stores,
    stop: CancellationToken,
    health: Health,
}

/// Tells why the process cannot do its work; `None` if it can.
pub type Health = Arc<dyn Fn() -> Option<String> + Send + Sync>;

impl Platform {
    /// Starts every component on the cluster of `caches`. `inside` is where pods reach this process; `cluster` tells of what the
    /// components stand on.
    pub fn start(
        cluster: Health,
        listeners: Listeners,
        inside: Ipv4Addr,
        caches: Caches,
        config: ConfigStore,
        events: Events,
        pipelines: Pipelines,
    ) -> Self {
        let client = caches.client().clone();
        let Events {
            stores,
            selection_mode,
        } = events;
        let (mut tasks, stop) = (JoinSet::new(), CancellationToken::new());
        tasks.spawn(serving::run_with(caches.clone(), serving::Config::default()));
        let runs = tokio::spawn(archive::run_until(
            caches.clone(),
            archive::Config {
                listeners: vec![listeners.runs],
                grace: GRACE,
                ..archive::Config::new(pipelines.runs)
            },
            Box::pin(stop.clone().cancelled_owned()),
        ));
        // Processes of the machine do not use the cluster's DNS by themselves.
        let dns = Some(SocketAddr::from((inside, DNS_PORT)));
        // One machine and one user: sinks and git hosts may be on it.
        let allowed = pipelines::Allowed {
            loopback: true,
            ..pipelines::Allowed::default()
        };
        let task_runs = tokio::spawn(pipelines::run_until(
            caches.clone(),
            pipelines::Config {
                outgoing: pipelines::Outgoing {
                    dns,
                    allowed,
                    ..pipelines.tasks.outgoing
                },
                ..pipelines.tasks
            },
            Box::pin(stop.clone().cancelled_owned()),
        ));
        let push = tokio::spawn(push::run_until(
            caches.clone(),
            push::Config {
                grace: GRACE,
                outgoing: push::Outgoing {
                    dns,
                    allowed,
                    ..pipelines.push.outgoing
                },
                ..pipelines.push
            },
            vec![listeners.pushes],
            Box::pin(stop.clone().cancelled_owned()),
        ));
        tasks.spawn(triggers::run_with(caches.clone(), pipelines.triggers));
        tasks.spawn(resolvers::run_with(
            caches.clone(),
            resolvers::Config {
                dns,
                ..resolvers::Config::default()
            },
        ));
        let outgoing = broker::client::Config {
            dns,
            ..broker::client::Config::default()
        };
        tasks.spawn(eventing::run_with(
            caches.clone(),
            eventing::Config {
                client: outgoing.clone(),
                selection_mode,
                ..eventing::Config::default()
            },
        ));
        let senders = tokio::spawn(event_sources::run_until(
            caches.clone(),
            event_sources::Config {
                client: outgoing.clone(),
                git_hub: vec![listeners.webhooks],
                grace: GRACE,
                ..event_sources::Config::default()
            },
            Box::pin(stop.clone().cancelled_owned()),
        ));
        let broker = broker::Config {
            dns,
            shutdown: stop.clone(),
            grace: GRACE,
            ..events::data_plane(caches.clone(), listeners.events, stores.clone())
        };
        let broker = tokio::spawn(async move {
            if let Err(error) = broker::run(broker).await {
                tracing::error!(%error, "The data plane of events does not run");
            }
        });
        let sinks = event_sinks::Config {
            shutdown: stop.clone(),
            grace: GRACE,
            ..events::sinks(caches.clone(), listeners.sinks)
        };
        let sinks = tokio::spawn(async move {
            if let Err(error) = event_sinks::run(sinks).await {
                tracing::error!(%error, "The receivers of events do not run");
            }
        });
        let fronts = event_request_reply::Config {
            shutdown: stop.clone(),
            grace: GRACE,
            ..events::request_replies(caches.clone(), outgoing, listeners.request_replies)
        };
        let request_replies = tokio::spawn(async move {
            if let Err(error) = event_request_reply::run(fronts).await {
                tracing::error!(%error, "What holds requests for answers does not run");
            }
        });
        tasks.spawn(autoscaler::run(autoscaler::Config {
            caches,
            config,
            system_namespace: crds::names::SYSTEM_NAMESPACE.to_owned(),
            cluster_domain: CLUSTER_DOMAIN.to_owned(),
            stats: listeners.stats,
            leadership: Leadership::always(),
        }));
        let gateway = gateway::Config {
            external: listeners.external,
            internal: vec![listeners.internal],
            activator_listeners: listeners.activator,
            activator: activator::Config {
                pod_name: "spindrift".to_owned(),
                pod_ip: Some(IpAddr::V4(inside)),
                autoscaler: Some(format!(
                    "ws://{}",
                    SocketAddr::from((inside, listeners.stats_port))
                )),
                // Elsewhere others take over meanwhile; here nobody does, and Ctrl-C would take a minute.
                drain: Duration::ZERO,
                grace: GRACE,
                ..activator::Config::default()
            },
            registry: prometheus::default_registry().clone(),
            shutdown: stop.clone(),
            grace: GRACE,
            ..gateway::Config::new(client)
        };
        let progress = gateway.progress.clone();
        let health: Health = Arc::new(move || cluster().or_else(|| progress.missing()));
        let ready = health.clone();
        tasks.spawn(reconciler::health::serve(
            listeners.metrics,
            Arc::new(move || ready().map_or(Ok(()), Err)),
        ));
        let gateway = tokio::spawn(async move {
            if let Err(error) = gateway::run(gateway).await {
                tracing::error!(%error, "The gateway does not run");
            }
        });
        Self {
            tasks,
            gateway,
            broker,
            senders,
            sinks,
            task_runs,
            push,
            runs,
            request_replies,
            stores,
            stop,
            health,
        }
    }

    /// Whether cluster and components can do their work.
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// Lets requests in flight finish, then ends every component.
    pub async fn stop(mut self) {
        self.stop.cancel();
        let _ = tokio::join!(
            &mut self.gateway,
            &mut self.senders,
            &mut self.broker,
            &mut self.sinks,
            &mut self.task_runs,
            &mut self.push,
            &mut self.runs,
            &mut self.request_replies
        );
        events::close(&self.stores).await;
        self.tasks.shutdown().await;
    }
}
