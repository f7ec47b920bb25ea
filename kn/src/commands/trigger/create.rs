//! `kn trigger create`

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use serde_json::json;

use super::filter;
use crate::commands::delivery::Delivery;
use crate::commands::write::{Place, WriteArgs};
use crate::completion;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::flags::delivery::DeliveryArgs;
use crate::kind::Kind;
use crate::output::Output;
use crate::sink;

/// Annotation that asks for the broker to be made with the trigger.
const INJECTION: &str = "eventing.knative.dev/injection";
/// The broker that is taken if none is named, and the only one that can be made with a trigger.
const DEFAULT: &str = "default";

/// Creates a trigger: events of a broker that pass its filter go to its sink.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  kn trigger create hello --broker default --filter type=dev.example.hello --sink ksvc:display\n  kn trigger create all --sink http://example.com/events\n  kn trigger create some --cesql \"type LIKE 'dev.%' AND subject = 'a'\" --sink ksvc:display --retry 3"
)]
pub struct Create {
    /// Name of the trigger
    name: String,
    /// Where events go: ksvc:NAME, svc:NAME, broker:NAME, channel:NAME, GROUP/VERSION/PLURAL:NAME, each with :NAMESPACE if it is another, or a URL
    #[arg(short, long, value_name = "SINK")]
    sink: String,
    /// Name of the broker
    #[arg(long, value_name = "BROKER", default_value = DEFAULT, add = ArgValueCompleter::new(completion::brokers))]
    broker: String,
    /// Attribute that an event must have; may be repeated; without any, all events pass
    #[arg(long, value_name = "NAME=VALUE")]
    filter: Vec<String>,
    /// Expression of CloudEvents SQL that an event must satisfy; may be repeated; --filter does not count then
    #[arg(long, value_name = "EXPRESSION")]
    cesql: Vec<String>,
    /// Make the broker `default` with the trigger, if there is none
    #[arg(long)]
    inject_broker: bool,
    #[command(flatten)]
    delivery: DeliveryArgs,
    #[command(flatten)]
    write: WriteArgs,
}

impl Create {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        if self.inject_broker && self.broker != DEFAULT {
            return Err(CliError::usage(format!(
                "--inject-broker makes the broker '{DEFAULT}' only, not '{}': create that with `kn broker create`",
                self.broker
            )));
        }
        let namespace = self.write.namespace(context).await?;
        let mut spec = json!({ "broker": self.broker });
        filter::merge(&mut spec, &self.filter)?;
        filter::cesql(&mut spec, &self.cesql);
        let delivery = Delivery::read(context, &self.delivery, &namespace).await?;
        delivery.apply(&mut spec)?;
        spec["subscriber"] = sink::resolve(context, "sink", &self.sink, &namespace).await?;
        let place = Place {
            kind: Kind::Trigger,
            namespace: &namespace,
            name: &self.name,
        };
        let mut trigger = place.object(spec);
        if self.inject_broker {
            trigger["metadata"]["annotations"] = json!({ INJECTION: "enabled" });
        }
        self.write.create(context, place, &trigger, output).await
    }
}
