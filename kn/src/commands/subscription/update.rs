//! `kn subscription update`

use clap::Args;
use clap_complete::engine::ArgValueCompleter;

use super::SinksArgs;
use crate::commands::write::{Place, WriteArgs};
use crate::completion;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::kind::Kind;
use crate::output::Output;

/// Changes where the events of a subscription go; its channel stays.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  kn subscription update pipe-display --sink ksvc:other\n  kn subscription update pipe-display --sink-reply ''"
)]
pub struct Update {
    /// Name of the subscription
    #[arg(add = ArgValueCompleter::new(completion::names))]
    name: String,
    #[command(flatten)]
    sinks: SinksArgs,
    #[command(flatten)]
    write: WriteArgs,
}

impl Update {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        if self.sinks == SinksArgs::default() {
            return Err(CliError::usage(
                "flag(s) not set: 'subscription update' needs at least one that says what to change",
            ));
        }
        let namespace = self.write.namespace(context).await?;
        let sinks = self.sinks.read(context, &namespace).await?;
        let place = Place {
            kind: Kind::Subscription,
            namespace: &namespace,
            name: &self.name,
        };
        self.write
            .update(
                context,
                place,
                |subscription| sinks.apply(&mut subscription["spec"]),
                output,
            )
            .await
    }
}
