//! Checks that many kinds share, each adding to a list of errors.

use cluster_machinery::FieldError;
use serde_json::{Value, json};

use super::names::{self, Problems};
use super::path::Path;
use crate::json::{at, integer, is_empty, text};

/// Errors found so far.
pub(super) type Errors = Vec<FieldError>;

const NOT_NEGATIVE: &str = "must be greater than or equal to 0";
const IMMUTABLE: &str = "field is immutable";

/// Adds an error for each problem with a text.
pub(super) fn invalid(errors: &mut Errors, path: &Path, value: &str, problems: Problems) {
    for problem in problems {
        errors.push(FieldError::invalid(path, &json!(value), &problem));
    }
}

/// Requires a field that is not empty; returns whether it is there.
pub(super) fn required(errors: &mut Errors, object: &Value, path: &Path, name: &str) -> bool {
    if is_empty(object.get(name)) {
        errors.push(FieldError::required(path.child(name), ""));
        return false;
    }
    true
}

/// Requires a text of a grammar.
pub(super) fn required_name(
    errors: &mut Errors,
    object: &Value,
    path: &Path,
    name: &str,
    grammar: fn(&str) -> Problems,
) {
    if required(errors, object, path, name) {
        let text = text(object, &[name]);
        invalid(errors, &path.child(name), text, grammar(text));
    }
}

/// Checks a text of a grammar if it is there.
pub(super) fn optional_name(
    errors: &mut Errors,
    object: &Value,
    path: &Path,
    name: &str,
    grammar: fn(&str) -> Problems,
) {
    let text = text(object, &[name]);
    if !text.is_empty() {
        invalid(errors, &path.child(name), text, grammar(text));
    }
}

/// Checks that a field, if it is there, is one of a few texts.
pub(super) fn one_of(errors: &mut Errors, object: &Value, path: &Path, name: &str, supported: &[&str]) {
    if let Some(value) = object.get(name)
        && !value.as_str().is_some_and(|value| supported.contains(&value))
    {
        errors.push(FieldError::not_supported(path.child(name), value, supported));
    }
}

/// Requires a field to be one of a few texts.
pub(super) fn required_one_of(
    errors: &mut Errors,
    object: &Value,
    path: &Path,
    name: &str,
    supported: &[&str],
) {
    if required(errors, object, path, name) {
        one_of(errors, object, path, name, supported);
    }
}

/// Checks that a number, if it is there, is not negative.
pub(super) fn not_negative(errors: &mut Errors, object: &Value, path: &Path, name: &str) {
    if let Some(number) = integer(object, &[name])
        && number < 0
    {
        errors.push(FieldError::invalid(
            path.child(name),
            &json!(number),
            NOT_NEGATIVE,
        ));
    }
}

/// Checks a port that is a number or the name of one.
pub(super) fn port(errors: &mut Errors, value: Option<&Value>, path: &Path) {
    match value {
        Some(Value::String(name)) => invalid(errors, path, name, names::port_name(name)),
        other => {
            let number = other.and_then(Value::as_i64).unwrap_or_default();
            for problem in names::port_number(number) {
                errors.push(FieldError::invalid(path, &json!(number), &problem));
            }
        }
    }
}

/// Checks a count or percentage that is not negative.
pub(super) fn count_or_percent(errors: &mut Errors, object: &Value, path: &Path, name: &str) {
    match object.get(name) {
        Some(Value::String(text)) => {
            let digits = text.strip_suffix('%').unwrap_or_default();
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                errors.push(FieldError::invalid(
                    path.child(name),
                    &json!(text),
                    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', \
                     regex used for validation is '[0-9]+%')",
                ));
            }
        }
        _ => not_negative(errors, object, path, name),
    }
}

/// Refuses a change of a field.
pub(super) fn immutable(errors: &mut Errors, new: &Value, old: &Value, fields: &[&str]) {
    let (after, before) = (at(new, fields), at(old, fields));
    if after != before {
        errors.push(FieldError::invalid(
            fields.join("."),
            after.unwrap_or(&Value::Null),
            IMMUTABLE,
        ));
    }
}

/// Requires exactly one of several fields, as in a union.
pub(super) fn exactly_one(
    errors: &mut Errors,
    object: &Value,
    path: &Path,
    fields: &[&str],
    missing: &str,
    many: &str,
) {
    let mut found = fields.iter().filter(|field| object.get(**field).is_some());
    if found.next().is_none() {
        errors.push(FieldError::required(path, missing));
    }
    for extra in found {
        errors.push(FieldError::forbidden(path.child(extra), many));
    }
}
