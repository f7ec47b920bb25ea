//! `default-ch-webhook`, and the ConfigMaps that brokers name in `spec.config`.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::config::data::ConfigError;
use crate::config::{Data, Snapshot};
use crate::duck::ChannelTemplate;

const KEY: &str = "default-ch-config";

/// Which channel a Channel or a flow is made of that says nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChannelDefaults {
    /// For every namespace that has no entry of its own.
    pub cluster_default: Option<ChannelTemplate>,
    /// By namespace.
    pub namespace_defaults: BTreeMap<String, ChannelTemplate>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Written {
    cluster_default: Option<ChannelTemplate>,
    namespace_defaults: BTreeMap<String, ChannelTemplate>,
}

impl Snapshot for ChannelDefaults {
    const NAME: &'static str = "default-ch-webhook";

    fn parse(data: &Data) -> Result<Self, ConfigError> {
        let Some(text) = data.get(KEY).filter(|text| !text.trim().is_empty()) else {
            return Ok(Self::default());
        };
        let written: Written =
            serde_saphyr::from_str(text).map_err(|error| ConfigError::parse(KEY, error))?;
        let templates = written
            .cluster_default
            .iter()
            .chain(written.namespace_defaults.values());
        for template in templates {
            complete(KEY, template)?;
        }
        Ok(Self {
            cluster_default: written.cluster_default,
            namespace_defaults: written.namespace_defaults,
        })
    }
}

impl ChannelDefaults {
    /// The channel of objects in `namespace`; an install that says nothing has InMemoryChannels.
    pub fn template(&self, namespace: &str) -> ChannelTemplate {
        let found = self
            .namespace_defaults
            .get(namespace)
            .or(self.cluster_default.as_ref());
        found.cloned().unwrap_or_else(in_memory)
    }
}

/// The contents of a ConfigMap that a broker names in `spec.config`.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelTemplateMap {
    /// The channel that stands behind the broker.
    pub template: ChannelTemplate,
}

impl ChannelTemplateMap {
    /// Reads the template under either of its keys.
    ///
    /// # Errors
    /// When there is none, or it does not name a kind.
    pub fn parse(data: &Data) -> Result<Self, ConfigError> {
        let found = super::CHANNEL_TEMPLATE_KEYS
            .iter()
            .find_map(|key| data.get(*key).map(|text| (*key, text)));
        let Some((key, text)) = found else {
            return Err(ConfigError::Missing {
                key: super::CHANNEL_TEMPLATE_KEYS
                    .first()
                    .copied()
                    .unwrap_or_default()
                    .to_owned(),
            });
        };
        let template: ChannelTemplate =
            serde_saphyr::from_str(text).map_err(|error| ConfigError::parse(key, error))?;
        complete(key, &template)?;
        Ok(Self { template })
    }
}

fn complete(key: &str, template: &ChannelTemplate) -> Result<(), ConfigError> {
    if template.kind.is_empty() || template.api_version.is_empty() {
        return Err(ConfigError::parse(key, "a channel needs apiVersion and kind"));
    }
    Ok(())
}

fn in_memory() -> ChannelTemplate {
    ChannelTemplate {
        api_version: "messaging.knative.dev/v1".to_owned(),
        kind: "InMemoryChannel".to_owned(),
        spec: None,
    }
}
