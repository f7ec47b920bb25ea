//! `kn eventtype create`

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use serde_json::json;

use crate::commands::write::{Place, WriteArgs};
use crate::completion;
use crate::config_file::ConfigFile;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::kind::Kind;
use crate::output::Output;
use crate::sink;

/// Creates an event type: what people may subscribe to.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  kn eventtype create hello --type dev.example.hello --broker default\n  kn eventtype create hello --type dev.example.hello --source /me --reference channel:pipe"
)]
pub struct Create {
    /// Name of the object
    name: String,
    /// Type of the events
    #[arg(short, long = "type", value_name = "TYPE")]
    type_: String,
    /// Source of the events, a URI
    #[arg(long, value_name = "URI")]
    source: Option<String>,
    /// Broker that has such events
    #[arg(short, long, value_name = "BROKER", conflicts_with = "reference", add = ArgValueCompleter::new(completion::brokers))]
    broker: Option<String>,
    /// What has such events: broker:NAME, channel:NAME, GROUP/VERSION/PLURAL:NAME
    #[arg(short, long, value_name = "REF")]
    reference: Option<String>,
    /// What the events are about
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    #[command(flatten)]
    write: WriteArgs,
}

impl Create {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        let namespace = self.write.namespace(context).await?;
        let mut spec = json!({ "type": self.type_ });
        for (field, value) in [("source", &self.source), ("description", &self.description)] {
            if let Some(value) = value {
                spec[field] = json!(value);
            }
        }
        if let Some(broker) = &self.broker {
            // It may come later, as a trigger's may.
            spec["reference"] = json!({ "apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "name": broker, "namespace": namespace });
        }
        if let Some(reference) = &self.reference {
            let config = ConfigFile::read(context.config_file())?;
            let parsed = sink::parse("reference", reference, config.sinks())?;
            let (found, _) = sink::object(context, "reference", &parsed, &namespace).await?;
            spec["reference"] = found.to_json();
        }
        let place = Place {
            kind: Kind::EventType,
            namespace: &namespace,
            name: &self.name,
        };
        self.write
            .create(context, place, &place.object(spec), output)
            .await
    }
}
