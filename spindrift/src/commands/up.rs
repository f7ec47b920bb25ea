//! `spindrift up`: the whole platform on this machine.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use eventing::admission::Bindings;
use reconciler::{Caches, ConfigStore};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::cluster::{self as bare, Started};
use super::interrupt::{self, Interrupt};
use super::{detach, say};
use crate::cli::UpArgs;
use crate::demo;
use crate::events::{self, Events};
use crate::hooks::{LateConfig, LiveConfig, embedded, embedded_conversions};
use crate::install;
use crate::platform::{Listeners, Pipelines, Platform};
use crate::run_file::Run;
use crate::{component_images, ports};

const HTTP_PORT: u16 = 8080;
/// The port that a browser takes if none is named; served too when it is free, so that the URLs in statuses work as
/// they are.
const WELL_KNOWN_PORT: u16 = 80;
/// Every name below it is this machine.
const DOMAIN: &str = "localhost";

pub async fn run(args: UpArgs) -> anyhow::Result<ExitCode> {
    if args.cluster.detach {
        let run = detach::run(&args.cluster.data.data_dir).await?;
        summary(&run, None);
        return Ok(ExitCode::SUCCESS);
    }
    let mut interrupt = Interrupt::listen()?;
    let start = Instant::now();
    let (up, interrupted) = interrupt.after(Up::start(&args)).await?;
    let up = up?;
    let served = if interrupted {
        Ok(())
    } else {
        let served = tokio::select! {
            served = up.serve(&args, start.elapsed()) => served,
            () = interrupt.next() => Ok(()),
        };
        say::progress("Stopping ...");
        served
    };
    interrupt.unless_again(up.stop()).await?;
    served?;
    Ok(interrupt::exit_code(interrupted))
}

/// A platform that is up.
struct Up {
    started: Started,
    platform: Platform,
    run: Run,
    gateway: SocketAddr,
    data_dir: std::path::PathBuf,
    control: tokio::task::JoinHandle<()>,
    stop: CancellationToken,
}

impl Up {
    async fn start(args: &UpArgs) -> anyhow::Result<Self> {
        let late = LateConfig::default();
        let external = external_listeners(args.cluster.listen, args.http_port)?;
        let port = external.first().context("no listener")?.local_addr()?.port();
        let started = bare::start(&args.cluster, embedded(&late), embedded_conversions()).await?;
        let data_dir = args.cluster.data.data_dir.canonicalize()?;
        match Self::finish(started, &late, external, port, &data_dir).await {
            Ok(up) => Ok(up),
            Err((error, cluster)) => {
                cluster.stop().await;
                Run::remove(&data_dir);
                Err(error)
            }
        }
    }

    /// Installs and starts the platform; gives the cluster back if that fails, so that it is stopped in order.
    async fn finish(
        started: Started,
        late: &LateConfig,
        external: Vec<TcpListener>,
        port: u16,
        data_dir: &Path,
    ) -> Result<Self, (anyhow::Error, ::cluster::Cluster)> {
        let installed = Self::install(&started, late, external, data_dir).await;
        let platform = match installed {
            Ok(platform) => platform,
            Err(error) => return Err((error, started.cluster)),
        };
        let run = Run {
            ready: true,
            gateway_url: Some(format!("http://{DOMAIN}:{port}/")),
            ..started.run.clone()
        };
        let stop = CancellationToken::new();
        let control = bare::control(&started, data_dir, stop.clone());
        if let Err(error) = run.write(data_dir) {
            return Err((error, started.cluster));
        }
        let gateway = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Ok(Self {
            started,
            platform,
            run,
            gateway,
            data_dir: data_dir.to_path_buf(),
            control,
            stop,
        })
    }

