//! What a revision runs, as descriptions of revisions and services show it.

use serde_json::Value;

use crate::commands::list::text;
use crate::describe;

const AUTOSCALING: &str = "autoscaling.knative.dev/";

/// Image and replicas.
pub fn brief(revision: &Value) -> Vec<(&'static str, String)> {
    vec![("Image", image(revision)), ("Replicas", replicas(revision))]
}

/// `1/2`: those there are, of those wanted.
pub fn replicas(revision: &Value) -> String {
    let count = |field: &str| revision["status"][field].as_i64().unwrap_or(0);
    format!("{}/{}", count("actualReplicas"), count("desiredReplicas"))
}

/// All that the revision is configured with; what is not set is left out. With `verbose` lists have a line for each item.
pub fn full(revision: &Value, verbose: bool) -> Vec<(&'static str, String)> {
    let container = &revision["spec"]["containers"][0];
    let mut rows = brief(revision);
    rows.extend([
        ("Port", port(container)),
        ("Env", describe::listed(&env(container), verbose)),
        ("EnvFrom", describe::listed(&env_from(container), verbose)),
        ("Scale", scale(revision)),
        ("Concurrency", concurrency(revision)),
        ("Memory", resource(container, "memory")),
        ("CPU", resource(container, "cpu")),
    ]);
    rows.retain(|(_, value)| !value.is_empty());
    rows
}

/// `image (pinned to abc123)`: what was typed, and the first six digits of what runs.
pub fn image(revision: &Value) -> String {
    let written = text(revision, "/spec/containers/0/image");
    let typed = text(revision, "/metadata/annotations/client.knative.dev~1user-image");
    let digest = text(revision, "/status/containerStatuses/0/imageDigest");
    let short: String = digest
        .rsplit_once("sha256:")
        .map_or("", |(_, hex)| hex)
        .chars()
        .take(6)
        .collect();
    let shown = if typed.is_empty() { written.clone() } else { typed };
    match (short.is_empty(), written.contains("@sha256:")) {
        (true, _) => shown,
        (false, true) => format!("{shown} (pinned to {short})"),
        (false, false) => format!("{shown} (at {short})"),
    }
}

fn port(container: &Value) -> String {
    let port = &container["ports"][0];
    let Some(number) = port["containerPort"].as_i64().filter(|number| *number > 0) else {
        return String::new();
    };
    match port["name"].as_str() {
        Some(name @ ("h2c" | "http1")) => format!("{number} ({name})"),
        _ => number.to_string(),
    }
}

/// `NAME=value`; one from elsewhere is shown with its source, in the words of the flags.
pub fn env(container: &Value) -> Vec<String> {
    let variable = |variable: &Value| {
        let name = text(variable, "/name");
        let from = &variable["valueFrom"];
        let source = [("configMapKeyRef", "cm"), ("secretKeyRef", "sc")]
            .into_iter()
            .find(|(field, _)| from[*field].is_object())
            .map(|(field, word)| {
                let part = |part: &str| from[field][part].as_str().unwrap_or_default().to_owned();
                format!("[{word}:{}:{}]", part("name"), part("key"))
            });
        match (source, from.is_object()) {
            (Some(source), _) => format!("{name}={source}"),
            (None, true) => format!("{name}=[ref]"),
            (None, false) => format!("{name}={}", text(variable, "/value")),
        }
    };
    container["env"]
        .as_array()
        .into_iter()
        .flatten()
        .map(variable)
        .collect()
}

fn env_from(container: &Value) -> Vec<String> {
    container["envFrom"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|source| {
            [("configMapRef", "cm"), ("secretRef", "sc")]
                .into_iter()
                .find_map(|(field, word)| Some(format!("{word}:{}", source[field]["name"].as_str()?)))
        })
        .collect()
}

fn annotation<'a>(revision: &'a Value, key: &str) -> Option<&'a str> {
    revision["metadata"]["annotations"][format!("{AUTOSCALING}{key}").as_str()].as_str()
}

/// `min ... max`.
fn scale(revision: &Value) -> String {
    let min = annotation(revision, "min-scale");
    let max = annotation(revision, "max-scale").filter(|max| *max != "0");
    match (min, max) {
        (None, None) => String::new(),
        (min, max) => format!("{} ... {}", min.unwrap_or("0"), max.unwrap_or("∞")),
    }
}

fn concurrency(revision: &Value) -> String {
    let limit = revision["spec"]["containerConcurrency"]
        .as_i64()
        .filter(|limit| *limit > 0)
        .map(|limit| limit.to_string());
    let owned = |key: &str| annotation(revision, key).map(str::to_owned);
    let rows: Vec<(&str, String)> = [
        ("Limit", limit),
        ("Target", owned("target")),
        ("Window", owned("window")),
        (
            "TargetUtilization",
            owned("target-utilization-percentage").map(|percent| percent + "%"),
        ),
    ]
    .into_iter()
    .filter_map(|(label, value)| Some((label, value?)))
    .collect();
    describe::block(&rows)
}

/// `request ... limit`.
fn resource(container: &Value, name: &str) -> String {
    let amount = |kind: &str| match &container["resources"][kind][name] {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    };
    match (amount("requests"), amount("limits")) {
        (request, limit) if limit.is_empty() => request,
        (request, limit) => format!("{request} ... {limit}").trim_start().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn revision() -> Value {
        json!({ "metadata": { "annotations": {
                    "autoscaling.knative.dev/min-scale": "1", "autoscaling.knative.dev/target": "50",
                    "client.knative.dev/user-image": "localhost:5000/hello" } },
                "spec": { "containerConcurrency": 10, "containers": [{
                    "image": "localhost:5000/hello@sha256:abcdef0123", "ports": [{ "name": "h2c", "containerPort": 8080 }],
                    "env": [{ "name": "A", "value": "1" }, { "name": "B", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } },
                            { "name": "C", "valueFrom": { "fieldRef": {} } }],
                    "envFrom": [{ "configMapRef": { "name": "c" } }],
                    "resources": { "requests": { "memory": "64Mi" }, "limits": { "memory": "1Gi", "cpu": 2 } } }] },
                "status": { "actualReplicas": 1, "desiredReplicas": 2, "containerStatuses": [{ "imageDigest": "localhost:5000/hello@sha256:abcdef0123" }] } })
    }

    #[test]
    fn everything_that_is_set_is_shown() {
        assert_eq!(
            full(&revision(), false),
            [
                ("Image", "localhost:5000/hello (pinned to abcdef)"),
                ("Replicas", "1/2"),
                ("Port", "8080 (h2c)"),
                ("Env", "A=1, B=[sc:s:k], C=[ref]"),
                ("EnvFrom", "cm:c"),
                ("Scale", "1 ... ∞"),
                ("Concurrency", "Limit:   10\nTarget:  50"),
                ("Memory", "64Mi ... 1Gi"),
                ("CPU", "... 2"),
            ]
            .map(|(label, value)| (label, value.to_owned()))
        );
        assert_eq!(full(&revision(), true)[3].1, "A=1\nB=[sc:s:k]\nC=[ref]");
    }

    #[test]
    fn a_bare_revision_shows_little() {
        let rows = full(&json!({ "spec": { "containers": [{ "image": "i" }] } }), false);
        assert_eq!(rows, [("Image", "i".to_owned()), ("Replicas", "0/0".to_owned())]);
    }
}
