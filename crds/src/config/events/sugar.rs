//! `config-sugar`

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::config::data::ConfigError;
use crate::config::{Data, Snapshot};

/// For whom a broker `default` is made without being asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sugar {
    /// Namespaces that get one; `None` is none, an empty selector is all.
    pub namespace_selector: Option<LabelSelector>,
    /// Triggers whose namespace gets one, likewise.
    pub trigger_selector: Option<LabelSelector>,
}

impl Snapshot for Sugar {
    const NAME: &'static str = "config-sugar";

    fn parse(data: &Data) -> Result<Self, ConfigError> {
        Ok(Self {
            namespace_selector: selector(data, "namespace-selector")?,
            trigger_selector: selector(data, "trigger-selector")?,
        })
    }
}

fn selector(data: &Data, key: &str) -> Result<Option<LabelSelector>, ConfigError> {
    let Some(text) = data.get(key).filter(|text| !text.trim().is_empty()) else {
        return Ok(None);
    };
    serde_saphyr::from_str(text)
        .map(Some)
        .map_err(|error| ConfigError::parse(key, error))
}
