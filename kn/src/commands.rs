//! The nouns of the command line.

pub mod completion;
pub mod platform;
pub mod revision;
pub mod route;
pub mod service;
pub mod version;

mod delete;
mod describe;
pub mod list;
mod write;

use crate::cli::{Cli, Command};
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output::Output;

/// Runs one command.
pub async fn run(context: &Context, cli: Cli, output: &mut Output) -> Result<Exit, CliError> {
    match cli.command {
        Command::Service(command) => command.run(context, output).await,
        Command::Revision(command) => command.run(context, output).await,
        Command::Route(command) => command.run(context, output).await,
        Command::Up(passed) => platform::run("up", &passed),
        Command::Down(passed) => platform::run("down", &passed),
        Command::Status(passed) => platform::run("status", &passed),
        Command::Completion(command) => command.run(output),
        Command::Version(command) => command.run(output),
    }
}
