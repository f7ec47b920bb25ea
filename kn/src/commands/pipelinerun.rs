//! `kn pipelinerun`

use clap::{Args, Subcommand, ValueEnum};
use clap_complete::engine::ArgValueCompleter;
use jiff::Timestamp;

use crate::cli::NamespaceArgs;
use crate::commands::describe::DescribeArgs;
use crate::commands::list::{ListArgs, Query, fetch, text};
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
use crate::tekton::{self, PIPELINE, PIPELINE_RUN};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// End a run of a pipeline
    Cancel(Cancel),
    /// Delete runs of pipelines, and what they made
    Delete(Delete),
    /// Show the details of a run of a pipeline
    #[command(
        after_help = "Examples:\n  kn pipelinerun describe release-run-x2x4z\n  kn pipelinerun describe release-run-x2x4z -o yaml"
    )]
    Describe(DescribeArgs),
    /// List runs of pipelines, the newest first
    List(List),
    /// Show what the steps of a run have written
    Logs(Logs),
    /// Make a new run of the same spec
    Rerun(Rerun),
}

/// Makes a new run of the same spec.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  kn pipelinerun rerun release-run-x2x4z\n  kn pipelinerun rerun release-run-x2x4z --from-failed --showlog"
)]
pub struct Rerun {
    /// Take over what succeeded, with its results, and run only the rest
    #[arg(long)]
    from_failed: bool,
    #[command(flatten)]
    rerun: RerunArgs,
}

/// Ends a run of a pipeline.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  kn pipelinerun cancel release-run-x2x4z\n  kn pipelinerun cancel release-run-x2x4z --grace StoppedRunFinally"
)]
pub struct Cancel {
    /// Name of the run
    #[arg(add = ArgValueCompleter::new(completion::names))]
    name: String,
    /// Let `finally` run: end the tasks that run, or only begin no more
    #[arg(
        long,
        value_name = "CancelledRunFinally|StoppedRunFinally",
        hide_possible_values = true
    )]
    grace: Option<Grace>,
    #[command(flatten)]
    namespace: NamespaceArgs,
}

/// How a run ends that somebody wants to end.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Grace {
    #[value(name = "CancelledRunFinally")]
    Cancelled,
    #[value(name = "StoppedRunFinally")]
    Stopped,
}

/// Deletes runs of pipelines.
#[derive(Args, Debug)]
#[command(
    visible_alias = "rm",
    after_help = "Examples:\n  kn pipelinerun delete release-run-x2x4z\n  kn pipelinerun delete --all\n  kn pipelinerun delete --pipeline release --keep 5\n  kn pipelinerun delete --keep 5 --keep-since 60"
)]
pub struct Delete {
    /// Only runs of this pipeline
    #[arg(short, long, value_name = "PIPELINE")]
    pipeline: Option<String>,
    #[command(flatten)]
    delete: DeleteRuns,
}

/// Lists runs of pipelines.
#[derive(Args, Debug)]
#[command(
    visible_alias = "ls",
    after_help = "Examples:\n  kn pipelinerun list\n  kn pipelinerun list --pipeline release -o name\n  kn pipelinerun list -A --watch"
)]
pub struct List {
    /// Only runs of this pipeline
    #[arg(short, long, value_name = "PIPELINE")]
    pipeline: Option<String>,
    #[command(flatten)]
    list: ListArgs,
}

/// Shows what the steps of a run have written, each line with its task and step.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  kn pipelinerun logs release-run-x2x4z\n  kn pipelinerun logs --last --follow\n  kn pipelinerun logs release-run-x2x4z --task build --step compile"
)]
pub struct Logs {
    /// Only this task; may be repeated
    #[arg(long = "task", value_name = "TASK")]
    tasks: Vec<String>,
    /// Only this step; may be repeated
    #[arg(short, long = "step", value_name = "STEP")]
    steps: Vec<String>,
    #[command(flatten)]
    logs: LogsArgs,
}

impl Command {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        let kind = Kind::PipelineRun;
        match self {
            Self::Cancel(command) => {
                let status = match command.grace {
                    None => "Cancelled",
                    Some(Grace::Cancelled) => "CancelledRunFinally",
                    Some(Grace::Stopped) => "StoppedRunFinally",
                };
                let namespace = context.namespace(&command.namespace).await?;
                cancel(context, kind, &namespace, &command.name, status, output).await
            }
            Self::Delete(command) => {
                let of = command.pipeline.as_deref().map(|pipeline| (PIPELINE, pipeline));
                command.delete.run(context, kind, of, output).await
            }
            Self::Describe(describe) => {
                let Some(run) = describe.fetch(context, kind, output).await? else {
                    return Ok(Exit::Success);
                };
                let query = Query::within(&text(&run, "/metadata/namespace"))
                    .labelled(format!("{PIPELINE_RUN}={}", describe.name));
                let children = fetch(context, Kind::TaskRun, &query).await?;
                let now = Timestamp::now();
                output.line(tekton::pipeline_run(&run, &children, describe.verbose, now))?;
                Ok(Exit::Success)
            }
            Self::List(command) => {
                let pipeline = command.pipeline.as_ref();
                let also = pipeline.map(|pipeline| format!("{PIPELINE}={pipeline}"));
                command
                    .list
                    .run(context, kind, also, async || Ok(columns()), output)
                    .await
            }
            Self::Logs(command) => {
                command
                    .logs
                    .run(context, kind, &command.tasks, &command.steps, output)
                    .await
            }
            Self::Rerun(command) => {
                let whole = if command.from_failed {
                    Whole::FromFailed
                } else {
                    Whole::All
                };
                command.rerun.run(context, kind, whole, output).await
            }
        }
    }
}
