//! How requests are split.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{FieldError, FieldErrors};
use crate::dns;
use crate::resource::{get, integer, text};

/// Checks `spec.traffic`; the paths begin below it. In a Service the configuration is the Service's own, so no entry
/// may name one.
pub(super) fn traffic(targets: &[Value], in_service: bool) -> FieldErrors {
    let mut errors = FieldErrors::default();
    let mut tags: BTreeMap<&str, usize> = BTreeMap::new();
    let mut sum = 0i64;
    for (index, target) in targets.iter().enumerate() {
        errors.also(validate(target, in_service).via_index(index));
        sum = sum.saturating_add(integer(target, "percent").unwrap_or(0));
        let tag = text(target, "tag");
        if tag.is_empty() {
            continue;
        }
        let reasons = dns::label_1035(tag);
        if !reasons.is_empty() {
            let value = format!("not a DNS 1035 label: [{}]", reasons.join(" "));
            errors.also(FieldError::invalid(value, "tag").via_index(index));
        }
        match tags.get(tag) {
            Some(first) => errors.also(FieldError {
                message: format!("Multiple definitions for {tag:?}"),
                paths: vec![format!("[{index}].tag"), format!("[{first}].tag")],
                ..FieldError::default()
            }),
            None => {
                tags.insert(tag, index);
            }
        }
    }
    if sum != 100 {
        errors.also(FieldError::new(
            format!("Traffic targets sum to {sum}, want 100"),
            "",
        ));
    }
    errors
}

fn validate(target: &Value, in_service: bool) -> FieldErrors {
    let mut errors = FieldErrors::default();
    let (revision, configuration) = (text(target, "revisionName"), text(target, "configurationName"));
    if let Some(latest) = target.get("latestRevision").and_then(Value::as_bool)
        && latest != revision.is_empty()
    {
        let message = format!("may not set revisionName {revision:?} when latestRevision is {latest}");
        errors.also(FieldError::new(message, "latestRevision"));
    }
    if in_service && !configuration.is_empty() {
        errors.also(FieldError::disallowed("configurationName"));
    } else if !revision.is_empty() && !configuration.is_empty() {
        errors.also(FieldError::multiple_one_of(&[
            "revisionName",
            "configurationName",
        ]));
    } else if !revision.is_empty() {
        errors.also(qualified(revision, "revisionName"));
    } else if !configuration.is_empty() {
        errors.also(qualified(configuration, "configurationName"));
    } else if !in_service {
        errors.also(FieldError::missing_one_of(&["revisionName", "configurationName"]));
    }
    if let Some(percent) = integer(target, "percent").filter(|percent| !(0..=100).contains(percent)) {
        errors.also(FieldError::out_of_bounds(percent, 0, 100, "percent"));
    }
    if get(target, "url").is_some_and(|url| url.as_str() != Some("")) {
        errors.also(FieldError::disallowed("url"));
    }
    errors
}

fn qualified(name: &str, path: &str) -> Option<FieldError> {
    let reasons = dns::qualified_name(name);
    (!reasons.is_empty()).then(|| FieldError::invalid_key(name, path, &reasons))
}
