//! `config-ping-defaults`

use crate::config::data::{ConfigError, read};
use crate::config::{Data, Snapshot};

/// Limits of PingSources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PingDefaults {
    /// Most bytes that `data` may have; -1 is no limit.
    pub data_max_size: i64,
}

impl Default for PingDefaults {
    fn default() -> Self {
        Self { data_max_size: -1 }
    }
}

impl Snapshot for PingDefaults {
    const NAME: &'static str = "config-ping-defaults";

    fn parse(data: &Data) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        read(data, "dataMaxSize", &mut config.data_max_size)?;
        read(data, "data-max-size", &mut config.data_max_size)?;
        Ok(config)
    }
}
