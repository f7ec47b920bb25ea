//! `kn pipeline`

use std::collections::HashMap;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::Value;

use crate::commands::delete::DeleteArgs;
use crate::commands::describe::DescribeArgs;
use crate::commands::list::columns::{Column, NAME, column};
use crate::commands::list::{ListArgs, Query, fetch, text};
use crate::commands::runs::list::state;
use crate::commands::runs::start::{StartArgs, Startable, duration};
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::kind::Kind;
use crate::output::Output;
use crate::tekton::{self, PIPELINE, ago};

const STARTABLE: Startable = Startable {
    kind: Kind::Pipeline,
    run: Kind::PipelineRun,
    label: PIPELINE,
    reference: "pipelineRef",
    service_account: &["taskRunTemplate", "serviceAccountName"],
};
/// Label of a run that names its pipeline, as a JSON pointer.
const PIPELINE_OF: &str = "/metadata/labels/tekton.dev~1pipeline";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Delete pipelines
    #[command(
        visible_alias = "rm",
        after_help = "Examples:\n  kn pipeline delete release\n  kn pipeline delete release nightly --wait"
    )]
    Delete(DeleteArgs),
    /// Show what a pipeline takes and does, and its runs
    #[command(
        after_help = "Examples:\n  kn pipeline describe release\n  kn pipeline describe release -o yaml"
    )]
    Describe(DescribeArgs),
    /// List pipelines, each with its last run
    #[command(
        visible_alias = "ls",
        after_help = "Examples:\n  kn pipeline list\n  kn pipeline list -A -o name"
    )]
    List(ListArgs),
    /// Run a pipeline
    Start(Box<Start>),
}

/// Runs a pipeline.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  kn pipeline start release -p url=http://git/app.git -w name=src,emptyDir= --showlog\n  kn pipeline start release -p flags=--fast,--quiet -p image=name:app,tag:v1\n  kn pipeline start release --last\n  kn pipeline start release -p url=x -w name=src,claimName=sources --dry-run"
)]
pub struct Start {
    /// How long all may take, such as 10m; 0 for as long as it likes
    #[arg(long, value_name = "DURATION")]
    pipeline_timeout: Option<String>,
    /// How long the tasks may take
    #[arg(long, value_name = "DURATION")]
    tasks_timeout: Option<String>,
    /// How long the tasks of `finally` may take
    #[arg(long, value_name = "DURATION")]
    finally_timeout: Option<String>,
    #[command(flatten)]
    start: StartArgs,
}

impl Command {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        match self {
            Self::Delete(delete) => delete.run(context, Kind::Pipeline, output).await,
            Self::Describe(describe) => {
                let Some(pipeline) = describe.fetch(context, Kind::Pipeline, output).await? else {
                    return Ok(Exit::Success);
                };
                let query = Query::within(&text(&pipeline, "/metadata/namespace"))
                    .labelled(format!("{PIPELINE}={}", describe.name));
                let runs = fetch(context, Kind::PipelineRun, &query).await?;
                output.line(tekton::pipeline(
                    &pipeline,
                    &runs,
                    describe.verbose,
                    Timestamp::now(),
                ))?;
                Ok(Exit::Success)
            }
            Self::List(list) => {
                let query = Query {
                    namespace: list.scope.namespace(context).await?,
                    labels: Some(PIPELINE.to_owned()),
                    ..Query::default()
                };
                let columns = async || Ok(columns(fetch(context, Kind::PipelineRun, &query).await?));
                list.run(context, Kind::Pipeline, None, columns, output).await
            }
            Self::Start(command) => command.run(context, output).await,
        }
    }
}

impl Start {
    async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        let mut timeouts = Vec::new();
        for (field, given) in [
            ("pipeline", &self.pipeline_timeout),
            ("tasks", &self.tasks_timeout),
            ("finally", &self.finally_timeout),
        ] {
            if let Some(text) = given {
                timeouts.push((field, duration(&format!("{field}-timeout"), text)?));
            }
        }
        self.start
            .run(
                context,
                &STARTABLE,
                |spec| {
                    for (field, timeout) in timeouts {
                        spec["timeouts"][field] = timeout;
                    }
                },
                output,
            )
            .await
    }
}

/// NAME AGE LAST RUN STARTED DURATION STATUS, with the last of `runs` of each pipeline.
fn columns(runs: Vec<Value>) -> Vec<Column> {
    let mut of: HashMap<(String, String), Vec<Value>> = HashMap::new();
    for run in runs {
        let key = (text(&run, "/metadata/namespace"), text(&run, PIPELINE_OF));
        of.entry(key).or_default().push(run);
    }
    let last: HashMap<_, Value> = of
        .into_iter()
        .filter_map(|(key, runs)| Some((key, tekton::newest(&runs)?.clone())))
        .collect();
    let find = move |pipeline: &Value| {
        let key = (
            text(pipeline, "/metadata/namespace"),
            text(pipeline, "/metadata/name"),
        );
        last.get(&key).cloned()
    };
    let name = find.clone();
    let head = [
        NAME(),
        column("AGE", |pipeline, now| {
            ago(&pipeline["metadata"]["creationTimestamp"], now)
        }),
        column("LAST RUN", move |pipeline, _| {
            name(pipeline).map_or_else(|| "---".to_owned(), |run| text(&run, "/metadata/name"))
        }),
    ];
    head.into_iter().chain(state(find)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_last_run_is_that_of_the_same_namespace() {
        let run = |namespace: &str, name: &str, start: &str| {
            json!({ "metadata": { "name": name, "namespace": namespace, "labels": { "tekton.dev/pipeline": "p" } },
                "status": { "startTime": start, "conditions": [{ "status": "Unknown", "reason": "Running" }] } })
        };
        let columns = columns(vec![
            run("a", "old", "2026-01-01T00:00:00Z"),
            run("a", "new", "2026-01-01T00:05:00Z"),
            run("b", "other", "2026-01-01T00:09:00Z"),
        ]);
        let row = |namespace: &str| {
            let pipeline = json!({ "metadata": { "name": "p", "namespace": namespace, "creationTimestamp": "2026-01-01T00:00:00Z" } });
            let now = "2026-01-01T00:10:00Z".parse().unwrap();
            let cells: Vec<String> = columns
                .iter()
                .map(|column| (column.cell)(&pipeline, now))
                .collect();
            cells
        };
        let headers: Vec<&str> = columns.iter().map(|column| column.header).collect();
        assert_eq!(
            headers,
            ["NAME", "AGE", "LAST RUN", "STARTED", "DURATION", "STATUS"]
        );
        assert_eq!(
            row("a"),
            ["p", "10 minutes ago", "new", "5 minutes ago", "---", "Running"]
        );
        assert_eq!(row("b")[2], "other");
        assert_eq!(row("c")[2..], ["---", "---", "---", "---"]);
    }
}
