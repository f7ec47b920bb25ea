//! `kn service`

mod apply;
mod build;
mod create;
mod declare;
mod delete;
mod describe;
mod export;
mod import;
mod last_build;
mod list;
mod logs;
mod source;
mod update;
mod wait;
mod write;

use clap::Subcommand;

use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output::Output;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create a service
    Create(Box<create::Create>),
    /// Update a service
    Update(Box<update::Update>),
    /// Create or update a service as declared
    Apply(Box<apply::Apply>),
    /// Show the details of a service
    Describe(describe::Describe),
    /// Delete services
    #[command(visible_alias = "rm")]
    Delete(delete::Delete),
    /// Print a service so that it can be made elsewhere
    Export(export::Export),
    /// Make a service out of what export printed
    Import(import::Import),
    /// List services
    #[command(visible_alias = "ls")]
    List(list::List),
    /// Show what the application has logged
    Logs(logs::Logs),
    /// Wait for a service to be ready
    Wait(wait::Wait),
}

impl Command {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        match self {
            Self::Create(command) => command.run(context, output).await,
            Self::Update(command) => command.run(context, output).await,
            Self::Apply(command) => command.run(context, output).await,
            Self::Describe(command) => command.run(context, output).await,
            Self::Delete(command) => command.run(context, output).await,
            Self::Export(command) => command.run(context, output).await,
            Self::Import(command) => command.run(context, output).await,
            Self::List(command) => command.run(context, output).await,
            Self::Logs(command) => command.run(context, output).await,
            Self::Wait(command) => command.run(context, output).await,
        }
    }
}
