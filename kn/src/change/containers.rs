//! Further containers beside the first, from a file.

use serde_json::Value;

use super::json::{array, at, named};
use crate::error::CliError;

/// Reads what `--containers` names: an object with a `containers` list, and perhaps `volumes`.
///
/// # Errors
/// `place` is named if it is not that.
pub fn parse(place: &str, text: &str) -> Result<Value, CliError> {
    if text.trim().is_empty() {
        return Err(CliError::usage(format!(
            "--containers {place}: EOF, there is nothing in it"
        )));
    }
    let pod: Value = serde_saphyr::from_str(text)
        .map_err(|error| CliError::usage(format!("--containers {place}: {error}")))?;
    for field in ["containers", "volumes"] {
        let objects = match pod.get(field) {
            None | Some(Value::Null) => field == "volumes",
            Some(Value::Array(items)) => items.iter().all(Value::is_object),
            Some(_) => false,
        };
        if !objects {
            return Err(CliError::usage(format!(
                "--containers {place}: \"{field}\" must be a list of objects"
            )));
        }
    }
    Ok(pod)
}

/// Adds the containers and volumes of `extra`: ones whose name is known replace those, others are appended. The only
/// container of a pod is never replaced: it is the one that other flags speak of.
///
/// # Errors
/// A container has no name.
pub fn merge(pod: &mut Value, extra: &Value) -> Result<(), CliError> {
    let single = pod["containers"].as_array().is_none_or(|list| list.len() < 2);
    for (field, replaces) in [("containers", !single), ("volumes", true)] {
        for item in extra[field].as_array().into_iter().flatten() {
            let Some(name) = item["name"].as_str().filter(|name| !name.is_empty()) else {
                return Err(CliError::usage(format!(
                    "--containers: each of \"{field}\" needs a \"name\""
                )));
            };
            let list = array(at(pod, &[field]));
            match named(list, "name", name).filter(|_| replaces) {
                Some(present) => *present = item.clone(),
                None => list.push(item.clone()),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fragment(name: &str, image: &str) -> Value {
        json!({ "containers": [{ "name": name, "image": image }], "volumes": [{ "name": "v", "emptyDir": {} }] })
    }

    #[test]
    fn known_names_are_replaced_and_others_appended() {
        let mut pod = json!({ "containers": [{ "image": "app" }] });
        merge(&mut pod, &fragment("log", "log:1")).unwrap();
        merge(&mut pod, &fragment("log", "log:2")).unwrap();
        merge(&mut pod, &fragment("cache", "cache:1")).unwrap();
        assert_eq!(
            pod,
            json!({ "containers": [{ "image": "app" }, { "name": "log", "image": "log:2" }, { "name": "cache", "image": "cache:1" }],
                    "volumes": [{ "name": "v", "emptyDir": {} }] })
        );
        assert!(merge(&mut pod, &json!({ "containers": [{}] })).is_err());
    }

    #[test]
    fn text_is_yaml_or_json() {
        let expected = json!({ "containers": [{ "name": "a" }] });
        assert_eq!(parse("-", "containers:\n- name: a\n").unwrap(), expected);
        assert_eq!(parse("-", r#"{"containers":[{"name":"a"}]}"#).unwrap(), expected);
        for (text, token) in [
            ("", "EOF"),
            ("volumes: []", "containers"),
            ("containers: a", "containers"),
            ("containers: []\nvolumes: [1]", "volumes"),
            ("{", "--containers -"),
        ] {
            let message = parse("-", text).unwrap_err().message;
            assert!(message.contains(token), "{text}: {message}");
        }
    }
}
