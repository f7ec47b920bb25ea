//! Puts the sidecar together, serves, and goes away in order.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use proxy::drain::Drainer;
use proxy::probe::Prober;
use proxy::{Breaker, PoolConfig, Server, ServerConfig, Upstream};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admin::Admin;
use crate::chain::Chain;
use crate::config::Config;
use crate::health::Health;
use crate::reporter::{Reporter, UserMetrics};
use crate::stats::Stats;
use crate::telemetry::Telemetry;

/// Requests that may wait, as a multiple of containerConcurrency (upstream value).
const QUEUE_FACTOR: usize = 10;
/// Applications close idle connections after as little as two seconds (gunicorn) or five (node); connecting anew on
/// loopback costs some 50 µs, a race with that close costs a request.
const APPLICATION_IDLE: Duration = Duration::from_millis(1500);
/// Idle connections to the application when concurrency is not limited (upstream value).
const UNLIMITED_IDLE: usize = 1000;
/// Upgraded connections get this long after everything else has ended (upstream value).
const UPGRADED_GRACE: Duration = Duration::from_secs(60);
/// Requests in flight get this long when the revision has no total timeout.
const DEFAULT_GRACE: Duration = Duration::from_secs(300);

/// The sidecar with its ports open.
pub struct QueueProxy {
    config: Config,
    serving: TcpListener,
    admin: TcpListener,
    autometric: TcpListener,
    usermetric: TcpListener,
}

/// Where the sidecar listens.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    pub serving: SocketAddr,
    pub admin: SocketAddr,
    pub autometric: SocketAddr,
    pub usermetric: SocketAddr,
}

impl QueueProxy {
    /// Opens the ports.
    ///
    /// # Errors
    /// A port is taken.
    pub async fn bind(config: Config) -> io::Result<Self> {
        let bind = async |port| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await;
        Ok(Self {
            serving: bind(config.ports.serving).await?,
            admin: bind(config.ports.admin).await?,
            autometric: bind(config.ports.autometric).await?,
            usermetric: bind(config.ports.usermetric).await?,
            config,
        })
    }

    /// # Errors
    /// The system does not know its own sockets.
    pub fn addresses(&self) -> io::Result<Addresses> {
        Ok(Addresses {
            serving: self.serving.local_addr()?,
            admin: self.admin.local_addr()?,
            autometric: self.autometric.local_addr()?,
            usermetric: self.usermetric.local_addr()?,
        })
    }

    /// Serves until `terminate`, then drains: probes fail, requests go on until none came for the quiet period,
    /// connections finish, upgraded ones get a last minute.
    pub async fn run(self, terminate: CancellationToken) {
        let Self {
            config,
            serving,
            admin,
            autometric,
            usermetric,
        } = self;
        let telemetry = match Telemetry::new(&config.revision) {
            Ok(telemetry) => Arc::new(telemetry),
            Err(error) => {
                tracing::error!(%error, "Metrics cannot be registered");
                return;
            }
        };
        let drainer = Arc::new(Drainer::new(config.quiet_period));
        let stats = Stats::new(Instant::now());
        let limit = config.container_concurrency;
        let grace = config.timeouts.total.unwrap_or(DEFAULT_GRACE);
        let upgraded = TaskTracker::new();
        let tasks = TaskTracker::new();
        let application = Upstream::new(
            (Ipv4Addr::LOCALHOST, config.user_port).into(),
            PoolConfig {
                max_idle: if limit == 0 { UNLIMITED_IDLE } else { limit },
                max_connections: 16_384,
                idle_timeout: APPLICATION_IDLE,
                connect_timeout: Duration::from_secs(5),
            },
        );
        let reporter = Reporter::new(config.revision.pod_name.clone(), stats.clone(), telemetry.clone());
        let chain = Arc::new(Chain {
            health: Health::new(
                Prober::new(config.probes, config.autodetect_http2),
                drainer.clone(),
            ),
            drainer: drainer.clone(),
            telemetry: telemetry.clone(),
            request_log: config.request_log.map(Arc::new),
            timeouts: config.timeouts,
            stats,
            breaker: (limit > 0).then(|| Breaker::new(limit, limit.saturating_mul(QUEUE_FACTOR))),
            application: application.clone(),
            upgraded: upgraded.clone(),
        });
        let admin_handler = Arc::new(Admin {
            drainer: drainer.clone(),
            terminate: terminate.clone(),
            tasks: tasks.clone(),
        });

        let stop = CancellationToken::new();
        let small = ServerConfig {
            max_connections: 128,
            ..ServerConfig::default()
        };
        let requests = tokio::spawn(
            Server::new(
                chain,
                ServerConfig {
                    header_read_timeout: Duration::from_secs(90),
                    ..ServerConfig::default()
                },
            )
            .run(serving, stop.clone(), grace),
        );
        let others = [
            tokio::spawn(Server::new(admin_handler, small.clone()).run(
                admin,
                stop.clone(),
                Duration::from_secs(1),
            )),
            tokio::spawn(Server::new(reporter.clone(), small.clone()).run(
                autometric,
                stop.clone(),
                Duration::ZERO,
            )),
            tokio::spawn(Server::new(Arc::new(UserMetrics(telemetry)), small).run(
                usermetric,
                stop.clone(),
                Duration::ZERO,
            )),
        ];
        let background = [
            tokio::spawn(reporter.run()),
            tokio::spawn(expire_idle(application)),
        ];

        terminate.cancelled().await;
        tracing::info!("Told to stop: draining");
        // A drain that the kubelet's call began may be taken back once; our own signal is final.
        while drainer.drain().await == proxy::drain::Drained::Reset {}
        stop.cancel();
        let _ = requests.await;
        upgraded.close();
        if tokio::time::timeout(UPGRADED_GRACE, upgraded.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                connections = upgraded.len(),
                "Upgraded connections outlived their grace period"
            );
        }
        for task in others {
            let _ = task.await;
        }
        tasks.close();
        tasks.wait().await;
        for task in background {
            task.abort();
        }
        tracing::info!("Drained");
    }
}

async fn expire_idle(application: Arc<Upstream>) {
    let mut period = tokio::time::interval(APPLICATION_IDLE * 2);
    period.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        period.tick().await;
        application.expire_idle();
    }
}
