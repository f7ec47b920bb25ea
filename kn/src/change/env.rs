//! The environment of a container.

use serde_json::{Value, json};

use super::json::{array, at, drop_empty, named};
use super::pairs;
use crate::error::CliError;
use crate::flags::env::EnvFlag;

/// Applies the flags in their order: variables that exist change in place, new ones are appended, removals come last.
pub fn apply(container: &mut Value, flags: &[EnvFlag], env_from: &[String]) -> Result<(), CliError> {
    if !flags.is_empty() {
        let mut removals = Vec::new();
        for flag in flags {
            let (values, source) = match flag {
                EnvFlag::Value(value) => (pairs::parse("env", std::slice::from_ref(value), false)?, false),
                EnvFlag::From(value) => (
                    pairs::parse("env-value-from", std::slice::from_ref(value), false)?,
                    true,
                ),
                EnvFlag::Lines(path, lines) => {
                    (pairs::parse(&format!("env-file {path}"), lines, false)?, false)
                }
                // Read before; a file that was not is a mistake of the caller that shows in every test.
                EnvFlag::File(path) => {
                    return Err(CliError::usage(format!("--env-file {path} has not been read")));
                }
            };
            for (name, value) in values.set {
                let item = if source {
                    json!({ "name": name, "valueFrom": value_from(&value)? })
                } else {
                    json!({ "name": name, "value": value })
                };
                let list = array(at(container, &["env"]));
                match named(list, "name", &name) {
                    Some(present) => *present = item,
                    None => list.push(item),
                }
            }
            removals.extend(values.remove);
        }
        array(at(container, &["env"]))
            .retain(|item| !removals.iter().any(|name| item["name"] == name.as_str()));
        drop_empty(container, "env");
    }
    if !env_from.is_empty() {
        all_keys(array(at(container, &["envFrom"])), env_from)?;
        drop_empty(container, "envFrom");
    }
    Ok(())
}

/// `cm:NAME` and `secret:NAME` as the field that refers to them.
fn reference(text: &str) -> Result<(&'static str, &'static str, &str), CliError> {
    match text.split_once(':') {
        Some(("cm" | "config-map", name)) if !name.is_empty() => {
            Ok(("configMapRef", "configMapKeyRef", name))
        }
        Some(("sc" | "secret", name)) if !name.is_empty() => Ok(("secretRef", "secretKeyRef", name)),
        _ => Err(CliError::usage(format!(
            "\"{text}\" names no source: expected config-map:NAME (cm:NAME) or secret:NAME (sc:NAME)"
        ))),
    }
}

fn value_from(text: &str) -> Result<Value, CliError> {
    let (_, field, rest) = reference(text)?;
    match rest.split_once(':') {
        Some((name, key)) if !name.is_empty() && !key.is_empty() => {
            Ok(json!({ field: { "name": name, "key": key } }))
        }
        _ => Err(CliError::usage(format!(
            "\"{text}\" lacks the key: expected KIND:NAME:KEY"
        ))),
    }
}

fn all_keys(list: &mut Vec<Value>, flags: &[String]) -> Result<(), CliError> {
    let mut removals = Vec::new();
    for flag in flags {
        if flag == "-" {
            return Err(CliError::usage("--env-from \"-\" names nothing to remove"));
        }
        let (text, remove) = match flag.strip_suffix('-') {
            Some(text) => (text, true),
            None => (flag.as_str(), false),
        };
        let (field, _, name) = reference(text)?;
        let item = json!({ field: { "name": name } });
        if remove {
            removals.push((field, name));
        } else if !list.contains(&item) {
            list.push(item);
        }
    }
    list.retain(|item| !removals.iter().any(|(field, name)| item[*field]["name"] == *name));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_change_in_place_and_keep_the_order_of_the_flags() {
        let mut container =
            json!({ "env": [{ "name": "OLD", "value": "1" }, { "name": "B", "value": "x" }] });
        let flags = [
            EnvFlag::Value("A=1".into()),
            EnvFlag::From("B=cm:x:k".into()),
            EnvFlag::Value("C=3,4".into()),
            EnvFlag::Value("OLD-".into()),
        ];
        apply(&mut container, &flags, &["secret:s".into(), "secret:s".into()]).unwrap();
        assert_eq!(
            container,
            json!({ "env": [{ "name": "B", "valueFrom": { "configMapKeyRef": { "name": "x", "key": "k" } } },
                            { "name": "A", "value": "1" }, { "name": "C", "value": "3,4" }],
                    "envFrom": [{ "secretRef": { "name": "s" } }] })
        );
        apply(&mut container, &[], &["sc:s-".into()]).unwrap();
        assert!(container.get("envFrom").is_none());
        for wrong in ["ed:x", "pvc:x", "-", "cm:", "x"] {
            assert!(apply(&mut container, &[], &[wrong.into()]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn lines_of_a_file_keep_their_place() {
        let mut container = json!({});
        let flags = [
            EnvFlag::Value("A=1".into()),
            EnvFlag::Lines("f".into(), vec!["B=2".into(), "A=3".into()]),
        ];
        apply(&mut container, &flags, &[]).unwrap();
        assert_eq!(
            container["env"],
            json!([{ "name": "A", "value": "3" }, { "name": "B", "value": "2" }])
        );
        let wrong = [EnvFlag::Lines("f".into(), vec!["B".into()])];
        let message = apply(&mut container, &wrong, &[]).unwrap_err().message;
        assert!(message.contains("--env-file f"), "{message}");
    }
}
