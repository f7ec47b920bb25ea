//! Reading single keys.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::Data;

/// What is wrong with a ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A value that cannot be read at all.
    #[error("failed to parse {key:?}: {reason}")]
    Parse {
        /// The key.
        key: String,
        /// Why its value cannot be read.
        reason: String,
    },
    /// A value that can be read but is not allowed.
    #[error("{key} = {value}, {reason}")]
    Invalid {
        /// The key.
        key: String,
        /// Its value.
        value: String,
        /// What is allowed.
        reason: String,
    },
    /// A key that must be there.
    #[error("{key} is required, but it was not set")]
    Missing {
        /// The key.
        key: String,
    },
}

impl ConfigError {
    pub(super) fn parse(key: &str, reason: impl Display) -> Self {
        Self::Parse {
            key: key.to_owned(),
            reason: reason.to_string(),
        }
    }

    pub(super) fn invalid(key: &str, value: impl Display, reason: impl Into<String>) -> Self {
        Self::Invalid {
            key: key.to_owned(),
            value: value.to_string(),
            reason: reason.into(),
        }
    }
}

/// Refuses a value that does not hold what `reason` says.
pub(super) fn ensure(
    holds: bool,
    key: &str,
    value: impl Display,
    reason: impl Into<String>,
) -> Result<(), ConfigError> {
    if holds {
        Ok(())
    } else {
        Err(ConfigError::invalid(key, value, reason))
    }
}

/// Where the value of a setting is: under one key, or under an older one.
pub(super) fn find<'a>(data: &'a Data, keys: &[&'static str]) -> Option<(&'static str, &'a str)> {
    keys.iter()
        .find_map(|key| data.get(*key).map(|value| (*key, value.as_str())))
}

/// Overwrites `field` with the value of `key`, if there is one.
pub(super) fn read<T>(data: &Data, key: &'static str, field: &mut T) -> Result<(), ConfigError>
where
    T: FromStr<Err: Display>,
{
    if let Some(value) = data.get(key) {
        *field = value
            .trim()
            .parse()
            .map_err(|error| ConfigError::parse(key, error))?;
    }
    Ok(())
}

/// Overwrites `field` with a text, as it is.
pub(super) fn read_text(data: &Data, keys: &[&'static str], field: &mut String) {
    if let Some((_, value)) = find(data, keys) {
        value.clone_into(field);
    }
}

/// Overwrites `field` with a truth value as Go reads it; here an unreadable one is an error, never a silent false.
pub(super) fn read_bool(data: &Data, key: &'static str, field: &mut bool) -> Result<(), ConfigError> {
    if let Some(value) = data.get(key) {
        *field = parse_bool(value)
            .ok_or_else(|| ConfigError::parse(key, format!("{value:?} is neither \"true\" nor \"false\"")))?;
    }
    Ok(())
}

/// A truth value as Go's `strconv.ParseBool` reads it.
pub(super) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Overwrites `field` with a Go duration that must not be negative.
pub(super) fn read_duration(data: &Data, key: &'static str, field: &mut Duration) -> Result<(), ConfigError> {
    if let Some(value) = data.get(key) {
        *field = parse_duration(key, value)?;
    }
    Ok(())
}

pub(super) fn parse_duration(key: &str, value: &str) -> Result<Duration, ConfigError> {
    let duration = formats::duration::parse(value).map_err(|error| ConfigError::parse(key, error))?;
    Duration::try_from(duration).map_err(|_| ConfigError::invalid(key, value, "must not be negative"))
}

/// Refuses a duration with a fraction of a second.
pub(super) fn ensure_seconds(key: &str, duration: Duration) -> Result<(), ConfigError> {
    ensure(
        duration.subsec_nanos() == 0,
        key,
        show(duration),
        "must be specified with at most second precision",
    )
}

/// A duration in Go's notation.
pub(crate) fn show(duration: Duration) -> String {
    jiff::SignedDuration::try_from(duration)
        .map_or_else(|_| format!("{duration:?}"), formats::duration::format)
}

/// Overwrites `field` with a resource quantity; an empty text leaves it alone.
pub(super) fn read_quantity(
    data: &Data,
    keys: &[&'static str],
    field: &mut Option<Quantity>,
) -> Result<(), ConfigError> {
    if let Some((key, value)) = find(data, keys).filter(|(_, value)| !value.is_empty()) {
        value
            .parse::<formats::quantity::Quantity>()
            .map_err(|error| ConfigError::parse(key, error))?;
        *field = Some(Quantity(value.to_owned()));
    }
    Ok(())
}
