//! `kn taskrun`

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;

use crate::cli::NamespaceArgs;
use crate::commands::describe::DescribeArgs;
use crate::commands::list::ListArgs;
use crate::commands::runs::cancel::cancel;
use crate::commands::runs::delete::DeleteRuns;
use crate::commands::runs::list::columns;
use crate::commands::runs::logs::LogsArgs;
use crate::commands::runs::rerun::{RerunArgs, Whole};
use crate::completion;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::kind::Kind;
use crate::output::Output;
use crate::tekton::{self, TASK};

/// What `spec.status` of a run says that shall end.
const CANCELLED: &str = "TaskRunCancelled";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// End a run of a task
    Cancel(Cancel),
    /// Delete runs of tasks
    Delete(Delete),
    /// Show the details of a run of a task
    #[command(
        after_help = "Examples:\n  kn taskrun describe build-run-x2x4z\n  kn taskrun describe build-run-x2x4z -o yaml"
    )]
    Describe(DescribeArgs),
    /// List runs of tasks, the newest first
    List(List),
    /// Show what the steps of a run have written
    Logs(Logs),
    /// Make a new run of the same spec
    #[command(
        after_help = "Examples:\n  kn taskrun rerun build-run-x2x4z\n  kn taskrun rerun build-run-x2x4z --showlog"
    )]
    Rerun(RerunArgs),
}

/// Ends a run of a task.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  kn taskrun cancel build-run-x2x4z")]
pub struct Cancel {
    /// Name of the run
    #[arg(add = ArgValueCompleter::new(completion::names))]
    name: String,
    #[command(flatten)]
    namespace: NamespaceArgs,
}

/// Deletes runs of tasks.
#[derive(Args, Debug)]
#[command(
    visible_alias = "rm",
    after_help = "Examples:\n  kn taskrun delete build-run-x2x4z\n  kn taskrun delete --all\n  kn taskrun delete --task build --keep 5\n  kn taskrun delete --keep 5 --keep-since 60"
)]
pub struct Delete {
    /// Only runs of this task
    #[arg(short, long, value_name = "TASK")]
    task: Option<String>,
    #[command(flatten)]
    delete: DeleteRuns,
}

/// Lists runs of tasks.
#[derive(Args, Debug)]
#[command(
    visible_alias = "ls",
    after_help = "Examples:\n  kn taskrun list\n  kn taskrun list --task build -o name\n  kn taskrun list -A --watch"
)]
pub struct List {
    /// Only runs of this task
    #[arg(short, long, value_name = "TASK")]
    task: Option<String>,
    #[command(flatten)]
    list: ListArgs,
}

/// Shows what the steps of a run have written.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  kn taskrun logs build-run-x2x4z\n  kn taskrun logs --last --follow\n  kn taskrun logs build-run-x2x4z --step compile --tail 20"
)]
pub struct Logs {
    /// Only this step; may be repeated
    #[arg(short, long = "step", value_name = "STEP")]
    steps: Vec<String>,
    #[command(flatten)]
    logs: LogsArgs,
}

impl Command {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        let kind = Kind::TaskRun;
        match self {
            Self::Cancel(command) => {
                let namespace = context.namespace(&command.namespace).await?;
                cancel(context, kind, &namespace, &command.name, CANCELLED, output).await
            }
            Self::Delete(command) => {
                let of = command.task.as_deref().map(|task| (TASK, task));
                command.delete.run(context, kind, of, output).await
            }
            Self::Describe(describe) => describe.run(context, kind, tekton::task_run, output).await,
            Self::List(command) => {
                let also = command.task.as_ref().map(|task| format!("{TASK}={task}"));
                command
                    .list
                    .run(context, kind, also, async || Ok(columns()), output)
                    .await
            }
            Self::Logs(command) => command.logs.run(context, kind, &[], &command.steps, output).await,
            Self::Rerun(rerun) => rerun.run(context, kind, Whole::All, output).await,
        }
    }
}
