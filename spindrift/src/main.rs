//! The server binary, where the rooms are put together.

mod builds;
mod cli;
mod commands;
mod component_images;
mod control;
mod demo;
mod events;
mod hooks;
mod install;
mod platform;
mod ports;
mod push;
mod run_file;
mod webhook;

use std::process::ExitCode;

use clap::Parser;
use proxy::rest;

use cli::{Cli, Command, LogArgs};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // The allocator asks for huge pages, of which a program with many small objects leaves most of each unused: they
    // were two thirds of the idle platform's own memory. A kernel without the setting costs memory, nothing else.
    let _ = nix::sys::prctl::set_thp_disable(true);
    // The shim clones processes, which only a program without threads may do: it must come before everything else.
    let arguments: Vec<std::ffi::OsString> = std::env::args_os().collect();
    if arguments.get(1).is_some_and(|first| first == "shim") {
        return cluster_node::shim::main(arguments.into_iter().nth(2));
    }
    let cli = Cli::parse();
    start_log(&cli.log);
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        eprint_error(&anyhow::anyhow!("another TLS provider was installed first"));
        return ExitCode::FAILURE;
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .on_thread_park(rest::on_park)
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprint_error(&anyhow::Error::new(error).context("cannot start threads"));
            return ExitCode::FAILURE;
        }
    };
    runtime.spawn(rest::watch());
    match runtime.block_on(run(cli.command)) {
        Ok(code) => code,
        Err(error) => {
            eprint_error(&error);
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Up(args) => commands::up::run(args).await,
        Command::Down(args) => commands::down::run(args).await,
        Command::Status(args) => commands::status::run(args),
        Command::Cluster(cli::ClusterCommand::Up(args)) => commands::cluster::run(args).await,
        Command::Image(command) => commands::image::run(command).await,
        Command::Controller(args) => commands::component::controller(args).await,
        Command::Autoscaler(args) => commands::component::autoscaler(args).await,
        Command::Activator(args) => commands::component::activator(args).await,
        Command::Gateway(args) => commands::component::gateway(args).await,
        Command::Webhook(args) => commands::webhook::run(args).await,
        Command::EventingController(args) => commands::events::controller(args).await,
        Command::Broker(args) => commands::events::broker(args).await,
        Command::EventSources(args) => commands::events::sources(args).await,
        Command::EventSinks(args) => commands::events::sinks(args).await,
        Command::PipelinesController(args) => commands::pipelines::controller(args).await,
        Command::PushController(args) => commands::pipelines::push(args).await,
        Command::Resolvers(args) => commands::pipelines::resolvers(args).await,
        Command::RunArchive(args) => commands::pipelines::archive(args).await,
        Command::EventListener(args) => commands::pipelines::event_listener(args).await,
        Command::Install(args) => commands::install::run(args).await,
        Command::Manifests(args) => commands::install::print(&args),
        Command::Completion { shell } => {
            use clap::CommandFactory;
            clap_complete::generate(shell, &mut Cli::command(), "spindrift", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn start_log(args: &LogArgs) {
    let filter = tracing_subscriber::EnvFilter::builder().parse_lossy(&args.log);
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    if args.log_json {
        log.json().init();
    } else {
        log.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .init();
    }
}

/// An error and its causes on one line each, as people read them.
#[expect(
    clippy::print_stderr,
    reason = "the one place that tells the user of a failed command"
)]
fn eprint_error(error: &anyhow::Error) {
    eprintln!("Error: {error}");
    for cause in error.chain().skip(1) {
        eprintln!("  because: {cause}");
    }
}
