//! `kn revision delete`

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use serde_json::Value;

use super::list::shares;
use crate::cli::NamespaceArgs;
use crate::commands::delete::{self, DeleteWait};
use crate::commands::list::{Query, fetch, text};
use crate::completion;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::kind::Kind;
use crate::output::Output;

/// Deletes revisions.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  kn revision delete web-00001\n  kn revision delete --prune web\n  kn revision delete --prune-all"
)]
pub struct Delete {
    /// Names of the revisions
    #[arg(add = ArgValueCompleter::new(completion::names))]
    names: Vec<String>,
    /// Delete the revisions of this service that nothing refers to
    #[arg(long, add = ArgValueCompleter::new(completion::services), value_name = "SERVICE", conflicts_with_all = ["names", "prune_all"])]
    prune: Option<String>,
    /// Delete all revisions that nothing refers to
    #[arg(long, conflicts_with = "names")]
    prune_all: bool,
    /// Delete revisions that have traffic or a tag, too
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    namespace: NamespaceArgs,
    #[command(flatten)]
    waiting: DeleteWait,
}

impl Delete {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        let namespace = context.namespace(&self.namespace).await?;
        let pruning = self.prune.is_some() || self.prune_all;
        if self.names.is_empty() && !pruning {
            return Err(CliError::usage(
                "'kn revision delete' requires one or more revision names, --prune or --prune-all",
            ));
        }
        let names = if pruning {
            let labels = self
                .prune
                .as_ref()
                .map(|service| format!("serving.knative.dev/service={service}"));
            let query = Query {
                labels,
                ..Query::within(&namespace)
            };
            let revisions = fetch(context, Kind::Revision, &query).await?;
            unreferenced(&revisions)
        } else {
            if !self.force {
                self.refuse_routed(context, &namespace).await?;
            }
            self.names.clone()
        };
        if names.is_empty() {
            output.line("No unreferenced revisions found.")?;
            return Ok(Exit::Success);
        }
        delete::all(context, Kind::Revision, &namespace, &names, &self.waiting, output).await
    }
}

impl Delete {
    /// Deleting what a route refers to would break the route.
    async fn refuse_routed(&self, context: &Context, namespace: &str) -> Result<(), CliError> {
        let services = fetch(context, Kind::Service, &Query::within(namespace)).await?;
        let shares = shares(&services);
        let routed = |name: &String| shares.contains_key(&(namespace.to_owned(), name.clone()));
        let Some(name) = self.names.iter().find(|name| routed(name)) else {
            return Ok(());
        };
        Err(CliError::new(
            Exit::Conflict,
            format!("revision '{name}' has traffic or a tag, and deleting it would break its route"),
        )
        .with_hint(
            "move traffic and tags away with `kn service update --traffic` and --untag, or use --force",
        ))
    }
}

fn unreferenced(revisions: &[Value]) -> Vec<String> {
    revisions
        .iter()
        .filter(|revision| text(revision, "/metadata/labels/serving.knative.dev~1routingState") != "active")
        .map(|revision| text(revision, "/metadata/name"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn active_revisions_are_kept() {
        let revision = |name: &str, state: &str| json!({ "metadata": { "name": name, "labels": { "serving.knative.dev/routingState": state } } });
        assert_eq!(
            unreferenced(&[
                revision("a", "active"),
                revision("b", "reserve"),
                json!({ "metadata": { "name": "c" } })
            ]),
            ["b", "c"]
        );
    }
}
