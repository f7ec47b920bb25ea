//! `kn service list`

use clap::Args;
use jiff::Timestamp;
use serde_json::Value;

use crate::cli::ListScope;
use crate::commands::list::{fetch, list_object, text};
use crate::context::{Context, Kind};
use crate::error::{CliError, Exit};
use crate::offline::{Target, TargetArgs};
use crate::output::{Output, OutputArgs};
use crate::{age, conditions, table};

/// Lists services.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  kn service list\n  kn service list -A\n  kn service list web -o json")]
pub struct List {
    /// Only the service of this name
    name: Option<String>,
    #[command(flatten)]
    scope: ListScope,
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    form: OutputArgs,
}

impl List {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        let services = match self.target.target()? {
            Some(target) => self.offline(context, &target).await?,
            None => fetch(context, Kind::Service, &self.scope, self.name.as_deref(), None).await?,
        };
        if self.form.print(&list_object(Kind::Service, &services), output)? {
            return Ok(Exit::Success);
        }
        if services.is_empty() {
            output.line("No services found.")?;
            return Ok(Exit::Success);
        }
        output.line(render(&services, &self.scope, Timestamp::now()))?;
        Ok(Exit::Success)
    }

    async fn offline(&self, context: &Context, target: &Target) -> Result<Vec<Value>, CliError> {
        let namespace = match self.scope.all_namespaces {
            true => None,
            false => Some(context.namespace_offline(&self.scope.namespace).await),
        };
        let mut services = target.list(namespace.as_deref())?;
        if let Some(name) = &self.name {
            services.retain(|service| text(service, "/metadata/name") == *name);
        }
        Ok(services)
    }
}

fn render(services: &[Value], scope: &ListScope, now: Timestamp) -> String {
    let mut headers = vec!["NAME", "URL", "LATEST", "AGE", "CONDITIONS", "READY", "REASON"];
    if scope.all_namespaces {
        headers.insert(0, "NAMESPACE");
    }
    let rows: Vec<Vec<String>> = services
        .iter()
        .map(|service| {
            let mut row = vec![
                text(service, "/metadata/name"),
                text(service, "/status/url"),
                text(service, "/status/latestReadyRevisionName"),
                age::of(service, now),
                conditions::summary(service),
                conditions::ready(service),
                conditions::reason(service),
            ];
            if scope.all_namespaces {
                row.insert(0, text(service, "/metadata/namespace"));
            }
            row
        })
        .collect();
    table::render(&headers, &rows, !scope.no_headers)
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
        let scope = ListScope {
            all_namespaces: true,
            ..ListScope::default()
        };
        let table = render(&[service], &scope, "2026-01-01T00:00:42Z".parse().unwrap());
        let lines: Vec<Vec<&str>> = table
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(
            lines[0],
            [
                "NAMESPACE",
                "NAME",
                "URL",
                "LATEST",
                "AGE",
                "CONDITIONS",
                "READY",
                "REASON"
            ]
        );
        assert_eq!(
            lines[1],
            [
                "team",
                "web",
                "http://web",
                "web-00002",
                "42s",
                "2",
                "OK",
                "/",
                "2",
                "True"
            ]
        );
    }
}
