//! Results: what is declared, and the values that came out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::param::{ParamType, ParamValue, PropertySpec};

/// A result of a Task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskResult {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Its type; absent is `string`.
    #[serde(
        default,
        rename = "type",
        deserialize_with = "super::unless_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub type_: Option<ParamType>,
    /// The keys of an object.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, PropertySpec>,
    /// Words for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// A result of a step that it is; without it, what the steps write to its file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<ParamValue>,
}

/// A result of a step or StepAction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepResult {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Its type; absent is `string`.
    #[serde(
        default,
        rename = "type",
        deserialize_with = "super::unless_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub type_: Option<ParamType>,
    /// The keys of an object.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, PropertySpec>,
    /// Words for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// A result of a Pipeline.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PipelineResult {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Its type; absent is whatever the value turns out to be.
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
    /// The value, with references to results of tasks.
    #[serde(default)]
    pub value: ParamValue,
}

/// A result that came out of a task or step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskRunResult {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// The type of the value.
    #[serde(
        default,
        rename = "type",
        deserialize_with = "super::unless_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub type_: Option<ParamType>,
    /// The value.
    #[serde(default)]
    pub value: ParamValue,
}

/// A result that came out of a pipeline.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PipelineRunResult {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// The value.
    #[serde(default)]
    pub value: ParamValue,
}
