//! `logs`: what the steps of runs have written.

use std::collections::HashSet;
use std::sync::Arc;

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use kube::api::LogParams;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinError, JoinSet};

use super::follow::{Reader, Subject};
use super::line::{Line, Prefixes};
use super::watched::Watched;
use crate::archive::Archive;
use crate::cli::NamespaceArgs;
use crate::commands::list::{Query, fetch, text};
use crate::completion;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::kind::Kind;
use crate::output::Output;
use crate::tekton;

/// Lines that wait to be printed; readers wait when there are as many.
const WAITING: usize = 256;
/// TaskRuns that are read at the same time; the others follow when one is over.
const AT_ONCE: usize = 32;

/// Flags of the logs of runs.
#[derive(Args, Clone, Debug)]
pub struct LogsArgs {
    /// Name of the run
    #[arg(add = ArgValueCompleter::new(completion::names), required_unless_present = "last", conflicts_with = "last")]
    name: Option<String>,
    /// The run that started last
    #[arg(short = 'L', long)]
    last: bool,
    /// Go on until the run is over
    #[arg(short, long)]
    follow: bool,
    /// Only the last lines of each step
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(i64).range(0..))]
    tail: Option<i64>,
    /// With the time of each line
    #[arg(short, long)]
    timestamps: bool,
    /// Whether lines begin with the names of task and step
    #[arg(long, default_value_t = true, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL", action = clap::ArgAction::Set)]
    prefix: bool,
    #[command(flatten)]
    namespace: NamespaceArgs,
}

/// Which logs to read, and how.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    pub params: LogParams,
    /// Only these tasks of a pipeline; all if there are none.
    pub tasks: Vec<String>,
    /// Only these steps; all if there are none.
    pub steps: Vec<String>,
    /// Without what lines begin with.
    pub plain: bool,
    /// Beside the data: the log is not what was asked for.
    pub aside: bool,
}

impl LogsArgs {
    /// Shows the logs of a run of `kind`.
    pub async fn run(
        &self,
        context: &Context,
        kind: Kind,
        tasks: &[String],
        steps: &[String],
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        let namespace = context.namespace(&self.namespace).await?;
        let name = match &self.name {
            Some(name) => name.clone(),
            None => last(context, kind, &namespace).await?,
        };
        let wanted = Wanted {
            params: LogParams {
                follow: self.follow,
                tail_lines: self.tail,
                timestamps: self.timestamps,
                ..LogParams::default()
            },
            tasks: tasks.to_vec(),
            steps: steps.to_vec(),
            plain: !self.prefix,
            aside: false,
        };
        show(context, kind, &namespace, &name, &wanted, output).await
    }
}

async fn last(context: &Context, kind: Kind, namespace: &str) -> Result<String, CliError> {
    let runs = fetch(context, kind, &Query::within(namespace)).await?;
    match tekton::newest(&runs) {
        Some(run) => Ok(text(run, "/metadata/name")),
        None => Err(CliError::new(
            Exit::NotFound,
            format!("{} in namespace '{namespace}'", kind.none_found()),
        )),
    }
}

/// Prints the logs of a run.
///
/// # Errors
/// The run failed, is not there, or cannot be read.
pub async fn show(
    context: &Context,
    kind: Kind,
    namespace: &str,
    name: &str,
    wanted: &Wanted,
    output: &mut Output,
) -> Result<Exit, CliError> {
    let archive = Archive::new(context, namespace);
    let (run, follow) = match context.get(kind, namespace, name).await {
        Ok(run) => (run, wanted.params.follow),
        // What is gone does not go on.
        Err(error) if error.exit == Exit::NotFound => match archive.run(kind, name).await {
            Ok(Some(run)) => (run, false),
            _ => return Err(error),
        },
        Err(error) => return Err(error),
    };
    let (sender, lines) = mpsc::channel(WAITING);
    let reader = Reader::new(
        context,
        namespace,
        LogParams {
            follow,
            ..wanted.params.clone()
        },
        wanted.steps.clone(),
        sender,
        archive,
    )
    .await?;
    let mut printing = Printing {
        lines,
        prefixes: Prefixes::new(!wanted.plain),
        readers: JoinSet::new(),
        printed: false,
        aside: wanted.aside,
    };
    let open = match (kind, follow) {
        (Kind::PipelineRun, true) => {
            let pipeline_run = Watched::new(context.api(kind, namespace).await?, name);
            printing
                .follow(reader, pipeline_run, &wanted.tasks, output)
                .await?
        }
        (Kind::PipelineRun, false) => {
            let subjects = subjects(&run, &wanted.tasks);
            printing.readers.spawn(one_by_one(reader, subjects));
            printing.drain(output).await?
        }
        _ => {
            let subject = Subject {
                name: name.to_owned(),
                task: None,
            };
            printing.readers.spawn(reader.read(subject));
            printing.drain(output).await?
        }
    };
    if !open {
        return Ok(Exit::Success);
    }
    let run = match follow {
        true => context.get(kind, namespace, name).await?,
        false => run,
    };
    end(kind, name, &run, &printing, output)
}

