//! `kn source`

mod apiserver;
mod binding;
mod container;
mod github;
mod list;
mod ping;
mod types;
mod verbs;

use clap::Subcommand;

use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output::Output;
use verbs::Verbs;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Manage sources that send the changes of objects in the cluster
    #[command(subcommand)]
    Apiserver(Verbs<apiserver::Flags>),
    /// Manage bindings, which tell workloads where to send events
    #[command(subcommand)]
    Binding(Verbs<binding::Flags>),
    /// Manage sources that are containers
    #[command(subcommand)]
    Container(Box<Verbs<container::Flags>>),
    /// Manage sources that send what happens in a repository of GitHub
    #[command(subcommand)]
    Github(Verbs<github::Flags>),
    /// List sources of all types
    #[command(visible_alias = "ls")]
    List(list::List),
    /// List the types of sources there are
    ListTypes(types::ListTypes),
    /// Manage sources that send events at given times
    #[command(subcommand)]
    Ping(Verbs<ping::Flags>),
}

impl Command {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        match self {
            Self::Apiserver(verbs) => verbs.run(context, output).await,
            Self::Binding(verbs) => verbs.run(context, output).await,
            Self::Container(verbs) => verbs.run(context, output).await,
            Self::Github(verbs) => verbs.run(context, output).await,
            Self::List(command) => command.run(context, output).await,
            Self::ListTypes(command) => command.run(context, output).await,
            Self::Ping(verbs) => verbs.run(context, output).await,
        }
    }
}
