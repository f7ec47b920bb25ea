//! `kn trigger`

mod create;
mod filter;
mod update;

use clap::Subcommand;
use jiff::Timestamp;
use serde_json::Value;

use crate::commands::delete::DeleteArgs;
use crate::commands::delivery;
use crate::commands::describe::DescribeArgs;
use crate::commands::list::columns::{AGE, CONDITIONS, Column, NAME, READY, REASON, column, wide};
use crate::commands::list::{ListArgs, text};
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::kind::Kind;
use crate::output::Output;
use crate::{describe, sink};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create a trigger
    Create(create::Create),
    /// Delete triggers
    #[command(visible_alias = "rm", after_help = "Examples:\n  kn trigger delete hello")]
    Delete(DeleteArgs),
    /// Show the details of a trigger
    #[command(after_help = "Examples:\n  kn trigger describe hello\n  kn trigger describe hello -o yaml")]
    Describe(DescribeArgs),
    /// List triggers
    #[command(
        visible_alias = "ls",
        after_help = "Examples:\n  kn trigger list\n  kn trigger list -o wide --watch"
    )]
    List(ListArgs),
    /// Change a trigger
    Update(update::Update),
}

impl Command {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        match self {
            Self::Create(command) => command.run(context, output).await,
            Self::Delete(delete) => delete.run(context, Kind::Trigger, output).await,
            Self::Describe(describe) => describe.run(context, Kind::Trigger, render, output).await,
            Self::List(list) => {
                list.run(context, Kind::Trigger, None, async || Ok(columns()), output)
                    .await
            }
            Self::Update(command) => command.run(context, output).await,
        }
    }
}

fn columns() -> Vec<Column> {
    vec![
        NAME(),
        column("BROKER", |trigger, _| broker(trigger)),
        column("SINK", |trigger, _| {
            sink::cell(
                &trigger["spec"]["subscriber"],
                &text(trigger, "/metadata/namespace"),
            )
        }),
        AGE(),
        CONDITIONS(),
        READY(),
        REASON(),
        wide("SUBSCRIBER", |trigger, _| text(trigger, "/status/subscriberUri")),
        wide("FILTER", |trigger, _| filter::cell(&trigger["spec"])),
    ]
}

/// The broker's name, with its namespace if that is another one.
fn broker(trigger: &Value) -> String {
    let reference = &trigger["spec"]["brokerRef"];
    let namespace = text(reference, "/namespace");
    match reference.is_object() {
        true if namespace.is_empty() || namespace == text(trigger, "/metadata/namespace") => {
            text(reference, "/name")
        }
        true => format!("{}:{namespace}", text(reference, "/name")),
        false => text(trigger, "/spec/broker"),
    }
}

fn render(trigger: &Value, verbose: bool, now: Timestamp) -> String {
    let (spec, namespace) = (&trigger["spec"], text(trigger, "/metadata/namespace"));
    let blocks = [
        ("Filter", describe::map(&spec["filter"]["attributes"])),
        ("Filters", filter::tree(&spec["filters"])),
        (
            "Sink",
            describe::block(&sink::rows(&spec["subscriber"], &namespace)),
        ),
        ("Delivery", delivery::describe(trigger)),
    ];
    describe::page(trigger, verbose, now, vec![("Broker", broker(trigger))], &blocks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_trigger_is_described_with_its_filters() {
        let trigger = json!({ "metadata": { "name": "t", "namespace": "d", "creationTimestamp": "1970-01-01T00:00:00Z" },
            "spec": { "broker": "default", "filter": { "attributes": { "type": "a", "source": "b" } },
                "filters": [{ "any": [{ "exact": { "type": "x" } }, { "not": { "prefix": { "source": "y" } } }] }, { "cesql": "id = 1" }],
                "subscriber": { "ref": { "apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": "web", "namespace": "d" } } },
            "status": { "conditions": [{ "type": "Ready", "status": "True" }] } });
        let text = render(&trigger, false, Timestamp::UNIX_EPOCH);
        for part in [
            "Broker:     default\n",
            "Filter:\n  source:  b\n  type:    a\n",
            "Filters:\n  any:\n    exact:\n      type: x\n    not:\n      prefix:\n        source: y\n  cesql: id = 1\n",
            "Sink:\n  Name:      web\n  Resource:  Service (serving.knative.dev/v1)\n",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        let cells: Vec<String> = columns()
            .iter()
            .map(|column| (column.cell)(&trigger, Timestamp::UNIX_EPOCH))
            .collect();
        assert_eq!(cells[..3], ["t", "default", "ksvc:web"]);
        let other = json!({ "metadata": { "namespace": "d" }, "spec": { "brokerRef": { "name": "b", "namespace": "e" } } });
        assert_eq!(broker(&other), "b:e");
    }
}
