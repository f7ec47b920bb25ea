//! A service in a file, as `--filename` reads it.

use serde_json::Value;

use crate::change::shape;
use crate::error::CliError;

/// Fields that the server owns; an exported file may carry them.
const SERVER_OWNED: [&str; 7] = [
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "managedFields",
    "selfLink",
];

/// Reads one service in YAML or JSON; `path` is for messages.
///
/// # Errors
/// Names the path and what is wrong: the syntax with its place, the kind, or a field of another shape.
pub fn parse(path: &str, text: &str) -> Result<Value, CliError> {
    let wrong = |why: &str| CliError::usage(format!("cannot use {path}: {why}"));
    let mut service: Value = serde_saphyr::from_str(text).map_err(|error| wrong(&error.to_string()))?;
    let field = |name: &str| service.get(name).and_then(Value::as_str).unwrap_or_default();
    let (version, kind) = (field("apiVersion"), field("kind"));
    if !version.starts_with("serving.knative.dev/") || kind != "Service" {
        return Err(wrong(&format!(
            "expected a Service of serving.knative.dev/v1, found kind \"{kind}\" of apiVersion \"{version}\""
        )));
    }
    shape::check(&service).map_err(|error| wrong(&error.message))?;
    if let Some(fields) = service.as_object_mut() {
        fields.remove("status");
        if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.retain(|name, _| !SERVER_OWNED.contains(&name.as_str()));
        }
    }
    Ok(service)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn yaml_and_json_without_what_the_server_owns() {
        let expected = json!({ "apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": { "name": "web" }, "spec": {} });
        let yaml = "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata:\n  name: web\n  uid: u\n  resourceVersion: \"5\"\nspec: {}\nstatus:\n  url: http://x\n";
        assert_eq!(parse("f", yaml).unwrap(), expected);
        assert_eq!(parse("f", &expected.to_string()).unwrap(), expected);
    }

    #[test]
    fn the_path_and_the_trouble_are_named() {
        let head = "apiVersion: serving.knative.dev/v1\nkind: Service\n";
        let two = format!("{head}---\n{head}");
        let listed = format!("{head}spec:\n  template:\n  - a\n");
        for (text, token) in [
            ("apiVersion: v1\nkind: Pod\n", "kind \"Pod\""),
            ("a: [", "cannot use web.yaml"),
            ("", "cannot use web.yaml"),
            ("- a\n", "expected a Service"),
            (listed.as_str(), "spec.template must be an object, not a list"),
            (two.as_str(), "cannot use web.yaml"),
        ] {
            let message = parse("web.yaml", text).unwrap_err().message;
            assert!(
                message.contains("web.yaml") && message.contains(token),
                "{text}: {message}"
            );
        }
    }
}
