//! `config-br-defaults`

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::config::data::ConfigError;
use crate::config::{Data, Snapshot};
use crate::duck::DeliverySpec;
use crate::types::KReference;
use crate::{annotations, names};

const KEY: &str = "default-br-config";

/// What brokers get that say nothing.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct BrokerDefaults {
    /// For every namespace that has no entry of its own.
    pub cluster_default: BrokerConfig,
    /// By namespace.
    pub namespace_defaults: BTreeMap<String, BrokerConfig>,
}

/// Class, configuration and delivery of brokers.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct BrokerConfig {
    /// The class, if brokers name none.
    pub broker_class: Option<String>,
    /// API version of the configuration.
    pub api_version: Option<String>,
    /// Kind of the configuration.
    pub kind: Option<String>,
    /// Name of the configuration.
    pub name: Option<String>,
    /// Namespace of the configuration.
    pub namespace: Option<String>,
    /// How events are delivered.
    pub delivery: Option<DeliverySpec>,
    /// Configurations of other classes than `brokerClass`.
    pub broker_classes: BTreeMap<String, BrokerConfig>,
    /// Must the configuration be in the namespace of the broker?
    pub disallow_different_namespace_config: Option<bool>,
}

impl BrokerConfig {
    /// What brokers name in `spec.config`.
    pub fn reference(&self) -> Option<KReference> {
        Some(KReference {
            kind: self.kind.clone()?,
            name: self.name.clone()?,
            namespace: self.namespace.clone(),
            api_version: self.api_version.clone(),
            ..KReference::default()
        })
    }
}

impl Default for BrokerDefaults {
    fn default() -> Self {
        let shipped = BrokerConfig {
            broker_class: Some(annotations::BROKER_CLASS_MT_CHANNEL_BASED.to_owned()),
            api_version: Some("v1".to_owned()),
            kind: Some("ConfigMap".to_owned()),
            name: Some(super::DEFAULT_CHANNEL_MAP.to_owned()),
            namespace: Some(names::EVENTING_NAMESPACE.to_owned()),
            delivery: Some(DeliverySpec {
                retry: Some(10),
                backoff_policy: Some(crate::duck::BackoffPolicy::Exponential),
                backoff_delay: Some("PT0.2S".to_owned()),
                ..DeliverySpec::default()
            }),
            ..BrokerConfig::default()
        };
        Self {
            cluster_default: shipped,
            namespace_defaults: BTreeMap::new(),
        }
    }
}

impl Snapshot for BrokerDefaults {
    const NAME: &'static str = "config-br-defaults";

    fn parse(data: &Data) -> Result<Self, ConfigError> {
        let Some(text) = data.get(KEY).filter(|text| !text.trim().is_empty()) else {
            return Ok(Self::default());
        };
        let read: Written = serde_saphyr::from_str(text).map_err(|error| ConfigError::parse(KEY, error))?;
        Ok(Self {
            cluster_default: read.cluster_default,
            namespace_defaults: read.namespace_defaults,
        })
    }
}

/// The ConfigMap as written: what it leaves out is not made up from what ships.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Written {
    cluster_default: BrokerConfig,
    namespace_defaults: BTreeMap<String, BrokerConfig>,
}

impl BrokerDefaults {
    /// The class of brokers in `namespace` that name none.
    pub fn class(&self, namespace: &str) -> Option<&str> {
        let own = self.namespace_defaults.get(namespace);
        own.and_then(|config| config.broker_class.as_deref())
            .or(self.cluster_default.broker_class.as_deref())
            .filter(|class| !class.is_empty())
    }

    /// Configuration and delivery of brokers in `namespace` of `class`: the namespace's before the cluster's, one made
    /// for the class before that of the default class.
    pub fn config(&self, namespace: &str, class: &str) -> &BrokerConfig {
        let own = self.namespace_defaults.get(namespace);
        let matching = [own, Some(&self.cluster_default)]
            .into_iter()
            .flatten()
            .find_map(|config| of_class(config, class));
        matching.unwrap_or(&self.cluster_default)
    }

    /// Must the configuration of brokers in `namespace` be in it, too?
    pub fn disallows_other_namespaces(&self, namespace: &str, class: &str) -> bool {
        self.config(namespace, class)
            .disallow_different_namespace_config
            .or_else(|| {
                self.namespace_defaults
                    .get(namespace)
                    .and_then(|config| config.disallow_different_namespace_config)
            })
            .or(self.cluster_default.disallow_different_namespace_config)
            .unwrap_or_default()
    }
}

fn of_class<'a>(config: &'a BrokerConfig, class: &str) -> Option<&'a BrokerConfig> {
    let default = config.broker_class.as_deref().unwrap_or_default() == class;
    if default && config.kind.is_some() {
        return Some(config);
    }
    config.broker_classes.get(class)
}
