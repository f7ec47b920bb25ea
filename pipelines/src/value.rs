//! Values of params and results.

use std::collections::BTreeMap;

/// A string, a list of strings, or an object with string values.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub enum ParamValue {
    String(String),
    Array(Vec<String>),
    Object(BTreeMap<String, String>),
}

impl From<String> for ParamValue {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<Vec<String>> for ParamValue {
    fn from(elements: Vec<String>) -> Self {
        Self::Array(elements)
    }
}
