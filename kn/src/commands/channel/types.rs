//! `kn channel list-types`

use clap::Args;
use serde_json::Value;

use crate::commands::list::text;
use crate::commands::types::{BuiltIn, Types, TypesArgs};
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output::Output;
use crate::table;

/// Label of the definitions of channels.
const LABEL: &str = "messaging.knative.dev/subscribable=true";

/// Types that are tried when definitions cannot be read.
const BUILT_IN: [BuiltIn; 2] = [
    BuiltIn {
        group: "messaging.knative.dev",
        version: "v1",
        kind: "InMemoryChannel",
        plural: "inmemorychannels",
        description: "Hands events on without a store of another kind",
    },
    BuiltIn {
        group: "messaging.knative.dev",
        version: "v1alpha1",
        kind: "NatsJetStreamChannel",
        plural: "natsjetstreamchannels",
        description: "Keeps events in a stream of NATS JetStream",
    },
];

/// Lists the types of channels there are.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  kn channel list-types\n  kn channel list-types -o name")]
pub struct ListTypes {
    #[command(flatten)]
    types: TypesArgs,
}

impl ListTypes {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        let mut types = Types::read(context, LABEL, &BUILT_IN, &self.types.namespace).await?;
        // The generic one is made of one of the others.
        types
            .items
            .retain(|definition| text(definition, "/spec/names/kind") != "Channel");
        if self.types.print(&types, "Messaging", output)? {
            return Ok(Exit::Success);
        }
        let row = |definition: &Value| {
            vec![
                text(definition, "/spec/names/kind"),
                text(definition, "/metadata/name"),
                types.description(definition),
            ]
        };
        let rows: Vec<Vec<String>> = types.items.iter().map(row).collect();
        output.line(table::render(
            &["TYPE", "NAME", "DESCRIPTION"],
            &rows,
            !self.types.no_headers,
        ))?;
        Ok(Exit::Success)
    }
}
