//! `kn broker`

mod create;
mod update;

use clap::Subcommand;
use jiff::Timestamp;
use serde_json::Value;

use crate::commands::delete::DeleteArgs;
use crate::commands::delivery;
use crate::commands::describe::DescribeArgs;
use crate::commands::list::columns::{AGE, CONDITIONS, Column, NAME, READY, REASON, field, wide};
use crate::commands::list::{ListArgs, text};
use crate::context::Context;
use crate::describe;
use crate::error::{CliError, Exit};
use crate::kind::Kind;
use crate::output::Output;

/// Annotation that says which implementation serves a broker.
const CLASS: &str = "eventing.knative.dev/broker.class";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create a broker
    Create(create::Create),
    /// Delete brokers
    #[command(
        visible_alias = "rm",
        after_help = "Examples:\n  kn broker delete default\n  kn broker delete default other --wait"
    )]
    Delete(DeleteArgs),
    /// Show the details of a broker
    #[command(after_help = "Examples:\n  kn broker describe default\n  kn broker describe default -o url")]
    Describe(DescribeArgs),
    /// List brokers
    #[command(
        visible_alias = "ls",
        after_help = "Examples:\n  kn broker list\n  kn broker list -A -o wide"
    )]
    List(ListArgs),
    /// Change how a broker delivers events
    Update(update::Update),
}

impl Command {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        match self {
            Self::Create(command) => command.run(context, output).await,
            Self::Delete(delete) => delete.run(context, Kind::Broker, output).await,
            Self::Describe(describe) => describe.run(context, Kind::Broker, render, output).await,
            Self::List(list) => {
                list.run(context, Kind::Broker, None, async || Ok(columns()), output)
                    .await
            }
            Self::Update(command) => command.run(context, output).await,
        }
    }
}

fn columns() -> Vec<Column> {
    vec![
        NAME(),
        field("URL", "/status/address/url"),
        AGE(),
        CONDITIONS(),
        READY(),
        REASON(),
        wide("CLASS", |broker, _| class(broker)),
        wide("DEAD LETTER SINK", |broker, _| delivery::dead_letter(broker)),
    ]
}

fn class(broker: &Value) -> String {
    broker["metadata"]["annotations"][CLASS]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

fn render(broker: &Value, verbose: bool, now: Timestamp) -> String {
    let address = describe::block(&[("URL", text(broker, "/status/address/url"))]);
    let blocks = [("Address", address), ("Delivery", delivery::describe(broker))];
    describe::page(broker, verbose, now, vec![("Class", class(broker))], &blocks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_broker_is_described() {
        let broker = json!({ "metadata": { "name": "default", "namespace": "d", "creationTimestamp": "1970-01-01T00:00:00Z" },
            "spec": { "delivery": { "retry": 3, "deadLetterSink": { "ref": { "kind": "Service", "apiVersion": "v1", "name": "x" } } } },
            "status": { "address": { "url": "http://b" }, "conditions": [{ "type": "Ready", "status": "True" }] } });
        let text = render(&broker, false, Timestamp::UNIX_EPOCH);
        assert!(
            text.starts_with("Name:       default\nNamespace:  d\nAge:        0s\n\nAddress:\n  URL:  http://b\n\nDelivery:\n"),
            "{text}"
        );
        assert!(
            text.contains("Retry:") && text.contains("Dead Letter Sink:  svc:x"),
            "{text}"
        );
    }
}
