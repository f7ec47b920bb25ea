//! `kn build list`

use clap::Args;
use clap_complete::engine::ArgValueCompleter;

use crate::commands::list::ListArgs;
use crate::commands::list::columns::{Column, NAME, column, wide};
use crate::completion;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::kind::Kind;
use crate::output::Output;
use crate::tekton::{Marks, build_rows};

/// Lists builds.
#[derive(Args, Debug)]
#[command(
    visible_alias = "ls",
    after_help = "Examples:\n  kn build list\n  kn build list --service web -o wide\n  kn build list -A --watch"
)]
pub struct List {
    /// Only builds of this service
    #[arg(short, long, value_name = "SERVICE", add = ArgValueCompleter::new(completion::services))]
    service: Option<String>,
    #[command(flatten)]
    list: ListArgs,
}

impl List {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        let selector = match &self.service {
            Some(service) => format!("{},{}={service}", super::builds(), Marks::SERVICE),
            None => super::builds(),
        };
        self.list
            .run(
                context,
                Kind::PipelineRun,
                Some(selector),
                async || Ok(columns()),
                output,
            )
            .await
    }
}

/// NAME SERVICE COMMIT BRANCH STARTED DURATION STATUS MESSAGE; also AUTHOR if there is room.
fn columns() -> Vec<Column> {
    let cell = |header: &'static str, place: usize| {
        column(header, move |run, now| {
            build_rows(run, now).into_iter().nth(place).unwrap_or_default()
        })
    };
    vec![
        NAME(),
        cell("SERVICE", 0),
        cell("COMMIT", 1),
        cell("BRANCH", 2),
        wide("AUTHOR", |run, now| {
            build_rows(run, now).into_iter().nth(3).unwrap_or_default()
        }),
        cell("STARTED", 4),
        cell("DURATION", 5),
        cell("STATUS", 6),
        cell("MESSAGE", 7),
    ]
}
