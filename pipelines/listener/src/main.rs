//! The program in the pod of an EventListener: configuration from arguments, then serve until told to stop.

use std::process::ExitCode;

use clap::Parser;
use triggers::listener::Args;

/// Less memory with many connections than glibc's (`docs/performance.md`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(
    name = "event-listener",
    about = "Takes the events of an EventListener.",
    version
)]
struct Cli {
    #[command(flatten)]
    listener: Args,
}

fn main() -> anyhow::Result<ExitCode> {
    let cli = Cli::parse();
    tracing_subscriber::fmt()
        .json()
        .with_writer(std::io::stderr)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info")),
        )
        .init();
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        anyhow::bail!("another TLS provider was installed first");
    }
    // Two threads: a pod's share of a machine is small, and expressions have threads of their own.
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(triggers::listener::main(cli.listener))?;
    Ok(ExitCode::SUCCESS)
}
