//! `spindrift cluster up`, and what it shares with `spindrift up`: starting the embedded Kubernetes.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use cluster::{Admission, Cluster, Conversion};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::interrupt::{self, Interrupt};
use super::{detach, say};
use crate::builds::Builds;
use crate::cli::ClusterUpArgs;
use crate::platform::Health;
use crate::ports;
use crate::run_file::Run;

const API_PORT: u16 = 6443;
const REGISTRY_PORT: u16 = 5000;

pub async fn run(args: ClusterUpArgs) -> anyhow::Result<ExitCode> {
    if args.detach {
        let run = detach::run(&args.data.data_dir).await?;
        summary(&run);
        return Ok(ExitCode::SUCCESS);
    }
    let mut interrupt = Interrupt::listen()?;
    let (started, interrupted) = interrupt.after(start(&args, Vec::new(), Vec::new())).await?;
    let started = started?;
    let run = Run {
        ready: !interrupted,
        ..started.run.clone()
    };
    let stop = CancellationToken::new();
    let control = control(&started, &args.data.data_dir, stop.clone());
    let served = if interrupted {
        Ok(())
    } else {
        serve(&args, &started, &run, &mut interrupt).await
    };
    interrupt
        .unless_again(async {
            stop.cancel();
            let _ = control.await;
            started.cluster.stop().await;
            Run::remove(&args.data.data_dir);
        })
        .await?;
    served?;
    Ok(interrupt::exit_code(interrupted))
}

/// Goes on until a signal.
async fn serve(
    args: &ClusterUpArgs,
    started: &Started,
    run: &Run,
    interrupt: &mut Interrupt,
) -> anyhow::Result<()> {
    run.write(&args.data.data_dir)?;
    let _health = health(args, Arc::new(started.cluster.health())).await?;
    summary(run);
    interrupt.next().await;
    say::progress("Stopping ...");
    Ok(())
}

/// Lets later commands work on the images, until `stop`. To be called before they are told of this instance.
pub fn control(started: &Started, data_dir: &Path, stop: CancellationToken) -> JoinHandle<()> {
    let listener = crate::control::listen(data_dir);
    let (images, registry) = (started.cluster.images().clone(), started.registry.clone());
    let folder = data_dir.to_path_buf();
    tokio::spawn(async move {
        let serving = async {
            crate::control::serve(&folder, listener?, images, &registry, stop.cancelled_owned()).await
        };
        if let Err(error) = serving.await {
            tracing::error!(%error, "`spindrift image` does not reach this instance");
        }
    })
}

/// Serves health and metrics if that is wanted, until the task is shut down.
pub async fn health(args: &ClusterUpArgs, trouble: Health) -> anyhow::Result<JoinSet<()>> {
    let mut tasks = JoinSet::new();
    if let Some(address) = args.health_address {
        let listener = super::component::listen(address).await?;
        tasks.spawn(reconciler::health::serve(
            listener,
            Arc::new(move || trouble().map_or(Ok(()), Err)),
        ));
    }
    Ok(tasks)
}

fn summary(run: &Run) {
    say::line(format!(
        "Kubernetes is up at {} (registry {})",
        run.api_url, run.registry
    ));
    say::line(format!(
        "\n  export KUBECONFIG={}\n  kubectl get nodes",
        run.kubeconfig.display()
    ));
}

/// A cluster that has just been started.
pub struct Started {
    pub cluster: Cluster,
    /// What later commands need to know, not ready yet.
    pub run: Run,
    /// `host:port` under which images name the embedded registry.
    pub registry: String,
    /// What builds need of it.
    pub builds: Builds,
}

/// Checks the machine, chooses ports, starts the cluster and writes the kubeconfig.
pub async fn start(
    args: &ClusterUpArgs,
    admission: Vec<Admission>,
    conversions: Vec<Conversion>,
) -> anyhow::Result<Started> {
    let data_dir = &args.data.data_dir;
    if let Some(run) = Run::read(data_dir)?.filter(Run::alive) {
        anyhow::bail!(
            "it runs already (process {}); `spindrift down` stops it, and --data-dir starts another one beside it",
            run.pid
        );
    }
    cluster::preflight().await?;
    std::fs::create_dir_all(data_dir).with_context(|| {
        format!(
            "cannot create {}: choose another folder with --data-dir",
            data_dir.display()
        )
    })?;
    let data_dir = &data_dir.canonicalize()?;
    let api = ports::bind(args.listen, args.api_port, API_PORT, "--api-port")?;
    let registry = ports::bind_again(
        &data_dir.join("registry-port"),
        args.listen,
        args.registry_port,
        REGISTRY_PORT,
        "--registry-port",
    )?;
    let registry_port = registry.local_addr()?.port();
    let registry_name = format!("localhost:{registry_port}");
    let (pid, started) = Run::of_this_process()?;
    let cluster = Cluster::start(cluster::Config {
        name: instance_name(data_dir),
        data_dir: data_dir.clone(),
        api,
        registry,
        registry_names: vec![registry_name.clone(), format!("127.0.0.1:{registry_port}")],
        admission,
        conversions,
        shim: std::env::current_exe().context("cannot tell where this program lies")?,
    })
    .await?;
    let kubeconfig = args
        .kubeconfig
        .clone()
        .unwrap_or_else(|| data_dir.join("kubeconfig"));
    // In a file of our own the context is ours; in the user's, theirs stays the current one.
    cluster::write_kubeconfig(
        &kubeconfig,
        &cluster.kubeconfig("spindrift"),
        args.kubeconfig.is_none(),
    )?;
    let run = Run {
        pid,
        started,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ready: false,
        api_url: cluster.api_url(),
        gateway_url: None,
        registry: registry_name.clone(),
        kubeconfig,
    };
    run.write(data_dir)?;
    let builds = match Builds::start(&cluster, data_dir, &registry_name) {
        Ok(builds) => builds,
        Err(error) => {
            cluster.stop().await;
            Run::remove(data_dir);
            return Err(error);
        }
    };
    Ok(Started {
        cluster,
        run,
        builds,
        registry: registry_name,
    })
}

/// A short name that is the same for the same folder.
pub fn instance_name(data_dir: &Path) -> String {
    let path = data_dir.canonicalize().unwrap_or_else(|_| data_dir.to_path_buf());
    let mut hash: u32 = 0x811c_9dc5;
    for byte in path.as_os_str().as_encoded_bytes() {
        hash = (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    }
    format!("sd{hash:08x}")
}
