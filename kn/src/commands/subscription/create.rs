//! `kn subscription create`

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use serde_json::json;

use super::SinksArgs;
use crate::commands::channel::channel_type::ChannelType;
use crate::commands::write::{Place, WriteArgs};
use crate::completion;
use crate::config_file::ConfigFile;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::kind::Kind;
use crate::output::Output;

/// Creates a subscription: the events of a channel go to a sink.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  kn subscription create pipe-display --channel pipe --sink ksvc:display\n  kn subscription create pipe-sort --channel imc:pipe --sink ksvc:sort --sink-reply broker:default --sink-dead-letter ksvc:failed"
)]
pub struct Create {
    /// Name of the subscription
    name: String,
    /// The channel: NAME, ALIAS:NAME such as imc:pipe, or GROUP:VERSION:KIND:NAME
    #[arg(long, value_name = "CHANNEL", add = ArgValueCompleter::new(completion::channels))]
    channel: String,
    #[command(flatten)]
    sinks: SinksArgs,
    #[command(flatten)]
    write: WriteArgs,
}

impl Create {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        let namespace = self.write.namespace(context).await?;
        let config = ConfigFile::read(context.config_file())?;
        let (type_, name) = ChannelType::parse_named("channel", &self.channel, config.channels())?;
        let mut spec =
            json!({ "channel": { "apiVersion": type_.api_version, "kind": type_.kind, "name": name } });
        self.sinks.read(context, &namespace).await?.apply(&mut spec)?;
        let place = Place {
            kind: Kind::Subscription,
            namespace: &namespace,
            name: &self.name,
        };
        self.write
            .create(context, place, &place.object(spec), output)
            .await
    }
}
