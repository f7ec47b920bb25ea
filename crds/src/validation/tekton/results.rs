//! Results that are declared.

use serde_json::Value;

use super::params::{TYPES, one_of_types};
use super::{FieldError, FieldErrors};
use crate::resource::{field, list, text};

/// Checks `results` of a task or step.
pub(super) fn declared(spec: &Value) -> FieldErrors {
    let mut errors = FieldErrors::default();
    for (index, result) in list(spec, "results").iter().enumerate() {
        errors.also(declaration(result).via_index(index));
    }
    errors.via_field("results")
}

fn declaration(result: &Value) -> FieldErrors {
    let (name, type_) = (text(result, "name"), text(result, "type"));
    let mut errors = FieldErrors::from(name_problem(name));
    if !type_.is_empty() && !TYPES.contains(&type_) {
        errors.also(FieldError::invalid(type_, "type").with_details(one_of_types()));
        return errors;
    }
    let properties = field(result, "properties").as_object();
    let has_properties = properties.is_some_and(|map| !map.is_empty());
    match type_ {
        "object" if !has_properties => errors.also(FieldError::missing("properties")),
        "string" | "array" if has_properties => {
            errors.also(FieldError::disallowed("properties").with_details("only objects have properties"));
        }
        _ => {}
    }
    let wrong: FieldErrors = properties
        .into_iter()
        .flatten()
        .filter(|(_, property)| !matches!(text(property, "type"), "" | "string"))
        .map(|(key, property)| {
            FieldError::invalid(text(property, "type"), "type")
                .with_details("only string is possible")
                .via_key(key)
        })
        .collect();
    errors.also(wrong.via_field("properties"));
    errors
}

/// Complains about a name that cannot be one of a result: it is a file's name, too.
pub(super) fn name_problem(name: &str) -> Option<FieldError> {
    if name.is_empty() {
        return Some(FieldError::missing("name"));
    }
    let inner = name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    let ends = name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.ends_with(|c: char| c.is_ascii_alphanumeric());
    (!(inner && ends)).then(|| {
        FieldError::new(format!("invalid key name {name:?}"), "name").with_details(
            "names of results have letters, digits, -, _ and dots, and begin and end with a letter or digit",
        )
    })
}
