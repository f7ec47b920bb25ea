//! `kn task`

use clap::{Args, Subcommand};
use jiff::Timestamp;

use crate::commands::delete::DeleteArgs;
use crate::commands::describe::DescribeArgs;
use crate::commands::list::columns::{Column, NAME, column, field};
use crate::commands::list::{ListArgs, Query, fetch, text};
use crate::commands::runs::start::{StartArgs, Startable, duration};
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::kind::Kind;
use crate::output::Output;
use crate::tekton::{self, TASK, ago};

const STARTABLE: Startable = Startable {
    kind: Kind::Task,
    run: Kind::TaskRun,
    label: TASK,
    reference: "taskRef",
    service_account: &["serviceAccountName"],
};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Delete tasks
    #[command(
        visible_alias = "rm",
        after_help = "Examples:\n  kn task delete build\n  kn task delete build test --wait"
    )]
    Delete(DeleteArgs),
    /// Show what a task takes, and its runs
    #[command(after_help = "Examples:\n  kn task describe build\n  kn task describe build -o yaml")]
    Describe(DescribeArgs),
    /// List tasks
    #[command(
        visible_alias = "ls",
        after_help = "Examples:\n  kn task list\n  kn task list -A -o name"
    )]
    List(ListArgs),
    /// Run a task
    Start(Box<Start>),
}

/// Runs a task.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  kn task start build -p url=http://git/app.git -w name=src,emptyDir= --showlog\n  kn task start build -p flags=--fast,--quiet -p image=name:app,tag:v1\n  kn task start build --last\n  kn task start build -p url=x -w name=src,claimName=sources,subPath=app --dry-run"
)]
pub struct Start {
    /// How long an attempt may take, such as 10m; 0 for as long as it likes
    #[arg(long, value_name = "DURATION")]
    timeout: Option<String>,
    #[command(flatten)]
    start: StartArgs,
}

impl Command {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        match self {
            Self::Delete(delete) => delete.run(context, Kind::Task, output).await,
            Self::Describe(describe) => {
                let Some(task) = describe.fetch(context, Kind::Task, output).await? else {
                    return Ok(Exit::Success);
                };
                let query = Query::within(&text(&task, "/metadata/namespace"))
                    .labelled(format!("{TASK}={}", describe.name));
                let runs = fetch(context, Kind::TaskRun, &query).await?;
                output.line(tekton::task(&task, &runs, describe.verbose, Timestamp::now()))?;
                Ok(Exit::Success)
            }
            Self::List(list) => {
                list.run(context, Kind::Task, None, async || Ok(columns()), output)
                    .await
            }
            Self::Start(command) => command.run(context, output).await,
        }
    }
}

impl Start {
    async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        let timeout = self.timeout.as_deref().map(|text| duration("timeout", text));
        let timeout = timeout.transpose()?;
        self.start
            .run(
                context,
                &STARTABLE,
                |spec| {
                    if let Some(timeout) = timeout {
                        spec["timeout"] = timeout;
                    }
                },
                output,
            )
            .await
    }
}

fn columns() -> Vec<Column> {
    vec![
        NAME(),
        field("DESCRIPTION", "/spec/description"),
        column("AGE", |task, now| {
            ago(&task["metadata"]["creationTimestamp"], now)
        }),
    ]
}
