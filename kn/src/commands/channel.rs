//! `kn channel`

mod create;
mod types;

pub mod channel_type;

use clap::Subcommand;
use jiff::Timestamp;
use serde_json::Value;

use crate::commands::delete::DeleteArgs;
use crate::commands::describe::DescribeArgs;
use crate::commands::list::columns::{AGE, CONDITIONS, Column, NAME, READY, REASON, field};
use crate::commands::list::{ListArgs, text};
use crate::context::Context;
use crate::describe;
use crate::error::{CliError, Exit};
use crate::kind::Kind;
use crate::output::Output;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create a channel
    Create(create::Create),
    /// Delete channels
    #[command(visible_alias = "rm", after_help = "Examples:\n  kn channel delete pipe")]
    Delete(DeleteArgs),
    /// Show the details of a channel
    #[command(after_help = "Examples:\n  kn channel describe pipe\n  kn channel describe pipe -o url")]
    Describe(DescribeArgs),
    /// List channels
    #[command(
        visible_alias = "ls",
        after_help = "Examples:\n  kn channel list\n  kn channel list -A -o json"
    )]
    List(ListArgs),
    /// List the types of channels there are
    ListTypes(types::ListTypes),
}

impl Command {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        match self {
            Self::Create(command) => command.run(context, output).await,
            Self::Delete(delete) => delete.run(context, Kind::Channel, output).await,
            Self::Describe(describe) => describe.run(context, Kind::Channel, render, output).await,
            Self::List(list) => {
                list.run(context, Kind::Channel, None, async || Ok(columns()), output)
                    .await
            }
            Self::ListTypes(command) => command.run(context, output).await,
        }
    }
}

fn columns() -> Vec<Column> {
    vec![
        NAME(),
        field("TYPE", "/spec/channelTemplate/kind"),
        field("URL", "/status/address/url"),
        AGE(),
        READY(),
        REASON(),
        Column {
            wide: true,
            ..CONDITIONS()
        },
    ]
}

fn render(channel: &Value, verbose: bool, now: Timestamp) -> String {
    let template = &channel["spec"]["channelTemplate"];
    let type_ = match text(template, "/kind") {
        kind if kind.is_empty() => kind,
        kind => format!("{kind} ({})", text(template, "/apiVersion")),
    };
    let head = vec![("Type", type_), ("URL", text(channel, "/status/address/url"))];
    describe::page(channel, verbose, now, head, &[])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_channel_shows_what_it_is_made_of() {
        let channel = json!({ "metadata": { "name": "c", "namespace": "d" },
            "spec": { "channelTemplate": { "apiVersion": "messaging.knative.dev/v1", "kind": "InMemoryChannel" } },
            "status": { "address": { "url": "http://c" } } });
        let text = render(&channel, false, Timestamp::UNIX_EPOCH);
        assert!(
            text.contains("Type:       InMemoryChannel (messaging.knative.dev/v1)\nURL:        http://c\n"),
            "{text}"
        );
    }
}