/// What is left to say once the logs have been printed.
fn end(
    kind: Kind,
    name: &str,
    run: &serde_json::Value,
    printing: &Printing,
    output: &mut Output,
) -> Result<Exit, CliError> {
    let (noun, command) = (kind.noun(), kind.noun().to_lowercase());
    if let Some(why) = tekton::outcome(run) {
        return Err(CliError::new(Exit::Failure, format!("{noun} '{name}': {why}"))
            .with_hint(format!("`kn {command} describe {name}` shows more")));
    }
    if !tekton::is_over(run) {
        output.note(format!(
            "{noun} '{name}' is not over: {}. --follow goes on until it is.",
            tekton::status(run)
        ));
    } else if !printing.printed {
        output.note(format!("{noun} '{name}' has written nothing."));
    }
    Ok(Exit::Success)
}

fn subjects(pipeline_run: &serde_json::Value, tasks: &[String]) -> Vec<Subject> {
    tekton::children(pipeline_run)
        .into_iter()
        .filter(|child| tasks.is_empty() || tasks.contains(&child.task))
        .map(|child| Subject {
            name: child.name,
            task: Some(child.task),
        })
        .collect()
}

async fn one_by_one(reader: Reader, subjects: Vec<Subject>) -> Result<(), CliError> {
    for subject in subjects {
        reader.clone().read(subject).await?;
    }
    Ok(())
}

/// Readers, and what they have read so far.
struct Printing {
    lines: mpsc::Receiver<Line>,
    prefixes: Prefixes,
    readers: JoinSet<Result<(), CliError>>,
    /// Whether there was anything.
    printed: bool,
    /// Whether it is told beside the data.
    aside: bool,
}

impl Printing {
    /// Prints until all readers are done; `false` if nobody reads standard output any more.
    async fn drain(&mut self, output: &mut Output) -> Result<bool, CliError> {
        loop {
            tokio::select! {
                line = self.lines.recv() => match line {
                    Some(line) => {
                        if !self.print(line, output)? {
                            return Ok(false);
                        }
                    }
                    None => break,
                },
                Some(done) = self.readers.join_next() => finished(done)?,
            }
        }
        while let Some(done) = self.readers.join_next().await {
            finished(done)?;
        }
        Ok(true)
    }

    /// Reads the TaskRuns of a PipelineRun as they come, until it is over; `false` as above.
    async fn follow(
        &mut self,
        reader: Reader,
        mut run: Watched,
        tasks: &[String],
        output: &mut Output,
    ) -> Result<bool, CliError> {
        let mut known: HashSet<String> = HashSet::new();
        let places = Arc::new(Semaphore::new(AT_ONCE));
        let mut over = false;
        while !over {
            tokio::select! {
                Some(line) = self.lines.recv() => {
                    if !self.print(line, output)? {
                        return Ok(false);
                    }
                }
                Some(done) = self.readers.join_next() => finished(done)?,
                changed = run.changed() => {
                    changed?;
                    for subject in run.object.iter().flat_map(|run| subjects(run, tasks)) {
                        if known.insert(subject.name.clone()) {
                            let (reader, places) = (reader.clone(), Arc::clone(&places));
                            self.readers.spawn(async move {
                                let _place = places.acquire_owned().await;
                                reader.read(subject).await
                            });
                        }
                    }
                    over = run.object.as_ref().is_none_or(tekton::is_over);
                }
            }
        }
        // The readers have the only senders left: the lines end with the last of them.
        drop(reader);
        self.drain(output).await
    }

    fn print(&mut self, line: Line, output: &mut Output) -> Result<bool, CliError> {
        match line {
            Line::Log { task, step, text } => {
                self.printed = true;
                let line = self.prefixes.line(task.as_deref(), &step, &text);
                if self.aside {
                    output.progress(line);
                    return Ok(true);
                }
                output.line_of_many(&line)
            }
            Line::Trouble(trouble) => {
                output.note(trouble);
                Ok(true)
            }
        }
    }
}

fn finished(done: Result<Result<(), CliError>, JoinError>) -> Result<(), CliError> {
    done.unwrap_or_else(|error| Err(CliError::new(Exit::Failure, error.to_string())))
}
