//! `kn build`: the runs that make images of services out of their source.

mod find;
pub mod follow;
mod list;

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;
use jiff::Timestamp;
use kube::api::LogParams;
use serde_json::Value;

use crate::cli::NamespaceArgs;
use crate::commands::list::{Query, fetch, text};
use crate::commands::runs::cancel::cancel;
use crate::commands::runs::logs::{Wanted, show};
use crate::completion;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::kind::Kind;
use crate::output::{Output, OutputArgs};
use crate::tekton::{self, Marks, PIPELINE_RUN};
use find::find;
pub use find::of_repository;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// End a build
    #[command(after_help = "Examples:\n  kn build cancel web\n  kn build cancel web-x2x4z")]
    Cancel(One),
    /// Show a build: its commit, its image, how long its steps took, and why it failed
    #[command(after_help = "Examples:\n  kn build describe web\n  kn build describe web-x2x4z -o yaml")]
    Describe(Describe),
    /// List builds, the newest first
    List(list::List),
    /// Show what a build has written
    Logs(Logs),
    /// Build again what was built last
    Rerun(Rerun),
}

/// A build.
#[derive(Args, Clone, Debug)]
pub struct One {
    /// The build; or the service, which means its last one
    #[arg(add = ArgValueCompleter::new(completion::names))]
    name: String,
    #[command(flatten)]
    namespace: NamespaceArgs,
}

/// Shows a build.
#[derive(Args, Debug)]
pub struct Describe {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    form: OutputArgs,
}

/// Shows what a build has written.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  kn build logs web --follow\n  kn build logs web-x2x4z --step build --tail 20"
)]
pub struct Logs {
    #[command(flatten)]
    one: One,
    /// Go on until the build is over
    #[arg(short, long)]
    follow: bool,
    /// Only this step; may be repeated
    #[arg(short, long = "step", value_name = "STEP")]
    steps: Vec<String>,
    /// Only the last lines of each step
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(i64).range(0..))]
    tail: Option<i64>,
    /// With the time of each line
    #[arg(short, long)]
    timestamps: bool,
}

/// Builds again.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  kn build rerun web\n  kn build rerun web --follow")]
pub struct Rerun {
    #[command(flatten)]
    one: One,
    /// Show the log until the build is over; it failing is the command failing
    #[arg(short, long)]
    follow: bool,
}

impl Command {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        match self {
            Self::Cancel(one) => {
                let (namespace, run) = one.find(context).await?;
                let name = text(&run, "/metadata/name");
                // What has to be cleaned up is.
                cancel(
                    context,
                    Kind::PipelineRun,
                    &namespace,
                    &name,
                    "CancelledRunFinally",
                    output,
                )
                .await
            }
            Self::Describe(command) => command.run(context, output).await,
            Self::List(command) => command.run(context, output).await,
            Self::Logs(command) => command.run(context, output).await,
            Self::Rerun(command) => command.run(context, output).await,
        }
    }
}

impl One {
    async fn find(&self, context: &Context) -> Result<(String, Value), CliError> {
        let namespace = context.namespace(&self.namespace).await?;
        let run = find(context, &namespace, &self.name).await?;
        Ok((namespace, run))
    }
}

impl Describe {
    async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        let (namespace, run) = self.one.find(context).await?;
        if self.form.print(&run, output)? {
            return Ok(Exit::Success);
        }
        let name = text(&run, "/metadata/name");
        let query = Query::within(&namespace).labelled(format!("{PIPELINE_RUN}={name}"));
        let task_runs = fetch(context, Kind::TaskRun, &query).await?;
        let repository = text(&run, "/metadata/labels/spindrift.dev~1repository");
        // Who may not read Repositories still sees the build.
        let repository = context
            .get(Kind::Repository, &namespace, &repository)
            .await
            .unwrap_or_default();
        let deployed = &repository["status"]["deployed"];
        output.line(tekton::build(&run, &task_runs, deployed, Timestamp::now()))?;
        if let Some(details) = follow::failure(context, &namespace, &task_runs).await {
            output.line(format!("\n{details}"))?;
        }
        Ok(Exit::Success)
    }
}

impl Logs {
    async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        let namespace = context.namespace(&self.one.namespace).await?;
        let name = match find(context, &namespace, &self.one.name).await {
            Ok(run) => text(&run, "/metadata/name"),
            // One that is gone may still be remembered under its own name.
            Err(error) if error.exit == Exit::NotFound => {
                let kept = crate::archive::Archive::new(context, &namespace);
                match kept.run(Kind::PipelineRun, &self.one.name).await {
                    Ok(Some(run)) => text(&run, "/metadata/name"),
                    _ => return Err(error),
                }
            }
            Err(error) => return Err(error),
        };
        let wanted = Wanted {
            params: LogParams {
                follow: self.follow,
                tail_lines: self.tail,
                timestamps: self.timestamps,
                ..LogParams::default()
            },
            steps: self.steps.clone(),
            ..Wanted::default()
        };
        let shown = show(context, Kind::PipelineRun, &namespace, &name, &wanted, output).await;
        shown.map_err(|error| match error.exit {
            Exit::Failure => error.with_hint(format!("`kn build describe {name}` shows more")),
            _ => error,
        })
    }
}

impl Rerun {
    async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        let (namespace, run) = self.one.find(context).await?;
        let (name, repository) = (
            text(&run, "/metadata/name"),
            text(&run, "/metadata/labels/spindrift.dev~1repository"),
        );
        let before = of_repository(context, &namespace, &repository).await?;
        let newest = tekton::newest(&before).map(|run| text(run, "/metadata/name"));
        if newest.as_ref() != Some(&name) {
            return Err(CliError::usage(format!("build '{name}' is not the last one of '{repository}'")).with_hint(
                "an older build must not undo a newer one: push the commit anew, or send traffic to its revision with `kn service update --traffic`",
            ));
        }
        follow::rebuild(context, &namespace, &repository).await?;
        let new = follow::next_build(context, &namespace, &repository, &before, output).await?;
        let new = text(&new, "/metadata/name");
        output.done(format!("Build started: {new}"))?;
        if !self.follow {
            output.advice(format!(
                "To follow it: kn build logs {new} --follow --namespace {namespace}"
            ));
            return Ok(Exit::Success);
        }
        follow::to_the_end(context, &namespace, &new, false, output).await?;
        Ok(Exit::Success)
    }
}

/// Label selector of builds.
fn builds() -> String {
    Marks::REPOSITORY.to_owned()
}
