//! The ConfigMaps that steer brokers, channels and sources. They are in a namespace of their own, where two of them
//! have the names of ConfigMaps that steer the serving side.

use super::data::ConfigError;
use super::{Data, Observability, Snapshot};

mod broker_defaults;
mod channel_defaults;
mod features;
mod kreference_mapping;
mod manifests;
mod ping;
mod sugar;

pub use broker_defaults::{BrokerConfig, BrokerDefaults};
pub use channel_defaults::{ChannelDefaults, ChannelTemplateMap};
pub use features::{AuthorizationMode, Features, TransportEncryption};
pub use kreference_mapping::KReferenceMapping;
pub use manifests::{CHANNEL_TEMPLATE_KEYS, DEFAULT_CHANNEL_MAP, defaults_manifests};
pub use ping::PingDefaults;
pub use sugar::Sugar;

/// All snapshots that admission and the controllers look at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Configs {
    /// `config-br-defaults`
    pub brokers: BrokerDefaults,
    /// `default-ch-webhook`
    pub channels: ChannelDefaults,
    /// `config-features`
    pub features: Features,
    /// `config-kreference-mapping`
    pub mapping: KReferenceMapping,
    /// `config-ping-defaults`
    pub ping: PingDefaults,
    /// `config-sugar`
    pub sugar: Sugar,
}

impl Configs {
    /// Takes over the contents of the ConfigMap `name`; a name that is none of ours changes nothing.
    ///
    /// # Errors
    /// When the contents are invalid; then nothing is changed.
    pub fn update(&mut self, name: &str, data: &Data) -> Result<(), ConfigError> {
        match name {
            BrokerDefaults::NAME => self.brokers = Snapshot::parse(data)?,
            ChannelDefaults::NAME => self.channels = Snapshot::parse(data)?,
            Features::NAME => self.features = Snapshot::parse(data)?,
            KReferenceMapping::NAME => self.mapping = Snapshot::parse(data)?,
            PingDefaults::NAME => self.ping = Snapshot::parse(data)?,
            Sugar::NAME => self.sugar = Snapshot::parse(data)?,
            Observability::NAME => {
                Observability::parse(data)?;
            }
            DEFAULT_CHANNEL_MAP if !data.is_empty() => {
                ChannelTemplateMap::parse(data)?;
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
