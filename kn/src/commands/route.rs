//! `kn route`

mod describe;
mod list;

use clap::Subcommand;

use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output::Output;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the details of a route
    Describe(describe::Describe),
    /// List routes
    #[command(visible_alias = "ls")]
    List(list::List),
}

impl Command {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        match self {
            Self::Describe(command) => command.run(context, output).await,
            Self::List(command) => command.run(context, output).await,
        }
    }
}
