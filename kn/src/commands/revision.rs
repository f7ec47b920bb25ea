//! `kn revision`

mod delete;
mod describe;
mod list;

use clap::Subcommand;

use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output::Output;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Delete revisions
    #[command(visible_alias = "rm")]
    Delete(delete::Delete),
    /// Show the details of a revision
    Describe(describe::Describe),
    /// List revisions
    #[command(visible_alias = "ls")]
    List(list::List),
}

impl Command {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        match self {
            Self::Delete(command) => command.run(context, output).await,
            Self::Describe(command) => command.run(context, output).await,
            Self::List(command) => command.run(context, output).await,
        }
    }
}
