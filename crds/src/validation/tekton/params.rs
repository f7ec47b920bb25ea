//! Params: those that are declared, and those that are given.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{FieldError, FieldErrors};
use crate::config::tekton::Configs;
use crate::resource::{field, get, list, text};
use crate::tekton::{ParamType, ParamValue};

/// Types that params and results may have.
pub(super) const TYPES: [&str; 3] = ["string", "array", "object"];

/// Checks `params` of something that declares them.
pub(super) fn declared(spec: &Value, configs: &Configs) -> FieldErrors {
    let mut seen = BTreeSet::new();
    let mut errors = FieldErrors::default();
    for (index, param) in list(spec, "params").iter().enumerate() {
        let name = text(param, "name");
        let mut found = FieldErrors::default();
        if name.is_empty() {
            found.also(FieldError::missing("name"));
        } else if !seen.insert(name) {
            found.also(FieldError::new("parameter appears more than once", "name"));
        }
        found.also(declaration(param, configs));
        errors.also(found.via_index(index));
    }
    errors.via_field("params")
}

fn declaration(param: &Value, configs: &Configs) -> FieldErrors {
    let name = text(param, "name");
    let mut errors = FieldErrors::default();
    let Some(type_) = type_of(param) else {
        errors.also(FieldError::invalid(text(param, "type"), "type").with_details(one_of_types()));
        return errors;
    };
    if !name.is_empty() && !is_name(name) {
        errors.also(
            FieldError::invalid(name, "name")
                .with_details("names begin with a letter or _, followed by letters, digits, _, - and dots"),
        );
    }
    if type_ == ParamType::Object && name.contains('.') {
        errors.also(FieldError::invalid(name, "name").with_details("names of objects have no dots"));
    }
    let default = get(param, "default").map(ParamValue::from_json);
    if let Some(default) = &default
        && default.type_() != type_
    {
        let message = format!(
            "\"type\" does not match default value's type: {type_} is declared, the default is of type {}",
            default.type_()
        );
        errors.also(FieldError {
            paths: vec!["type".to_owned(), "default".to_owned()],
            ..FieldError::without_path(message)
        });
    }
    errors.also(properties(param, type_, default.as_ref()));
    errors.also(enumeration(param, type_, default.as_ref(), configs));
    errors
}

/// The declared or inferred type; `None` if there is no such type.
fn type_of(param: &Value) -> Option<ParamType> {
    Some(match text(param, "type") {
        "string" => ParamType::String,
        "array" => ParamType::Array,
        "object" => ParamType::Object,
        "" if field(param, "properties")
            .as_object()
            .is_some_and(|map| !map.is_empty()) =>
        {
            ParamType::Object
        }
        "" => get(param, "default").map_or(ParamType::String, |value| ParamValue::from_json(value).type_()),
        _ => return None,
    })
}

pub(super) fn one_of_types() -> String {
    format!("types are {}", TYPES.join(", "))
}

/// `^[_a-zA-Z][_a-zA-Z0-9.-]*$`
pub(super) fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c == '_' || c.is_ascii_alphabetic())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

/// The keys of objects, which only objects have.
fn properties(param: &Value, type_: ParamType, default: Option<&ParamValue>) -> FieldErrors {
    let declared = field(param, "properties").as_object();
    if type_ != ParamType::Object {
        let unexpected = declared.is_some_and(|map| !map.is_empty());
        return unexpected
            .then(|| FieldError::disallowed("properties").with_details("only objects have properties"))
            .into();
    }
    let keys = declared.into_iter().flatten();
    let wrong: FieldErrors = keys
        .filter(|(_, property)| !matches!(text(property, "type"), "" | "string"))
        .map(|(key, property)| {
            FieldError::invalid(text(property, "type"), "type")
                .with_details("only string is possible")
                .via_key(key)
        })
        .collect();
    let mut errors = wrong.via_field("properties");
    let has_keys = declared.is_some_and(|map| !map.is_empty());
    // Without properties, the keys of the default are those of the object.
    if !has_keys && default.is_none_or(|default| default.as_object().is_none()) {
        errors.also(FieldError::missing("properties"));
    }
    errors
}

/// The only values that may be given.
fn enumeration(
    param: &Value,
    type_: ParamType,
    default: Option<&ParamValue>,
    configs: &Configs,
) -> FieldErrors {
    let allowed: Vec<&str> = list(param, "enum").iter().filter_map(Value::as_str).collect();
    if allowed.is_empty() {
        return FieldErrors::default();
    }
    let mut errors = FieldErrors::default();
    if !configs.features.enable_param_enum {
        errors.also(
            FieldError::disallowed("enum")
                .with_details("enum needs \"enable-param-enum\" to be \"true\" in feature-flags"),
        );
    }
    if type_ != ParamType::String {
        errors.also(FieldError::disallowed("enum").with_details("only strings have an enum"));
    }
    let mut seen = BTreeSet::new();
    for value in &allowed {
        if !seen.insert(value) {
            errors.also(FieldError::new(
                format!("{value:?} appears more than once"),
                "enum",
            ));
        }
    }
    if let Some(default) = default.and_then(ParamValue::as_str)
        && !allowed.contains(&default)
    {
        errors.also(FieldError::invalid(default, "default").with_details("it is not in the enum"));
    }
    errors
}

/// Checks `params` of something that gives them.
pub(super) fn given(spec: &Value) -> FieldErrors {
    let mut seen = BTreeSet::new();
    let mut errors = FieldErrors::default();
    for (index, param) in list(spec, "params").iter().enumerate() {
        let name = text(param, "name");
        if name.is_empty() {
            errors.also(FieldError::missing("name").via_index(index));
        } else if !seen.insert(name) {
            errors.also(FieldError::multiple_one_of(&["name"]).via_key(name));
        }
    }
    errors.via_field("params")
}
