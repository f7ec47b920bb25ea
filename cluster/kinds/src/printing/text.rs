//! Texts that several tables share.

use serde_json::{Map, Value};

use crate::json::{entries, items, text};

/// Shown where there is nothing.
pub(super) const NONE: &str = "<none>";

/// Returns a text, or a placeholder for an empty one.
pub(super) fn or<'a>(text: &'a str, placeholder: &'a str) -> &'a str {
    if text.is_empty() { placeholder } else { text }
}

/// Formats labels: `a=b,c=d`.
pub(super) fn labels(labels: Option<&Value>) -> String {
    let pairs: Vec<String> = labels
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    or(&pairs.join(","), NONE).to_owned()
}

/// Formats a label selector as its text form: `a=b,c in (d,e),!f`, sorted by key.
pub(super) fn selector(selector: Option<&Value>) -> String {
    let Some(selector) = selector.filter(|selector| selector.is_object()) else {
        return NONE.to_owned();
    };
    let mut terms: Vec<(&str, String)> = entries(selector, &["matchLabels"])
        .map(|(key, value)| {
            (
                key.as_str(),
                format!("{key}={}", value.as_str().unwrap_or_default()),
            )
        })
        .collect();
    for expression in items(selector, &["matchExpressions"]) {
        let key = text(expression, &["key"]);
        let mut values: Vec<&str> = items(expression, &["values"])
            .iter()
            .filter_map(Value::as_str)
            .collect();
        values.sort_unstable();
        let term = match text(expression, &["operator"]) {
            "In" => format!("{key} in ({})", values.join(",")),
            "NotIn" => format!("{key} notin ({})", values.join(",")),
            "Exists" => key.to_owned(),
            _ => format!("!{key}"),
        };
        terms.push((key, term));
    }
    terms.sort_by_key(|(key, _)| *key);
    let terms: Vec<String> = terms.into_iter().map(|(_, term)| term).collect();
    or(&terms.join(","), NONE).to_owned()
}

/// Formats the names and images of the containers of a pod spec.
pub(super) fn containers(pod_spec: Option<&Value>) -> (String, String) {
    let nothing = Value::Object(Map::new());
    let containers = items(pod_spec.unwrap_or(&nothing), &["containers"]);
    let join = |field: &str| {
        let texts: Vec<&str> = containers
            .iter()
            .map(|container| text(container, &[field]))
            .collect();
        texts.join(",")
    };
    (join("name"), join("image"))
}

/// Joins at most three texts: `a,b,c + 2 more...`.
pub(super) fn at_most_three(texts: &[String], nothing: &str) -> String {
    /// Longer lists would make a row unreadable.
    const MAX: usize = 3;
    match texts.split_at_checked(MAX) {
        Some((shown, rest)) if !rest.is_empty() => format!("{} + {} more...", shown.join(","), rest.len()),
        _ => or(&texts.join(","), nothing).to_owned(),
    }
}

/// Formats a number-or-text.
pub(super) fn int_or_string(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Returns whether a list of conditions has one that is true.
pub(super) fn condition(object: &Value, kind: &str) -> bool {
    items(object, &["status", "conditions"])
        .iter()
        .any(|condition| text(condition, &["type"]) == kind && text(condition, &["status"]) == "True")
}
