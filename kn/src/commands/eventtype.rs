//! `kn eventtype`

mod create;

use clap::Subcommand;
use jiff::Timestamp;
use serde_json::Value;

use crate::commands::delete::DeleteArgs;
use crate::commands::describe::DescribeArgs;
use crate::commands::list::columns::{AGE, Column, NAME, READY, REASON, column, field, wide};
use crate::commands::list::{ListArgs, text};
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::kind::Kind;
use crate::output::Output;
use crate::{describe, sink};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create an event type
    Create(create::Create),
    /// Delete event types
    #[command(visible_alias = "rm", after_help = "Examples:\n  kn eventtype delete hello")]
    Delete(DeleteArgs),
    /// Show the details of an event type
    #[command(after_help = "Examples:\n  kn eventtype describe hello\n  kn eventtype describe hello -o yaml")]
    Describe(DescribeArgs),
    /// List event types
    #[command(
        visible_alias = "ls",
        after_help = "Examples:\n  kn eventtype list\n  kn eventtype list -o wide"
    )]
    List(ListArgs),
}

impl Command {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        match self {
            Self::Create(command) => command.run(context, output).await,
            Self::Delete(delete) => delete.run(context, Kind::EventType, output).await,
            Self::Describe(describe) => describe.run(context, Kind::EventType, render, output).await,
            Self::List(list) => {
                list.run(context, Kind::EventType, None, async || Ok(columns()), output)
                    .await
            }
        }
    }
}

/// What sends events of the type, as tables show it; older objects name their broker in a field of its own.
fn reference(type_: &Value) -> String {
    let (spec, home) = (&type_["spec"], text(type_, "/metadata/namespace"));
    match spec["reference"].is_object() {
        true => sink::cell(&serde_json::json!({ "ref": spec["reference"] }), &home),
        false => match text(spec, "/broker") {
            broker if broker.is_empty() => broker,
            broker => format!("broker:{broker}"),
        },
    }
}

fn columns() -> Vec<Column> {
    vec![
        NAME(),
        field("TYPE", "/spec/type"),
        field("SOURCE", "/spec/source"),
        column("REFERENCE", |type_, _| reference(type_)),
        AGE(),
        READY(),
        wide("DESCRIPTION", |type_, _| text(type_, "/spec/description")),
        wide("SCHEMA", |type_, _| text(type_, "/spec/schema")),
        Column {
            wide: true,
            ..REASON()
        },
    ]
}

fn render(type_: &Value, verbose: bool, now: Timestamp) -> String {
    let head = vec![
        ("Type", text(type_, "/spec/type")),
        ("Source", text(type_, "/spec/source")),
        ("Schema", text(type_, "/spec/schema")),
        ("Description", text(type_, "/spec/description")),
    ];
    let home = text(type_, "/metadata/namespace");
    let rows = sink::rows(&serde_json::json!({ "ref": type_["spec"]["reference"] }), &home);
    let blocks = [("Reference", describe::block(&rows))];
    describe::page(type_, verbose, now, head, &blocks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_type_itself_is_shown() {
        let type_ = json!({ "metadata": { "name": "hello", "namespace": "d" }, "spec": { "type": "dev.hello", "source": "/me",
            "reference": { "apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "name": "default", "namespace": "d" } } });
        let text = render(&type_, false, Timestamp::UNIX_EPOCH);
        for part in [
            "Type:       dev.hello\n",
            "Source:     /me\n",
            "Reference:\n  Name:      default\n",
        ] {
            assert!(text.contains(part), "{text}");
        }
        assert_eq!(reference(&type_), "broker:default");
        assert_eq!(reference(&json!({ "spec": { "broker": "b" } })), "broker:b");
    }
}
