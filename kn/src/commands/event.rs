//! `kn event`

pub mod address;
mod build;
mod dead_letters;
pub mod http;
mod make;
pub mod operator;
mod replay;
mod send;
mod tail;
pub mod token;

use clap::Subcommand;

use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output::Output;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show an event without sending it
    Build(build::Build),
    /// List the events that a broker could not deliver
    DeadLetters(dead_letters::DeadLetters),
    /// Send dead letters again
    Replay(replay::Replay),
    /// Send an event
    Send(send::Send),
    /// Show the events that a broker stores as they come, and what becomes of them
    Tail(tail::Tail),
}

impl Command {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        match self {
            Self::Build(command) => command.run(output),
            Self::DeadLetters(command) => command.run(context, output).await,
            Self::Replay(command) => command.run(context, output).await,
            Self::Tail(command) => command.run(context, output).await,
            Self::Send(command) => command.run(context, output).await,
        }
    }
}
