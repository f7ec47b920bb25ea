//! Params: what is declared, and the values that are given.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// The value of a param or a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ParamValue {
    /// A text; also whatever is none of the others, as the JSON text it was written as.
    String(String),
    /// A list of texts.
    Array(Vec<String>),
    /// Texts by key.
    Object(BTreeMap<String, String>),
}

impl ParamValue {
    /// Which type the value has.
    pub fn type_(&self) -> ParamType {
        match self {
            Self::String(_) => ParamType::String,
            Self::Array(_) => ParamType::Array,
            Self::Object(_) => ParamType::Object,
        }
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The list, if it is one.
    pub fn as_array(&self) -> Option<&[String]> {
        match self {
            Self::Array(list) => Some(list),
            _ => None,
        }
    }

    /// The texts by key, if it is an object.
    pub fn as_object(&self) -> Option<&BTreeMap<String, String>> {
        match self {
            Self::Object(map) => Some(map),
            _ => None,
        }
    }

    /// The value that JSON stands for: lists and maps of texts are what they are; numbers, booleans, and lists and maps
    /// of anything else are their own JSON text. A null is an empty text, in lists and maps too.
    pub fn from_json(value: &Value) -> Self {
        match value {
            Value::Null => Self::String(String::new()),
            Value::String(text) => Self::String(text.clone()),
            Value::Array(list) => {
                let texts: Option<Vec<String>> = list.iter().map(text_of).collect();
                texts.map_or_else(|| Self::String(value.to_string()), Self::Array)
            }
            Value::Object(map) => {
                let texts: Option<BTreeMap<String, String>> = map
                    .iter()
                    .map(|(key, value)| Some((key.clone(), text_of(value)?)))
                    .collect();
                texts.map_or_else(|| Self::String(value.to_string()), Self::Object)
            }
            Value::Bool(_) | Value::Number(_) => Self::String(value.to_string()),
        }
    }
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Null => Some(String::new()),
        _ => None,
    }
}

impl Default for ParamValue {
    fn default() -> Self {
        Self::String(String::new())
    }
}

impl From<&str> for ParamValue {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for ParamValue {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<Vec<String>> for ParamValue {
    fn from(list: Vec<String>) -> Self {
        Self::Array(list)
    }
}

impl From<BTreeMap<String, String>> for ParamValue {
    fn from(map: BTreeMap<String, String>) -> Self {
        Self::Object(map)
    }
}

impl<'de> Deserialize<'de> for ParamValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(|value| Self::from_json(&value))
    }
}

/// The types that params and results may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ParamType {
    /// A text.
    #[default]
    String,
    /// A list of texts.
    Array,
    /// Texts by key.
    Object,
}

impl ParamType {
    /// The word of specs: `string`, `array` or `object`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Array => "array",
            Self::Object => "object",
        }
    }
}

impl std::fmt::Display for ParamType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A param that is declared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ParamSpec {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Its type; see [`ParamSpec::type_or_inferred`].
    #[serde(
        default,
        rename = "type",
        deserialize_with = "super::unless_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub type_: Option<ParamType>,
    /// Words for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The keys of an object.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, PropertySpec>,
    /// The value when none is given; without it the param must be given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<ParamValue>,
    /// The only values that may be given, of a text.
    #[serde(default, rename = "enum", skip_serializing_if = "Vec::is_empty")]
    pub enum_: Vec<String>,
}

impl ParamSpec {
    /// The declared type; else `object` if it has properties, the type of its default, `string`.
    pub fn type_or_inferred(&self) -> ParamType {
        self.type_.unwrap_or_else(|| match &self.default {
            _ if !self.properties.is_empty() => ParamType::Object,
            Some(default) => default.type_(),
            None => ParamType::String,
        })
    }
}

/// A key of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PropertySpec {
    /// Type of its value; only `string` is possible.
    #[serde(
        default,
        rename = "type",
        deserialize_with = "super::unless_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub type_: Option<ParamType>,
}

/// A param that is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Param {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Its value.
    #[serde(default)]
    pub value: ParamValue,
}

impl Param {
    /// A param of that name and value.
    pub fn new(name: impl Into<String>, value: impl Into<ParamValue>) -> Self {
        Self {
            name: name.into(),
            value: value.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_read_by_their_shape() {
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        for (json, value, written) in [
            (json!("a"), ParamValue::from("a"), json!("a")),
            (json!(null), ParamValue::from(""), json!("")),
            (json!(3), ParamValue::from("3"), json!("3")),
            (json!(1.5), ParamValue::from("1.5"), json!("1.5")),
            (json!(true), ParamValue::from("true"), json!("true")),
            (json!([]), ParamValue::Array(vec![]), json!([])),
            (
                json!(["a", "b"]),
                ParamValue::Array(texts(&["a", "b"])),
                json!(["a", "b"]),
            ),
            (
                json!(["a", 1]),
                ParamValue::from(r#"["a",1]"#),
                json!(r#"["a",1]"#),
            ),
            (
                json!([["a"]]),
                ParamValue::from(r#"[["a"]]"#),
                json!(r#"[["a"]]"#),
            ),
            (json!({}), ParamValue::Object(BTreeMap::new()), json!({})),
            (
                json!({"k": "v"}),
                ParamValue::Object([("k".to_owned(), "v".to_owned())].into()),
                json!({"k": "v"}),
            ),
            (
                json!({"k": 1}),
                ParamValue::from(r#"{"k":1}"#),
                json!(r#"{"k":1}"#),
            ),
        ] {
            let read: ParamValue = serde_json::from_value(json.clone()).unwrap();
            assert_eq!(read, value, "{json}");
            assert_eq!(serde_json::to_value(read).unwrap(), written, "{json}");
        }
    }

    #[test]
    fn types_are_inferred_unless_declared() {
        for (spec, type_) in [
            (json!({"name": "p"}), ParamType::String),
            (json!({"name": "p", "type": ""}), ParamType::String),
            (json!({"name": "p", "type": "array"}), ParamType::Array),
            (json!({"name": "p", "default": ["a"]}), ParamType::Array),
            (json!({"name": "p", "default": {"a": "b"}}), ParamType::Object),
            (json!({"name": "p", "properties": {"a": {}}}), ParamType::Object),
            (
                json!({"name": "p", "type": "string", "default": ["a"]}),
                ParamType::String,
            ),
        ] {
            let read: ParamSpec = serde_json::from_value(spec.clone()).unwrap();
            assert_eq!(read.type_or_inferred(), type_, "{spec}");
        }
    }
}
