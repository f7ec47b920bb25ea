//! Reading single keys.

use std::time::Duration;

use crds::config::{ConfigError, Data};

fn value<'a>(data: &'a Data, key: &str) -> Option<&'a str> {
    data.get(key)
        .map(|value| value.trim())
        .filter(|value| !value.is_empty())
}

fn wrong(key: &str, reason: impl std::fmt::Display) -> ConfigError {
    ConfigError::Parse {
        key: key.to_owned(),
        reason: reason.to_string(),
    }
}

pub(super) fn text(data: &Data, key: &str, usual: &str) -> String {
    value(data, key).unwrap_or(usual).to_owned()
}

pub(super) fn flag(data: &Data, key: &str, usual: bool) -> Result<bool, ConfigError> {
    match value(data, key) {
        None => Ok(usual),
        Some("true") => Ok(true),
        Some("false") => Ok(false),
        Some(other) => Err(wrong(key, format!("{other:?} is neither \"true\" nor \"false\""))),
    }
}

pub(super) fn number(data: &Data, key: &str, usual: usize) -> Result<usize, ConfigError> {
    value(data, key).map_or(Ok(usual), |text| text.parse().map_err(|error| wrong(key, error)))
}

pub(super) fn duration(data: &Data, key: &str, usual: Duration) -> Result<Duration, ConfigError> {
    let Some(text) = value(data, key) else {
        return Ok(usual);
    };
    let parsed = formats::duration::parse(text).map_err(|error| wrong(key, error))?;
    Duration::try_from(parsed).map_err(|_| wrong(key, "must not be negative"))
}

/// Entries between commas, or a list in YAML.
pub(super) fn list(data: &Data, key: &str) -> Vec<String> {
    let text = value(data, key).unwrap_or_default();
    text.split([',', '\n'])
        .map(|entry| {
            entry
                .trim()
                .trim_start_matches("- ")
                .trim_matches(['"', '\''])
                .trim()
        })
        .filter(|entry| !entry.is_empty())
        .map(str::to_owned)
        .collect()
}
