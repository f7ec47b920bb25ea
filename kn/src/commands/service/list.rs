//! `kn service list`

use clap::Args;

use crate::commands::list::columns::{AGE, CONDITIONS, Column, NAME, READY, REASON, field, wide};
use crate::commands::list::{ListArgs, text};
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::kind::Kind;
use crate::offline::TargetArgs;
use crate::output::Output;

/// Lists services.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  kn service list\n  kn service list -A\n  kn service list web -o json\n  kn service list -l team=a -o wide --watch"
)]
pub struct List {
    #[command(flatten)]
    list: ListArgs,
    #[command(flatten)]
    target: TargetArgs,
}

impl List {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        let Some(target) = self.target.target()? else {
            return self
                .list
                .run(context, Kind::Service, None, async || Ok(columns()), output)
                .await;
        };
        let scope = &self.list.scope;
        let namespace = match scope.all_namespaces {
            true => None,
            false => Some(context.namespace_offline(&scope.namespace).await),
        };
        let services = target.list(namespace.as_deref())?;
        self.list
            .run_offline(Kind::Service, services, columns(), output)
            .await
    }
}

fn columns() -> Vec<Column> {
    vec![
        NAME(),
        field("URL", "/status/url"),
        field("LATEST", "/status/latestReadyRevisionName"),
        AGE(),
        CONDITIONS(),
        READY(),
        REASON(),
        wide("CREATED", |service, _| {
            text(service, "/status/latestCreatedRevisionName")
        }),
        wide("IMAGE", |service, _| {
            text(service, "/spec/template/spec/containers/0/image")
        }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_columns_are_those_of_the_peer() {
        let service = json!({
            "metadata": { "name": "web", "namespace": "team", "creationTimestamp": "2026-01-01T00:00:00Z" },
            "status": { "url": "http://web", "latestReadyRevisionName": "web-00002",
                        "conditions": [{ "type": "Ready", "status": "True" }, { "type": "RoutesReady", "status": "True" }] },
        });
        let now = "2026-01-01T00:00:42Z".parse().unwrap();
        let shown: Vec<(&str, String)> = columns()
            .iter()
            .filter(|column| !column.wide)
            .map(|column| (column.header, (column.cell)(&service, now)))
            .collect();
        let shown: Vec<(&str, &str)> = shown
            .iter()
            .map(|(header, cell)| (*header, cell.as_str()))
            .collect();
        assert_eq!(
            shown,
            [
                ("NAME", "web"),
                ("URL", "http://web"),
                ("LATEST", "web-00002"),
                ("AGE", "42s"),
                ("CONDITIONS", "2 OK / 2"),
                ("READY", "True"),
                ("REASON", "")
            ]
        );
    }
}
