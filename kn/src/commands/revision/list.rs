//! `kn revision list`

use std::collections::HashMap;
use std::rc::Rc;

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use jiff::Timestamp;
use serde_json::Value;

use crate::commands::list::columns::{AGE, CONDITIONS, Column, NAME, READY, REASON, column, field, wide};
use crate::commands::list::{GENERATION, ListArgs, Query, SERVICE, fetch, text};
use crate::completion;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::kind::Kind;
use crate::output::Output;
use crate::revision_view;

/// Longest cell.
const CELL: usize = 50;

/// Lists revisions.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  kn revision list\n  kn revision list -s web\n  kn revision list -o wide --watch"
)]
pub struct List {
    /// Only the revisions of this service
    #[arg(short, long, value_name = "SERVICE", add = ArgValueCompleter::new(completion::services))]
    service: Option<String>,
    #[command(flatten)]
    list: ListArgs,
}

impl List {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        let namespace = self.list.scope.namespace(context).await?;
        if let (Some(service), Some(namespace)) = (&self.service, &namespace) {
            context.get(Kind::Service, namespace, service).await?;
        }
        let labels = self
            .service
            .as_ref()
            .map(|service| format!("serving.knative.dev/service={service}"));
        let query = Query {
            namespace,
            ..Query::default()
        };
        let columns = async || Ok(columns(shares(&fetch(context, Kind::Service, &query).await?)));
        self.list
            .run(context, Kind::Revision, labels, columns, output)
            .await
    }
}

/// Percent and tags of one revision.
#[derive(Default)]
pub struct Share {
    pub percent: i64,
    pub tags: Vec<String>,
}

/// What the services send to each revision, by namespace and name.
type Shares = HashMap<(String, String), Share>;

/// Shares by namespace and revision, from what the services report.
pub fn shares(services: &[Value]) -> Shares {
    let mut shares = Shares::new();
    for service in services {
        for target in service["status"]["traffic"].as_array().into_iter().flatten() {
            let key = (
                text(service, "/metadata/namespace"),
                text(target, "/revisionName"),
            );
            let share = shares.entry(key).or_default();
            share.percent += target["percent"].as_i64().unwrap_or(0);
            share.tags.extend(
                target["tag"]
                    .as_str()
                    .filter(|tag| !tag.is_empty())
                    .map(str::to_owned),
            );
        }
    }
    shares
}

fn columns(shares: Shares) -> Vec<Column> {
    let shares = Rc::new(shares);
    let share = |cell: fn(&Share) -> String| {
        let shares = Rc::clone(&shares);
        move |revision: &Value, _: Timestamp| {
            let key = (
                text(revision, "/metadata/namespace"),
                text(revision, "/metadata/name"),
            );
            shares.get(&key).map(cell).unwrap_or_default()
        }
    };
    let columns = vec![
        NAME(),
        field("SERVICE", SERVICE),
        column(
            "TRAFFIC",
            share(|share| match share.percent {
                0 => String::new(),
                percent => format!("{percent}%"),
            }),
        ),
        column("TAGS", share(|share| share.tags.join(","))),
        field("GENERATION", GENERATION),
        AGE(),
        CONDITIONS(),
        READY(),
        REASON(),
        wide("REPLICAS", |revision, _| revision_view::replicas(revision)),
        wide("IMAGE", |revision, _| revision_view::image(revision)),
    ];
    columns
        .into_iter()
        .map(|Column { header, wide, cell }| Column {
            header,
            wide,
            cell: Box::new(move |revision, now| cut(cell(revision, now))),
        })
        .collect()
}

fn cut(cell: String) -> String {
    if cell.chars().count() <= CELL {
        return cell;
    }
    cell.chars().take(CELL - 3).chain("...".chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn traffic_and_tags_come_from_the_service() {
        let revision = |name: &str, generation: &str| {
            json!({ "metadata": { "name": name, "namespace": "default", "creationTimestamp": "1970-01-01T00:00:00Z",
                "labels": { "serving.knative.dev/service": "web", "serving.knative.dev/configurationGeneration": generation } },
                "status": { "conditions": [{ "type": "Ready", "status": "True" }] } })
        };
        let service = json!({ "metadata": { "name": "web", "namespace": "default" }, "status": { "traffic": [
            { "revisionName": "web-00002", "percent": 10, "tag": "next" }, { "revisionName": "web-00002", "percent": 5, "tag": "b" } ] } });
        let columns = columns(shares(&[service]));
        let cells = |revision: Value| {
            let cell = |column: &Column| (column.cell)(&revision, Timestamp::UNIX_EPOCH);
            columns.iter().map(cell).collect::<Vec<_>>()
        };
        assert_eq!(
            cells(revision("web-00002", "2"))[..5],
            ["web-00002", "web", "15%", "next,b", "2"]
        );
        assert_eq!(
            cells(revision("web-00001", "1"))[..6],
            ["web-00001", "web", "", "", "1", "0s"]
        );
        assert_eq!(cut("x".repeat(60)).len(), 50);
    }
}
