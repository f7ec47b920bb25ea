//! `kn broker update`

use clap::Args;
use clap_complete::engine::ArgValueCompleter;

use crate::commands::delivery::Delivery;
use crate::commands::write::{Place, WriteArgs};
use crate::completion;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::flags::delivery::DeliveryArgs;
use crate::kind::Kind;
use crate::output::Output;

/// Changes how a broker delivers events.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  kn broker update default --retry 0\n  kn broker update default --dl-sink ksvc:failed --timeout PT10S\n  kn broker update default --dl-sink ''"
)]
pub struct Update {
    /// Name of the broker
    #[arg(add = ArgValueCompleter::new(completion::names))]
    name: String,
    #[command(flatten)]
    delivery: DeliveryArgs,
    #[command(flatten)]
    write: WriteArgs,
}

impl Update {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        if self.delivery.is_empty() {
            return Err(CliError::usage(
                "flag(s) not set: 'broker update' needs at least one that says what to change",
            ));
        }
        let namespace = self.write.namespace(context).await?;
        let delivery = Delivery::read(context, &self.delivery, &namespace).await?;
        let place = Place {
            kind: Kind::Broker,
            namespace: &namespace,
            name: &self.name,
        };
        self.write
            .update(
                context,
                place,
                |broker| delivery.apply(&mut broker["spec"]),
                output,
            )
            .await
    }
}
