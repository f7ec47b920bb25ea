//! `kn domain`

mod claim;
mod create;
mod reference;
mod update;

use clap::Subcommand;
use jiff::Timestamp;
use serde_json::Value;

use crate::commands::delete::DeleteArgs;
use crate::commands::describe::DescribeArgs;
use crate::commands::list::columns::{Column, NAME, READY, REASON, column, field, wide};
use crate::commands::list::{ListArgs, text};
use crate::context::Context;
use crate::describe;
use crate::error::{CliError, Exit};
use crate::kind::Kind;
use crate::output::Output;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Give a domain to a namespace
    Claim(claim::Claim),
    /// Map a domain to a service
    Create(create::Create),
    /// Delete domain mappings
    #[command(
        visible_alias = "rm",
        after_help = "Examples:\n  kn domain delete www.example.com"
    )]
    Delete(DeleteArgs),
    /// Show the details of a domain mapping
    #[command(
        after_help = "Examples:\n  kn domain describe www.example.com\n  kn domain describe www.example.com -o url"
    )]
    Describe(DescribeArgs),
    /// List domain mappings
    #[command(
        visible_alias = "ls",
        after_help = "Examples:\n  kn domain list\n  kn domain list -A -o wide"
    )]
    List(ListArgs),
    /// Map a domain to another service
    Update(update::Update),
}

impl Command {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        match self {
            Self::Claim(command) => command.run(context, output).await,
            Self::Create(command) => command.run(context, output).await,
            Self::Delete(delete) => delete.run(context, Kind::DomainMapping, output).await,
            Self::Describe(describe) => describe.run(context, Kind::DomainMapping, render, output).await,
            Self::List(list) => {
                list.run(context, Kind::DomainMapping, None, async || Ok(columns()), output)
                    .await
            }
            Self::Update(command) => command.run(context, output).await,
        }
    }
}

fn columns() -> Vec<Column> {
    vec![
        NAME(),
        field("URL", "/status/url"),
        READY(),
        column("KSVC", |mapping, _| reference::cell(&mapping["spec"]["ref"])),
        wide("TLS SECRET", |mapping, _| text(mapping, "/spec/tls/secretName")),
        Column {
            wide: true,
            ..REASON()
        },
    ]
}

fn render(mapping: &Value, verbose: bool, now: Timestamp) -> String {
    let head = vec![
        ("URL", text(mapping, "/status/url")),
        ("TLS Secret", text(mapping, "/spec/tls/secretName")),
    ];
    let reference = &mapping["spec"]["ref"];
    let rows = [
        ("APIVersion", text(reference, "/apiVersion")),
        ("Kind", text(reference, "/kind")),
        ("Name", text(reference, "/name")),
        ("Namespace", text(reference, "/namespace")),
    ];
    let shown: Vec<_> = rows.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    let blocks = [("Reference", describe::block(&shown))];
    describe::page(mapping, verbose, now, head, &blocks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_mapping_is_described() {
        let mapping = json!({
            "metadata": { "name": "www.example.com", "namespace": "d", "creationTimestamp": "1970-01-01T00:00:00Z" },
            "spec": { "ref": { "kind": "Service", "apiVersion": "serving.knative.dev/v1", "name": "web", "namespace": "d" } },
            "status": { "url": "http://www.example.com", "conditions": [{ "type": "Ready", "status": "True" }] } });
        let text = render(&mapping, false, Timestamp::UNIX_EPOCH);
        assert!(
            text.starts_with(
                "Name:       www.example.com\nNamespace:  d\nAge:        0s\nURL:        http://www.example.com\n\n\
                 Reference:\n  APIVersion:  serving.knative.dev/v1\n  Kind:        Service\n  Name:        web\n"
            ),
            "{text}"
        );
    }
}
