//! `config-gc`

use std::time::Duration;

use super::data::{ConfigError, ensure, parse_duration, read};
use super::{Data, Snapshot};

/// Switches a limit off.
const DISABLED: &str = "disabled";

/// Which revisions that no route points at are collected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gc {
    /// Keep a revision this long after its creation; `None` is for ever.
    pub retain_since_create_time: Option<Duration>,
    /// Keep a revision this long after a route last pointed at it; `None` is for ever.
    pub retain_since_last_active_time: Option<Duration>,
    /// Keep this many anyway.
    pub min_non_active_revisions: usize,
    /// Keep no more than this, however young; `None` is no limit.
    pub max_non_active_revisions: Option<usize>,
}

impl Default for Gc {
    fn default() -> Self {
        const HOUR: u64 = 3600;
        Self {
            retain_since_create_time: Some(Duration::from_secs(48 * HOUR)),
            retain_since_last_active_time: Some(Duration::from_secs(15 * HOUR)),
            min_non_active_revisions: 20,
            max_non_active_revisions: Some(1000),
        }
    }
}

impl Snapshot for Gc {
    const NAME: &'static str = "config-gc";

    fn parse(data: &Data) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        read_retention(
            data,
            "retain-since-create-time",
            &mut config.retain_since_create_time,
        )?;
        read_retention(
            data,
            "retain-since-last-active-time",
            &mut config.retain_since_last_active_time,
        )?;
        read(
            data,
            "min-non-active-revisions",
            &mut config.min_non_active_revisions,
        )?;
        let key = "max-non-active-revisions";
        if let Some(value) = data.get(key) {
            config.max_non_active_revisions = match value.trim() {
                text if text.eq_ignore_ascii_case(DISABLED) => None,
                text => Some(text.parse().map_err(|error| ConfigError::parse(key, error))?),
            };
        }
        let (min, max) = (config.min_non_active_revisions, config.max_non_active_revisions);
        ensure(
            max.is_none_or(|max| min <= max),
            "min-non-active-revisions",
            min,
            format!(
                "must not be greater than max-non-active-revisions({})",
                max.unwrap_or_default()
            ),
        )?;
        Ok(config)
    }
}

fn read_retention(data: &Data, key: &'static str, field: &mut Option<Duration>) -> Result<(), ConfigError> {
    if let Some(value) = data.get(key) {
        *field = match value.trim() {
            text if text.eq_ignore_ascii_case(DISABLED) => None,
            text => Some(parse_duration(key, text)?),
        };
    }
    Ok(())
}
