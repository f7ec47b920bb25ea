//! `--param NAME=VALUE`, by the type that is declared.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::error::CliError;

/// The types that params have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    String,
    Array,
    Object,
}

impl Type {
    /// The declared type; else an object if there are properties, the type of the default, a string.
    fn of(declared: &Value) -> Self {
        match declared["type"].as_str() {
            Some("array") => Self::Array,
            Some("object") => Self::Object,
            Some("string") => Self::String,
            _ if declared["properties"].is_object() || declared["default"].is_object() => Self::Object,
            _ if declared["default"].is_array() => Self::Array,
            _ => Self::String,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Array => "array",
            Self::Object => "object",
        }
    }
}

/// Names with their types, for messages.
pub fn type_of(declared: &Value) -> &'static str {
    Type::of(declared).word()
}

/// The params of a run: those that the flags give, over those of an earlier run. Every declared one that has no default
/// is there.
///
/// # Errors
/// A flag that does not fit what is declared, or a param that is missing, each by name.
pub fn params(declared: &[Value], flags: &[String], earlier: &[Value]) -> Result<Vec<Value>, CliError> {
    let mut values: BTreeMap<&str, Value> = BTreeMap::new();
    for flag in flags {
        let (name, text) = flag
            .split_once('=')
            .map(|(name, text)| (name.trim(), text))
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| CliError::usage(format!("--param {flag}: expected NAME=VALUE")))?;
        let param = declared
            .iter()
            .find(|param| param["name"] == name)
            .ok_or_else(|| unknown(name, declared))?;
        let value = value(param, text).map_err(|why| CliError::usage(format!("--param {name}: {why}")))?;
        match (values.get_mut(name), value) {
            (None, value) => {
                values.insert(name, value);
            }
            (Some(Value::Array(list)), Value::Array(more)) => list.extend(more),
            (Some(Value::Object(map)), Value::Object(more)) => map.extend(more),
            _ => {
                return Err(CliError::usage(format!(
                    "--param {name}: given twice; only arrays and objects can be given in pieces"
                )));
            }
        }
    }
    let mut missing = Vec::new();
    let mut given = Vec::new();
    for param in declared {
        let name = param["name"].as_str().unwrap_or_default();
        let before = || earlier.iter().find(|param| param["name"] == name);
        if let Some(value) = values.remove(name) {
            lacks_no_key(param, &value)?;
            given.push(json!({ "name": name, "value": value }));
        } else if let Some(before) = before() {
            given.push(before.clone());
        } else if param["default"].is_null() {
            missing.push(format!("{name} ({})", Type::of(param).word()));
        }
    }
    match missing.first() {
        None => Ok(given),
        Some(first) => {
            let name = first.split(' ').next().unwrap_or_default();
            Err(
                CliError::usage(format!("no value for param {}", missing.join(", ")))
                    .with_hint(format!("give each one by --param, such as --param {name}=VALUE")),
            )
        }
    }
}

fn unknown(name: &str, declared: &[Value]) -> CliError {
    let names: Vec<&str> = declared
        .iter()
        .filter_map(|param| param["name"].as_str())
        .collect();
    let known = match names.is_empty() {
        true => "it takes none".to_owned(),
        false => format!("it takes {}", names.join(", ")),
    };
    CliError::usage(format!("--param {name}: no such param is declared: {known}"))
}

/// The value that a text stands for.
fn value(param: &Value, text: &str) -> Result<Value, String> {
    match Type::of(param) {
        Type::String => {
            let allowed: Vec<&str> = strings(&param["enum"]);
            if !allowed.is_empty() && !allowed.contains(&text) {
                return Err(format!(
                    "'{text}' is not allowed: it is one of {}",
                    allowed.join(", ")
                ));
            }
            Ok(json!(text))
        }
        Type::Array => Ok(match text {
            "" => json!([]),
            text => json!(text.split(',').map(str::trim).collect::<Vec<_>>()),
        }),
        Type::Object => {
            let known = &param["properties"];
            let mut map = Map::new();
            for entry in text.split(',').filter(|entry| !entry.trim().is_empty()) {
                let (key, value) = entry
                    .split_once(':')
                    .map(|(key, value)| (key.trim(), value.trim()))
                    .filter(|(key, _)| !key.is_empty())
                    .ok_or_else(|| {
                        format!("'{}': an object is given as KEY:VALUE,KEY:VALUE", entry.trim())
                    })?;
                if known.is_object() && known.get(key).is_none() {
                    return Err(format!(
                        "there is no key '{key}': it has {}",
                        keys(known).join(", ")
                    ));
                }
                map.insert(key.to_owned(), json!(value));
            }
            Ok(Value::Object(map))
        }
    }
}

