//! The sidecar's program: configuration from the environment, then serve until told to stop.

use anyhow::Context;
use proxy::rest;
use queue_proxy::{Config, QueueProxy};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Less memory with many connections and more requests a second than glibc's (`docs/performance.md`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .json()
        .with_writer(std::io::stderr)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("SERVING_LOGGING_LEVEL")
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info")),
        )
        .init();
    let config =
        Config::from_env(|name| std::env::var(name).ok()).context("the environment is not usable")?;
    // One thread: a sidecar's share of the machine is a fraction of a core, and each thread costs memory in every pod.
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_park(rest::on_park)
        .build()
        .context("cannot start the runtime")?
        .block_on(serve(config))
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let terminate = CancellationToken::new();
    let mut sigterm = signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?;
    let proxy = QueueProxy::bind(config).await.context("cannot listen")?;
    // Most of what a start needs is never used again, and there is a sidecar in every pod.
    rest::release_program();
    tokio::spawn(rest::watch());
    let running = proxy.run(terminate.clone());
    tokio::pin!(running);
    tokio::select! {
        () = &mut running => {}
        _ = sigterm.recv() => {
            terminate.cancel();
            running.await;
        }
    }
    Ok(())
}
