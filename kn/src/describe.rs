//! The shape that all descriptions have: labels left, values aligned in one column per block, blocks apart.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use crate::{age, conditions};

/// Where a line of labels or annotations is cut.
const WIDTH: usize = 100;
/// Keys that say nothing to people, unless they ask for all.
const HIDDEN: [&str; 4] = [
    "serving.knative.dev",
    "client.knative.dev",
    "kubectl.kubernetes.io",
    "spindrift.dev/last-build",
];

/// Lines of `label: value`, aligned.
pub fn block(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(label, _)| label.len() + 1).max().unwrap_or(0) + 2;
    let line = |(label, value): &(&str, String)| {
        let mut lines = value.lines();
        let label = format!("{label}:");
        let first = format!("{label:width$}{}", lines.next().unwrap_or_default())
            .trim_end()
            .to_owned();
        let rest = lines.map(|line| format!("{}{line}", " ".repeat(width)));
        std::iter::once(first).chain(rest).collect::<Vec<_>>().join("\n")
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The block that every description begins with.
pub fn metadata(object: &Value, verbose: bool, now: Timestamp) -> Vec<(&'static str, String)> {
    let metadata = &object["metadata"];
    let mut rows = vec![
        ("Name", metadata["name"].as_str().unwrap_or_default().to_owned()),
        (
            "Namespace",
            metadata["namespace"].as_str().unwrap_or_default().to_owned(),
        ),
    ];
    for (label, field) in [("Labels", "labels"), ("Annotations", "annotations")] {
        let shown = pairs(&metadata[field], verbose);
        if !shown.is_empty() {
            rows.push((label, shown));
        }
    }
    rows.push(("Age", age::of(object, now)));
    rows
}

/// A whole description: the first block goes on with `head`, each of `blocks` has a title, the conditions come last.
/// What is empty is left out.
pub fn page(
    object: &Value,
    verbose: bool,
    now: Timestamp,
    head: Vec<(&'static str, String)>,
    blocks: &[(&str, String)],
) -> String {
    let mut rows = metadata(object, verbose, now);
    rows.extend(head.into_iter().filter(|(_, value)| !value.is_empty()));
    let mut parts = vec![block(&rows)];
    parts.extend(
        blocks
            .iter()
            .filter(|(_, text)| !text.is_empty())
            .map(|(title, text)| format!("{title}:\n{}", conditions::indent(text))),
    );
    parts.push(conditions::describe(object, verbose, now));
    parts.join("\n\n")
}

fn pairs(map: &Value, verbose: bool) -> String {
    let pairs: BTreeMap<&String, &Value> = map.as_object().into_iter().flatten().collect();
    let shown: Vec<String> = pairs
        .into_iter()
        .filter(|(key, _)| verbose || !HIDDEN.iter().any(|hidden| key.starts_with(hidden)))
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    listed(&shown, verbose)
}

/// The texts of an object, a line each.
pub fn map(object: &Value) -> String {
    let pairs = object.as_object().into_iter().flatten();
    let rows: Vec<(&str, String)> = pairs
        .map(|(key, value)| (key.as_str(), value.as_str().unwrap_or_default().to_owned()))
        .collect();
    block(&rows)
}

/// Items on one line that is cut when it is too long; with `verbose` all of them, a line each.
pub fn listed(items: &[String], verbose: bool) -> String {
    if verbose {
        return items.join("\n");
    }
    let line = items.join(", ");
    if line.chars().count() <= WIDTH {
        return line;
    }
    line.chars().take(WIDTH - 4).chain(" ...".chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_aligned_and_noise_is_hidden() {
        let object = json!({ "metadata": { "name": "web", "namespace": "default", "creationTimestamp": "1970-01-01T00:00:00Z",
            "labels": { "app": "x" }, "annotations": { "serving.knative.dev/creator": "me" } } });
        let text = block(&metadata(&object, false, Timestamp::UNIX_EPOCH));
        assert_eq!(
            text,
            "Name:       web\nNamespace:  default\nLabels:     app=x\nAge:        0s"
        );
        assert!(block(&metadata(&object, true, Timestamp::UNIX_EPOCH)).contains("creator=me"));
    }
}
