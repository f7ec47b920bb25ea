//! `kn channel create`

use clap::Args;
use serde_json::json;

use super::channel_type::ChannelType;
use crate::commands::delivery::Delivery;
use crate::commands::write::{Place, WriteArgs};
use crate::config_file::ConfigFile;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::flags::delivery::DeliveryArgs;
use crate::kind::Kind;
use crate::output::Output;

/// Creates a channel.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  kn channel create pipe\n  kn channel create pipe --type imc\n  kn channel create pipe --type messaging.knative.dev:v1:InMemoryChannel --wait"
)]
pub struct Create {
    /// Name of the channel
    name: String,
    /// Type of the channel: GROUP:VERSION:KIND, imc, or an alias of the configuration file [default: that of the platform]
    #[arg(long = "type", value_name = "TYPE")]
    type_: Option<String>,
    #[command(flatten)]
    delivery: DeliveryArgs,
    #[command(flatten)]
    write: WriteArgs,
}

impl Create {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        let namespace = self.write.namespace(context).await?;
        let mut spec = json!({});
        if let Some(type_) = &self.type_ {
            let config = ConfigFile::read(context.config_file())?;
            let type_ = ChannelType::parse("type", type_, config.channels())?;
            spec["channelTemplate"] = json!({ "apiVersion": type_.api_version, "kind": type_.kind });
        }
        Delivery::read(context, &self.delivery, &namespace)
            .await?
            .apply(&mut spec)?;
        let place = Place {
            kind: Kind::Channel,
            namespace: &namespace,
            name: &self.name,
        };
        self.write
            .create(context, place, &place.object(spec), output)
            .await
    }
}
