//! `kn revision list`

use std::collections::HashMap;

use clap::Args;
use jiff::Timestamp;
use serde_json::Value;

use crate::cli::ListScope;
use crate::commands::list::{fetch, list_object, text};
use crate::context::{Context, Kind};
use crate::error::{CliError, Exit};
use crate::output::{Output, OutputArgs};
use crate::{age, conditions, table};

pub const SERVICE: &str = "/metadata/labels/serving.knative.dev~1service";
pub const GENERATION: &str = "/metadata/labels/serving.knative.dev~1configurationGeneration";
/// Longest cell.
const CELL: usize = 50;

/// Lists revisions.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  kn revision list\n  kn revision list -s web")]
pub struct List {
    /// Only the revision of this name
    name: Option<String>,
    /// Only the revisions of this service
    #[arg(short, long, value_name = "SERVICE")]
    service: Option<String>,
    #[command(flatten)]
    scope: ListScope,
    #[command(flatten)]
    form: OutputArgs,
}

impl List {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        if let (Some(service), false) = (&self.service, self.scope.all_namespaces) {
            let namespace = context.namespace(&self.scope.namespace).await?;
            context.get(Kind::Service, &namespace, service).await?;
        }
        let labels = self
            .service
            .as_ref()
            .map(|service| format!("serving.knative.dev/service={service}"));
        let mut revisions = fetch(
            context,
            Kind::Revision,
            &self.scope,
            self.name.as_deref(),
            labels.as_deref(),
        )
        .await?;
        revisions.sort_by_key(|revision| {
            let generation: i64 = text(revision, GENERATION).parse().unwrap_or(0);
            (
                text(revision, "/metadata/namespace"),
                text(revision, SERVICE),
                -generation,
            )
        });
        if self
            .form
            .print(&list_object(Kind::Revision, &revisions), output)?
        {
            return Ok(Exit::Success);
        }
        if revisions.is_empty() {
            output.line("No revisions found.")?;
            return Ok(Exit::Success);
        }
        let services = fetch(context, Kind::Service, &self.scope, None, None).await?;
        output.line(render(&revisions, &services, &self.scope, Timestamp::now()))?;
        Ok(Exit::Success)
    }
}

/// Percent and tags of one revision.
#[derive(Default)]
pub struct Share {
    pub percent: i64,
    pub tags: Vec<String>,
}

/// Shares by namespace and revision, from what the services report.
pub fn shares(services: &[Value]) -> HashMap<(String, String), Share> {
    let mut shares: HashMap<(String, String), Share> = HashMap::new();
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

fn render(revisions: &[Value], services: &[Value], scope: &ListScope, now: Timestamp) -> String {
    let shares = shares(services);
    let mut headers = vec![
        "NAME",
        "SERVICE",
        "TRAFFIC",
        "TAGS",
        "GENERATION",
        "AGE",
        "CONDITIONS",
        "READY",
        "REASON",
    ];
    if scope.all_namespaces {
        headers.insert(0, "NAMESPACE");
    }
    let rows: Vec<Vec<String>> = revisions
        .iter()
        .map(|revision| {
            let (namespace, name) = (
                text(revision, "/metadata/namespace"),
                text(revision, "/metadata/name"),
            );
            let share = shares.get(&(namespace.clone(), name.clone()));
            let mut row = vec![
                name,
                text(revision, SERVICE),
                share
                    .filter(|share| share.percent > 0)
                    .map(|share| format!("{}%", share.percent))
                    .unwrap_or_default(),
                share.map(|share| share.tags.join(",")).unwrap_or_default(),
                text(revision, GENERATION),
                age::of(revision, now),
                conditions::summary(revision),
                conditions::ready(revision),
                conditions::reason(revision),
            ];
            if scope.all_namespaces {
                row.insert(0, namespace);
            }
            row.into_iter().map(cut).collect()
        })
        .collect();
    table::render(&headers, &rows, !scope.no_headers)
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
        let table = render(
            &[revision("web-00002", "2"), revision("web-00001", "1")],
            &[service],
            &ListScope::default(),
            Timestamp::UNIX_EPOCH,
        );
        let lines: Vec<Vec<&str>> = table
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(lines[1][..5], ["web-00002", "web", "15%", "next,b", "2"]);
        assert_eq!(lines[2][..4], ["web-00001", "web", "1", "0s"]);
        assert_eq!(cut("x".repeat(60)).len(), 50);
    }
}
