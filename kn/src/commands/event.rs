//! `kn event`

mod address;
mod build;
mod http;
mod make;
mod send;

use clap::Subcommand;

use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output::Output;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show an event without sending it
    Build(build::Build),
    /// Send an event
    Send(send::Send),
}

impl Command {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        match self {
            Self::Build(command) => command.run(output),
            Self::Send(command) => command.run(context, output).await,
        }
    }
}
