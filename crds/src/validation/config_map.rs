//! The ConfigMaps that steer an install.

use serde_json::Value;

use crate::config::{ConfigError, Configs, Data, EXAMPLE_KEY, example_checksum};
use crate::resource::{field, metadata, pairs, text};

/// Checks a ConfigMap of the system namespace; one that is none of ours is always valid.
///
/// # Errors
/// Says what is wrong, in the words that a user sees.
pub fn config_map(object: &Value) -> Result<(), String> {
    check(object, |name, data| Configs::default().update(name, data))
}

/// Checks that the documentation was not edited, and that `parse` takes the contents.
pub(super) fn check(
    object: &Value,
    parse: impl FnOnce(&str, &Data) -> Result<(), ConfigError>,
) -> Result<(), String> {
    let data: Data = pairs(object, "data")
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let checksum = text(
        field(metadata(object), "annotations"),
        crate::annotations::EXAMPLE_CHECKSUM,
    );
    if let Some(example) = data.get(EXAMPLE_KEY)
        && !checksum.is_empty()
        && checksum != example_checksum(example)
    {
        return Err(format!(
            "the update modifies a key in {EXAMPLE_KEY:?} which is probably not what you want. Instead, copy the \
             respective setting to the top-level of the ConfigMap, directly below \"data\""
        ));
    }
    parse(text(metadata(object), "name"), &data).map_err(|error| error.to_string())
}