    async fn install(
        started: &Started,
        late: &LateConfig,
        external: Vec<TcpListener>,
        data_dir: &Path,
    ) -> anyhow::Result<Platform> {
        let cluster = &started.cluster;
        let (client, inside) = (cluster.client(), cluster.gateway_ip());
        let port = external.first().context("no listener")?.local_addr()?.port();
        let listeners = Listeners::open(external, inside).await?;
        let (images, ()) = tokio::try_join!(
            component_images::build(cluster.images(), &started.registry),
            install::crds(&client)
        )?;
        debug!("Images and definitions are there");
        let plan = crds::config::Install {
            queue_sidecar_image: images.sidecar,
            domain: Some(DOMAIN.to_owned()),
            ..crds::config::Install::default()
        };
        let settings = BTreeMap::from([
            (
                (crds::names::SYSTEM_NAMESPACE, "config-autoscaler"),
                BTreeMap::from([("allow-zero-initial-scale", "true".to_owned())]),
            ),
            // Off on a cluster, as upstream has it; who tries things out wants to see what came.
            (
                (crds::names::EVENTING_NAMESPACE, "config-features"),
                BTreeMap::from([("eventtype-auto-create", "enabled".to_owned())]),
            ),
            // No volume is elsewhere, and no mesh is there.
            (
                (crds::tekton::names::NAMESPACE, "feature-flags"),
                pipelines::config::of_one_node(),
            ),
            // One machine and one user: git servers and registries may be on it.
            (
                (crds::tekton::names::RESOLVERS_NAMESPACE, "resolver-addresses"),
                BTreeMap::from([("allow-loopback", "true".to_owned())]),
            ),
        ]);
        let services = async {
            install::configuration(&client, crds::names::SYSTEM_NAMESPACE, &plan, &settings).await?;
            install::fronts(&client, crds::names::SYSTEM_NAMESPACE, inside, listeners.fronts()).await?;
            install::routes(&client, DOMAIN, port).await
        };
        tokio::try_join!(
            services,
            install::registry(&client, &started.registry),
            install::rights::for_users(&client)
        )?;
        debug!("The install is there");
        let caches = Caches::new(client.clone());
        let config = ConfigStore::start(&caches, crds::names::SYSTEM_NAMESPACE);
        let selection_mode = events::selection_mode()?;
        let _ = late.set(LiveConfig {
            serving: config.clone(),
            eventing: ConfigStore::start(&caches, crds::names::EVENTING_NAMESPACE),
            pipelines: ConfigStore::start(&caches, crds::tekton::names::NAMESPACE),
            bindings: Bindings::new(&caches, selection_mode, crds::names::EVENTING_NAMESPACE),
        });
        caches.synced().await;
        debug!("The configuration is read");
        let health = std::sync::Arc::new(cluster.health());
        let events = Events {
            stores: events::open(&data_dir.join("events"))?,
            selection_mode,
        };
        let push = push::Config {
            secret: Some(std::sync::Arc::new(started.builds.secret())),
            ..push::Config::new(
                started.registry.clone(),
                crate::push::pipeline(started.builds.settings()),
            )
        };
        let runs = archive::Store::open(&data_dir.join("runs"), archive::Bounds::default())
            .context("cannot use the folder of runs")?;
        let pipelines = Pipelines {
            tasks: pipelines::Config::new(images.entrypoint),
            push,
            runs: std::sync::Arc::new(runs),
            triggers: triggers::Config::new(images.event_listener),
        };
        Ok(Platform::start(
            health, listeners, inside, caches, config, events, pipelines,
        ))
    }

    /// Tells what there is, and goes on until this is dropped.
    async fn serve(&self, args: &UpArgs, took: Duration) -> anyhow::Result<()> {
        if args.demo {
            say::progress(format!("Spindrift is up after {:.2} s.\n", took.as_secs_f64()));
            self.demonstrate().await?;
            summary(&self.run, None);
        } else {
            summary(&self.run, Some(took));
        }
        let _health = bare::health(&args.cluster, self.platform.health()).await?;
        say::progress("\nCtrl-C stops it.");
        std::future::pending().await
    }

    async fn demonstrate(&self) -> anyhow::Result<()> {
        let image = format!("{}/hello", self.started.registry);
        say::progress(
            "Deploying the sample service `hello` with no pod at all, and sending it a request ...",
        );
        let outcome = demo::run(&self.started.cluster.client(), &image, self.gateway).await?;
        say::line(format!("\n  {}\n", outcome.answer));
        for phase in &outcome.phases {
            say::line(format!("  {:7.1} ms  {}", phase.millis, phase.name));
        }
        say::line(format!(
            "  {:7.1} ms  from the request to the whole answer, out of nothing",
            millis(outcome.total)
        ));
        say::line(format!(
            "  {:7.1} ms  the next request, now that it is up\n",
            millis(outcome.warm)
        ));
        say::line(format!("  {}\n", outcome.url));
        Ok(())
    }

    async fn stop(self) {
        self.platform.stop().await;
        self.stop.cancel();
        let _ = self.control.await;
        self.started.cluster.stop().await;
        Run::remove(&self.data_dir);
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// The port asked for or the usual one, on IPv4 and, for loopback, on IPv6 as well; and port 80 if it is free.
fn external_listeners(address: IpAddr, asked: Option<u16>) -> anyhow::Result<Vec<TcpListener>> {
    let main = ports::bind(address, asked, HTTP_PORT, "--http-port")?;
    let port = main.local_addr()?.port();
    let mut listeners = vec![main];
    let mut also = vec![SocketAddr::new(address, WELL_KNOWN_PORT)];
    if address == IpAddr::V4(Ipv4Addr::LOCALHOST) {
        also.extend([
            SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, port)),
            SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, WELL_KNOWN_PORT)),
        ]);
    }
    for address in also {
        // A machine without IPv6, or with a web server of its own, works without these.
        listeners.extend(ports::try_bind(address));
    }
    Ok(listeners)
}

fn summary(run: &Run, took: Option<Duration>) {
    if let Some(took) = took {
        say::line(format!("Spindrift is up after {:.2} s.\n", took.as_secs_f64()));
    }
    let gateway = run.gateway_url.as_deref().unwrap_or_default();
    let port = gateway
        .trim_end_matches('/')
        .rsplit(':')
        .next()
        .unwrap_or_default();
    say::line(format!(
        "Try next, in another terminal:\n\n  export KUBECONFIG={}",
        run.kubeconfig.display()
    ));
    say::line(format!(
        "  kn service create web --image {}/hello --env TARGET=blue",
        run.registry
    ));
    say::line(format!("  curl http://web.default.{DOMAIN}:{port}/"));
    say::line(
        "  kn service update web --env TARGET=green --traffic web-00001=90 --traffic @latest=10 --tag @latest=next",
    );
    say::line("  kubectl get ksvc,revisions,routes,pods");
    say::line(format!(
        "\nThe registry is {}; the API is {}.",
        run.registry, run.api_url
    ));
}
