//! The nouns of the command line.

pub mod broker;
pub mod build;
pub mod channel;
pub mod completion;
pub mod domain;
pub mod event;
pub mod eventtype;
pub mod pipeline;
pub mod pipelinerun;
pub mod platform;
pub mod revision;
pub mod route;
pub mod service;
pub mod source;
pub mod subscription;
pub mod task;
pub mod taskrun;
pub mod trigger;
pub mod version;

mod delete;
mod delivery;
mod describe;
pub mod list;
mod runs;
mod types;
mod write;

use crate::cli::{Cli, Command};
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output::Output;

/// Runs one command.
pub async fn run(context: &Context, cli: Cli, output: &mut Output) -> Result<Exit, CliError> {
    let family = cli.command.family();
    let result = match cli.command {
        Command::Service(command) => command.run(context, output).await,
        Command::Revision(command) => command.run(context, output).await,
        Command::Route(command) => command.run(context, output).await,
        Command::Domain(command) => command.run(context, output).await,
        Command::Broker(command) => command.run(context, output).await,
        Command::Trigger(command) => command.run(context, output).await,
        Command::Event(command) => command.run(context, output).await,
        Command::Source(command) => command.run(context, output).await,
        Command::Channel(command) => command.run(context, output).await,
        Command::Subscription(command) => command.run(context, output).await,
        Command::Eventtype(command) => command.run(context, output).await,
        Command::Build(command) => command.run(context, output).await,
        Command::Task(command) => command.run(context, output).await,
        Command::Taskrun(command) => command.run(context, output).await,
        Command::Pipeline(command) => command.run(context, output).await,
        Command::Pipelinerun(command) => command.run(context, output).await,
        Command::Up(passed) => platform::run("up", &passed),
        Command::Down(passed) => platform::run("down", &passed),
        Command::Status(passed) => platform::run("status", &passed),
        Command::Completion(command) => command.run(output),
        Command::Version(command) => command.run(output),
    };
    result.map_err(|error| error.naming(family))
}
