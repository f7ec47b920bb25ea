//! `kn subscription`

mod create;
mod update;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::Value;

use crate::change::delivery as change;
use crate::change::json::{drop_empty, object};
use crate::commands::delete::DeleteArgs;
use crate::commands::delivery::{self, destination};
use crate::commands::describe::DescribeArgs;
use crate::commands::list::columns::{AGE, CONDITIONS, Column, NAME, READY, REASON, column};
use crate::commands::list::{ListArgs, text};
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::flags::delivery::RetryArgs;
use crate::kind::Kind;
use crate::output::Output;
use crate::{describe, sink};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create a subscription
    Create(create::Create),
    /// Delete subscriptions
    #[command(
        visible_alias = "rm",
        after_help = "Examples:\n  kn subscription delete pipe-display"
    )]
    Delete(DeleteArgs),
    /// Show the details of a subscription
    #[command(after_help = "Examples:\n  kn subscription describe pipe-display")]
    Describe(DescribeArgs),
    /// List subscriptions
    #[command(
        visible_alias = "ls",
        after_help = "Examples:\n  kn subscription list\n  kn subscription list -A --no-headers"
    )]
    List(ListArgs),
    /// Change a subscription
    Update(update::Update),
}

impl Command {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        match self {
            Self::Create(command) => command.run(context, output).await,
            Self::Delete(delete) => delete.run(context, Kind::Subscription, output).await,
            Self::Describe(describe) => describe.run(context, Kind::Subscription, render, output).await,
            Self::List(list) => {
                list.run(context, Kind::Subscription, None, async || Ok(columns()), output)
                    .await
            }
            Self::Update(command) => command.run(context, output).await,
        }
    }
}

/// Where the events of a channel go.
#[derive(Args, Clone, Debug, Default, PartialEq)]
struct SinksArgs {
    /// Who gets the events: ksvc:NAME, svc:NAME, broker:NAME, channel:NAME, GROUP/VERSION/PLURAL:NAME or a URL; an empty one removes it
    #[arg(short, long, value_name = "SINK")]
    sink: Option<String>,
    /// Where the answers go, in the same forms
    #[arg(long, value_name = "SINK")]
    sink_reply: Option<String>,
    /// Where events go that could not be delivered, in the same forms
    #[arg(long, value_name = "SINK")]
    sink_dead_letter: Option<String>,
    #[command(flatten)]
    retry: RetryArgs,
}

/// What these flags do, with all they refer to found.
struct Sinks {
    subscriber: Option<Option<Value>>,
    reply: Option<Option<Value>>,
    dead_letter: Option<Option<Value>>,
    retry: RetryArgs,
}

impl SinksArgs {
    async fn read(&self, context: &Context, namespace: &str) -> Result<Sinks, CliError> {
        Ok(Sinks {
            subscriber: destination(context, "sink", self.sink.as_deref(), namespace).await?,
            reply: destination(context, "sink-reply", self.sink_reply.as_deref(), namespace).await?,
            dead_letter: destination(
                context,
                "sink-dead-letter",
                self.sink_dead_letter.as_deref(),
                namespace,
            )
            .await?,
            retry: self.retry.clone(),
        })
    }
}

impl Sinks {
    fn apply(&self, spec: &mut Value) -> Result<(), CliError> {
        for (field, sink) in [("subscriber", &self.subscriber), ("reply", &self.reply)] {
            if let Some(sink) = sink {
                object(spec).insert(field.to_owned(), sink.clone().unwrap_or_default());
                drop_empty(spec, field);
            }
        }
        change::retry(spec, &self.retry)?;
        change::dead_letter(spec, self.dead_letter.clone());
        Ok(())
    }
}

fn home(subscription: &Value) -> String {
    text(subscription, "/metadata/namespace")
}

fn columns() -> Vec<Column> {
    vec![
        NAME(),
        column("CHANNEL", |subscription, _| {
            let channel = &subscription["spec"]["channel"];
            format!("{}:{}", text(channel, "/kind"), text(channel, "/name"))
        }),
        column("SUBSCRIBER", |subscription, _| {
            sink::cell(&subscription["spec"]["subscriber"], &home(subscription))
        }),
        column("REPLY", |subscription, _| {
            sink::cell(&subscription["spec"]["reply"], &home(subscription))
        }),
        column("DEAD LETTER SINK", |subscription, _| {
            delivery::dead_letter(subscription)
        }),
        READY(),
        REASON(),
        Column { wide: true, ..AGE() },
        Column {
            wide: true,
            ..CONDITIONS()
        },
    ]
}

fn render(subscription: &Value, verbose: bool, now: Timestamp) -> String {
    let (spec, home) = (&subscription["spec"], home(subscription));
    let channel = &spec["channel"];
    let channel = [
        ("Name", text(channel, "/name")),
        (
            "Resource",
            format!("{} ({})", text(channel, "/kind"), text(channel, "/apiVersion")),
        ),
    ];
    let rows = |destination: &Value| describe::block(&sink::rows(destination, &home));
    let blocks = [
        ("Channel", describe::block(&channel)),
        ("Subscriber", rows(&spec["subscriber"])),
        ("Reply", rows(&spec["reply"])),
        ("DeadLetterSink", rows(&spec["delivery"]["deadLetterSink"])),
    ];
    describe::page(subscription, verbose, now, Vec::new(), &blocks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sinks_come_go_and_are_shown() {
        let mut spec = json!({ "channel": { "apiVersion": "messaging.knative.dev/v1", "kind": "Channel", "name": "pipe" }, "reply": { "uri": "http://old" } });
        let sinks = Sinks {
            subscriber: Some(Some(
                json!({ "ref": { "apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": "web" } }),
            )),
            reply: Some(None),
            dead_letter: Some(Some(json!({ "uri": "http://dead" }))),
            retry: RetryArgs::default(),
        };
        sinks.apply(&mut spec).unwrap();
        assert!(spec.get("reply").is_none(), "{spec}");
        let subscription = json!({ "metadata": { "name": "s", "namespace": "d" }, "spec": spec });
        let cells: Vec<String> = columns()
            .iter()
            .map(|column| (column.cell)(&subscription, Timestamp::UNIX_EPOCH))
            .collect();
        assert_eq!(cells[..5], ["s", "Channel:pipe", "ksvc:web", "", "http://dead"]);
        let text = render(&subscription, false, Timestamp::UNIX_EPOCH);
        assert!(
            text.contains("Channel:\n  Name:      pipe\n  Resource:  Channel (messaging.knative.dev/v1)\n\nSubscriber:\n  Name:      web\n"),
            "{text}"
        );
        assert!(
            text.contains("DeadLetterSink:\n  URI:  http://dead\n") && !text.contains("Reply:"),
            "{text}"
        );
    }
}