/// Every key of an object is given or has a default.
fn lacks_no_key(param: &Value, value: &Value) -> Result<(), CliError> {
    let missing: Vec<&str> = keys(&param["properties"])
        .into_iter()
        .filter(|key| value.is_object() && value.get(key).is_none() && param["default"].get(key).is_none())
        .collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(CliError::usage(format!(
            "--param {}: no value for the key {}",
            param["name"].as_str().unwrap_or_default(),
            missing.join(", ")
        ))),
    }
}

fn keys(map: &Value) -> Vec<&str> {
    let keys = map.as_object().into_iter().flatten();
    keys.map(|(key, _)| key.as_str()).collect()
}

fn strings(list: &Value) -> Vec<&str> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(Value::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared() -> Vec<Value> {
        let params = json!([
            { "name": "url", "type": "string" },
            { "name": "flags", "type": "array", "default": [] },
            { "name": "inferred", "default": ["a"] },
            { "name": "image", "type": "object", "properties": { "name": {}, "tag": {} }, "default": { "tag": "latest" } },
            { "name": "level", "default": "low", "enum": ["low", "high"] }
        ]);
        params.as_array().unwrap().clone()
    }

    fn read(flags: &[&str]) -> Result<Value, String> {
        let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        params(&declared(), &flags, &[])
            .map(|params| json!(params))
            .map_err(|error| error.message)
    }

    #[test]
    fn values_have_their_declared_types() {
        let url = json!({ "name": "url", "value": "http://x?a=b,c" });
        for (flags, expected) in [
            (&["url=http://x?a=b,c"][..], json!([url])),
            (
                &["url=http://x?a=b,c", "flags=a, b,c", "flags=d"],
                json!([url, { "name": "flags", "value": ["a", "b", "c", "d"] }]),
            ),
            (
                &["url=http://x?a=b,c", "flags=", "inferred=x"],
                json!([url, { "name": "flags", "value": [] }, { "name": "inferred", "value": ["x"] }]),
            ),
            (
                &["url=http://x?a=b,c", "image=name:reg:5000/x"],
                json!([url, { "name": "image", "value": { "name": "reg:5000/x" } }]),
            ),
            (
                &["url=http://x?a=b,c", "image=name:x", "image=tag: v1"],
                json!([url, { "name": "image", "value": { "name": "x", "tag": "v1" } }]),
            ),
            (
                &["url=http://x?a=b,c", "level=high"],
                json!([url, { "name": "level", "value": "high" }]),
            ),
        ] {
            assert_eq!(read(flags).unwrap(), expected, "{flags:?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (flags, expected) in [
            (&[][..], "no value for param url (string)"),
            (&["url"], "--param url: expected NAME=VALUE"),
            (&["=x"], "--param =x: expected NAME=VALUE"),
            (
                &["uri=x"],
                "--param uri: no such param is declared: it takes url, flags",
            ),
            (&["url=a", "url=b"], "--param url: given twice"),
            (
                &["url=a", "image=x"],
                "--param image: 'x': an object is given as KEY:VALUE",
            ),
            (
                &["url=a", "image=size:1"],
                "--param image: there is no key 'size': it has name, tag",
            ),
            (
                &["url=a", "image=tag:1"],
                "--param image: no value for the key name",
            ),
            (
                &["url=a", "level=mid"],
                "--param level: 'mid' is not allowed: it is one of low, high",
            ),
        ] {
            let message = read(flags).unwrap_err();
            assert!(message.starts_with(expected), "{flags:?}: {message}");
        }
        let message = params(&[], &["a=b".to_owned()], &[]).unwrap_err().message;
        assert!(message.ends_with("it takes none"), "{message}");
    }

    #[test]
    fn an_earlier_run_fills_what_is_not_given() {
        let earlier = [
            json!({ "name": "url", "value": "old" }),
            json!({ "name": "gone", "value": "x" }),
        ];
        let values = params(&declared(), &["level=high".to_owned()], &earlier).unwrap();
        assert_eq!(
            json!(values),
            json!([{ "name": "url", "value": "old" }, { "name": "level", "value": "high" }])
        );
        let values = params(&declared(), &["url=new".to_owned()], &earlier).unwrap();
        assert_eq!(json!(values), json!([{ "name": "url", "value": "new" }]));
    }
}
