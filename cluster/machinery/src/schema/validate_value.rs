//! Value validations: the rules of one node, with the messages of `kube-openapi/pkg/validation`.

use serde_json::Value;

use super::NodeId;
use super::format::Format;
use super::node::{JsonType, Node, Rules};
use super::validate::Walk;
use crate::{ErrorKind, FieldError};

pub(super) fn rules(walk: &mut Walk<'_>, node: &Node, value: &Value, path: &str) {
    if let Some(format) = node.format
        && !format.accepts(value)
    {
        walk.errors.push(format_error(node.kind, format, value, path));
    }
    let Some(rules) = &node.rules else { return };
    let mut failed = |detail: String| {
        walk.errors.push(FieldError::invalid(
            path,
            value,
            &format!("{path} in body {detail}"),
        ))
    };
    match value {
        Value::String(text) => {
            text_rules(rules, text, &mut failed);
            if let Some(max) = rules.max_length
                && characters(text) > max
            {
                walk.errors.push(FieldError::too_long(path, max));
            }
        }
        Value::Number(number) => {
            if let Some(number) = number.as_f64() {
                number_rules(rules, number, &mut failed);
            }
        }
        Value::Array(items) => {
            array_rules(rules, items, &mut failed);
            if let Some(max) = rules.max_items
                && items.len() as u64 > max
            {
                walk.errors.push(FieldError::too_many(path, items.len(), max));
            }
        }
        Value::Object(map) => {
            if let Some(min) = rules.min_properties
                && (map.len() as u64) < min
            {
                failed(format!("should have at least {min} properties"));
            }
            if rules.closed {
                for name in map.keys().filter(|name| node.property(name).is_none()) {
                    let at = crate::field_error::child(path, name);
                    let detail = format!("{at} in body is a forbidden property");
                    walk.errors
                        .push(FieldError::invalid(at, &Value::from(""), &detail));
                }
            }
            if let Some(max) = rules.max_properties
                && map.len() as u64 > max
            {
                walk.errors.push(FieldError::too_many(path, map.len(), max));
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
    if !rules.enumeration.is_empty() && !rules.enumeration.contains(value) {
        walk.errors
            .push(enumeration_error(&rules.enumeration, value, path));
    }
    junctors(walk, rules, value, path);
}

fn text_rules(rules: &Rules, text: &str, failed: &mut dyn FnMut(String)) {
    if let Some(min) = rules.min_length
        && characters(text) < min
    {
        failed(format!("should be at least {min} chars long"));
    }
    if let Some(pattern) = &rules.pattern
        && !pattern.is_match(text)
    {
        failed(format!("should match '{}'", pattern.text));
    }
}

fn number_rules(rules: &Rules, number: f64, failed: &mut dyn FnMut(String)) {
    if let Some(bound) = rules.minimum {
        if bound.exclusive && number <= bound.limit {
            failed(format!("should be greater than {}", bound.limit));
        } else if number < bound.limit {
            failed(format!("should be greater than or equal to {}", bound.limit));
        }
    }
    if let Some(bound) = rules.maximum {
        if bound.exclusive && number >= bound.limit {
            failed(format!("should be less than {}", bound.limit));
        } else if number > bound.limit {
            failed(format!("should be less than or equal to {}", bound.limit));
        }
    }
    if let Some(divisor) = rules.multiple_of {
        let quotient = number / divisor;
        if (quotient - quotient.round()).abs() > f64::EPSILON * quotient.abs().max(1.0) {
            failed(format!("should be a multiple of {divisor}"));
        }
    }
}

fn array_rules(rules: &Rules, items: &[Value], failed: &mut dyn FnMut(String)) {
    if let Some(min) = rules.min_items
        && (items.len() as u64) < min
    {
        failed(format!("should have at least {min} items"));
    }
    if rules.unique_items {
        let mut seen = std::collections::HashSet::with_capacity(items.len());
        if !items.iter().all(|item| seen.insert(item.to_string())) {
            failed("shouldn't contain duplicates".to_owned());
        }
    }
}

fn junctors(walk: &mut Walk<'_>, rules: &Rules, value: &Value, path: &str) {
    // Upstream reports junctors at no path, naming the place in the text.
    let place = format!("{path:?}");
    let violated = |walk: &mut Walk<'_>, what: &str| {
        walk.errors.push(FieldError::invalid(
            "",
            &Value::from(""),
            &format!("{place} must {what}"),
        ));
    };
    if !rules.any_of.is_empty() {
        let (matches, best) = alternatives(walk, &rules.any_of, value, path);
        if matches == 0 {
            violated(walk, "validate at least one schema (anyOf)");
            walk.errors.extend(best);
        }
    }
    if !rules.one_of.is_empty() {
        let (matches, best) = alternatives(walk, &rules.one_of, value, path);
        if matches == 0 {
            violated(walk, "validate one and only one schema (oneOf). Found none valid");
            walk.errors.extend(best);
        } else if matches > 1 {
            violated(
                walk,
                &format!("validate one and only one schema (oneOf). Found {matches} valid alternatives"),
            );
        }
    }
    let before = walk.errors.len();
    for part in &rules.all_of {
        walk.value(*part, value, None, path);
    }
    if walk.errors.len() > before {
        violated(walk, "validate all the schemas (allOf)");
    }
    if let Some(part) = rules.not
        && errors_of(walk, part, value, path).is_empty()
    {
        violated(walk, "not validate the schema (not)");
    }
}

/// How many of the schemas hold, and the errors of the one that nearly does.
fn alternatives(walk: &Walk<'_>, parts: &[NodeId], value: &Value, path: &str) -> (usize, Vec<FieldError>) {
    let mut matches = 0;
    let mut best: Option<Vec<FieldError>> = None;
    for part in parts {
        let errors = errors_of(walk, *part, value, path);
        if errors.is_empty() {
            matches += 1;
        } else if best.as_ref().is_none_or(|best| errors.len() < best.len()) {
            best = Some(errors);
        }
    }
    (matches, best.unwrap_or_default())
}

fn errors_of(walk: &Walk<'_>, part: NodeId, value: &Value, path: &str) -> Vec<FieldError> {
    let mut inner = Walk {
        schema: walk.schema,
        errors: Vec::new(),
    };
    inner.value(part, value, None, path);
    inner.errors
}

fn format_error(kind: JsonType, format: Format, value: &Value, path: &str) -> FieldError {
    let name = format.name();
    match value {
        Value::Number(_) => {
            let detail = format!(
                "Checked value must be of type {} with format {name} in body",
                kind.name()
            );
            FieldError::invalid(path, value, &detail)
        }
        _ => {
            let shown = value.as_str().unwrap_or_default();
            let detail = format!("{path} in body must be of type {name}: {shown:?}");
            FieldError::type_invalid(path, value, &detail)
        }
    }
}

fn enumeration_error(allowed: &[Value], value: &Value, path: &str) -> FieldError {
    let texts: Vec<String> = allowed
        .iter()
        .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        .collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let error = FieldError::not_supported(path, value, &texts);
    debug_assert_eq!(error.kind, ErrorKind::NotSupported);
    error
}

fn characters(text: &str) -> u64 {
    text.chars().count() as u64
}
