//! `kn trigger update`

use clap::Args;
use clap_complete::engine::ArgValueCompleter;

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

/// Changes a trigger; what no flag names stays as it is.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  kn trigger update hello --filter type=dev.example.bye --filter source-\n  kn trigger update hello --sink ksvc:other"
)]
pub struct Update {
    /// Name of the trigger
    #[arg(add = ArgValueCompleter::new(completion::names))]
    name: String,
    /// Where events go, in the forms that create takes
    #[arg(short, long, value_name = "SINK")]
    sink: Option<String>,
    /// Attribute that an event must have; NAME- removes it; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    filter: Vec<String>,
    /// Expressions of CloudEvents SQL instead of those there are; an empty one removes them
    #[arg(long, value_name = "EXPRESSION")]
    cesql: Vec<String>,
    /// A trigger stays with its broker; giving this is an error
    #[arg(long, value_name = "BROKER", hide = true)]
    broker: Option<String>,
    #[command(flatten)]
    delivery: DeliveryArgs,
    #[command(flatten)]
    write: WriteArgs,
}

impl Update {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        if self.broker.is_some() {
            return Err(CliError::usage(format!(
                "cannot update trigger '{}': --broker is immutable",
                self.name
            ))
            .with_hint("delete the trigger, and create it with the other broker"));
        }
        let namespace = self.write.namespace(context).await?;
        let delivery = Delivery::read(context, &self.delivery, &namespace).await?;
        let subscriber = match &self.sink {
            Some(sink) => Some(sink::resolve(context, "sink", sink, &namespace).await?),
            None => None,
        };
        let place = Place {
            kind: Kind::Trigger,
            namespace: &namespace,
            name: &self.name,
        };
        let change = |trigger: &mut serde_json::Value| {
            let spec = &mut trigger["spec"];
            filter::merge(spec, &self.filter)?;
            filter::cesql(spec, &self.cesql);
            delivery.apply(spec)?;
            if let Some(subscriber) = &subscriber {
                spec["subscriber"] = subscriber.clone();
            }
            Ok(())
        };
        self.write.update(context, place, change, output).await
    }
}
