//! `kn service`

mod delete;
mod list;
mod wait;

use clap::Subcommand;

use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output::Output;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Delete services
    #[command(visible_alias = "rm")]
    Delete(delete::Delete),
    /// List services
    #[command(visible_alias = "ls")]
    List(list::List),
    /// Wait for a service to be ready
    Wait(wait::Wait),
}

impl Command {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        match self {
            Self::Delete(command) => command.run(context, output).await,
            Self::List(command) => command.run(context, output).await,
            Self::Wait(command) => command.run(context, output).await,
        }
    }
}
