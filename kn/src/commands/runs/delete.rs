//! `delete` of runs: by name, or those of many that no rule keeps.

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use jiff::Timestamp;

use crate::cli::NamespaceArgs;
use crate::commands::delete::{DeleteWait, all};
use crate::commands::list::{Query, fetch};
use crate::completion;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::kind::Kind;
use crate::output::Output;
use crate::tekton::{Keep, prunable};

/// Flags of deleting runs.
#[derive(Args, Clone, Debug)]
pub struct DeleteRuns {
    /// Names of the runs
    #[arg(add = ArgValueCompleter::new(completion::names))]
    names: Vec<String>,
    /// Every run that is over
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// Of all, keep the newest COUNT that are over
    #[arg(long, value_name = "COUNT", conflicts_with = "names")]
    keep: Option<usize>,
    /// Of all, keep those that ended less than MINUTES ago
    #[arg(long, value_name = "MINUTES", conflicts_with = "names")]
    keep_since: Option<u32>,
    /// Whether to leave alone those that are not over
    #[arg(long, default_value_t = true, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL", action = clap::ArgAction::Set, conflicts_with = "names")]
    ignore_running: bool,
    /// Only runs with these labels, such as app=web,tier!=test
    #[arg(
        short = 'l',
        long = "label",
        visible_alias = "selector",
        value_name = "LABELS",
        conflicts_with = "names"
    )]
    label: Option<String>,
    #[command(flatten)]
    namespace: NamespaceArgs,
    #[command(flatten)]
    waiting: DeleteWait,
}

impl DeleteRuns {
    /// Deletes runs of `kind`; `of` is the label and value of those of one task or pipeline.
    pub async fn run(
        &self,
        context: &Context,
        kind: Kind,
        of: Option<(&str, &str)>,
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        let namespace = context.namespace(&self.namespace).await?;
        if !self.names.is_empty() {
            if of.is_some() {
                return Err(CliError::usage(
                    "names and the task or pipeline of runs cannot be given together",
                ));
            }
            return all(context, kind, &namespace, &self.names, &self.waiting, output).await;
        }
        let many = self.all
            || self.keep.is_some()
            || self.keep_since.is_some()
            || self.label.is_some()
            || of.is_some();
        if !many {
            return Err(CliError::usage("nothing says what to delete")
                .with_hint("name the runs, or give --all, --keep, --keep-since or --label"));
        }
        let labels: Vec<String> = self
            .label
            .iter()
            .cloned()
            .chain(of.map(|(label, value)| format!("{label}={value}")))
            .collect();
        let query = Query {
            labels: (!labels.is_empty()).then(|| labels.join(",")),
            ..Query::within(&namespace)
        };
        let keep = Keep {
            newest: self.keep,
            since: self.keep_since,
            running: self.ignore_running,
        };
        let runs: Vec<_> = fetch(context, kind, &query)
            .await?
            .into_iter()
            .filter(|run| !run["metadata"]["deletionTimestamp"].is_string())
            .collect();
        let names = prunable(&runs, keep, Timestamp::now());
        if names.is_empty() {
            let noun = kind.noun();
            output.done(format!("No {noun} to delete: {} there, all kept.", runs.len()))?;
            return Ok(Exit::Success);
        }
        all(context, kind, &namespace, &names, &self.waiting, output).await
    }
}
