//! The kinds of tasks and pipelines, and what admission is told about a request for one.

use serde_json::Value;

use super::is_unset;
use crate::config::tekton::Configs;
use crate::tekton;

/// The kinds that admission looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resource {
    /// tekton.dev Task
    Task,
    /// tekton.dev TaskRun
    TaskRun,
    /// tekton.dev Pipeline
    Pipeline,
    /// tekton.dev PipelineRun
    PipelineRun,
    /// tekton.dev StepAction
    StepAction,
    /// tekton.dev CustomRun
    CustomRun,
    /// resolution.tekton.dev ResolutionRequest
    ResolutionRequest,
}

impl Resource {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Task,
        Self::TaskRun,
        Self::Pipeline,
        Self::PipelineRun,
        Self::StepAction,
        Self::CustomRun,
        Self::ResolutionRequest,
    ];

    /// The resource of a group and kind; `None` if admission has no say in it.
    pub fn find(group: &str, kind: &str) -> Option<Self> {
        Some(match (group, kind) {
            (tekton::GROUP, "Task") => Self::Task,
            (tekton::GROUP, "TaskRun") => Self::TaskRun,
            (tekton::GROUP, "Pipeline") => Self::Pipeline,
            (tekton::GROUP, "PipelineRun") => Self::PipelineRun,
            (tekton::GROUP, "StepAction") => Self::StepAction,
            (tekton::GROUP, "CustomRun") => Self::CustomRun,
            (tekton::RESOLUTION_GROUP, "ResolutionRequest") => Self::ResolutionRequest,
            _ => return None,
        })
    }

    /// Reads the object as the typed resource, to tell fields of the wrong type. A spec may be left out.
    ///
    /// # Errors
    /// Says which type was expected.
    pub fn check_types(self, object: &Value) -> Result<(), serde_json::Error> {
        self.typed_spec(object).map(drop)
    }

    /// Names of fields in the spec of `object` that the kind does not have, in the order in which they stand there.
    /// They are those that are lost when the spec is read by its type and written again; one without a value may be
    /// overlooked.
    pub fn unknown_fields(self, object: &Value) -> Vec<String> {
        let mut unknown = Vec::new();
        if let (Some(spec), Ok(typed)) = (object.get("spec"), self.typed_spec(object)) {
            lost(spec, &typed, &mut unknown);
        }
        unknown
    }

    /// The spec, read by its type and written again.
    fn typed_spec(self, object: &Value) -> Result<Value, serde_json::Error> {
        let object = with_spec(object);
        match self {
            Self::Task => spec_of::<tekton::Task, _>(object, |object| object.spec),
            Self::TaskRun => spec_of::<tekton::TaskRun, _>(object, |object| object.spec),
            Self::Pipeline => spec_of::<tekton::Pipeline, _>(object, |object| object.spec),
            Self::PipelineRun => spec_of::<tekton::PipelineRun, _>(object, |object| object.spec),
            Self::StepAction => spec_of::<tekton::StepAction, _>(object, |object| object.spec),
            Self::CustomRun => spec_of::<tekton::CustomRun, _>(object, |object| object.spec),
            Self::ResolutionRequest => spec_of::<tekton::ResolutionRequest, _>(object, |object| object.spec),
        }
    }
}

/// The object, with a spec and metadata even if it has none.
pub(super) fn with_spec(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        for name in ["spec", "metadata"] {
            if fields.get(name).is_none_or(Value::is_null) {
                fields.insert(name.to_owned(), Value::Object(serde_json::Map::new()));
            }
        }
    }
    object
}

pub(super) fn spec_of<T: serde::de::DeserializeOwned, S: serde::Serialize>(
    object: Value,
    spec: impl FnOnce(T) -> S,
) -> Result<Value, serde_json::Error> {
    serde_json::to_value(spec(serde_json::from_value(object)?))
}

/// Fields of `given` that `kept` lacks. Values of params may have become their text, and are not looked into.
pub(super) fn lost(given: &Value, kept: &Value, names: &mut Vec<String>) {
    match (given, kept) {
        (Value::Object(given), Value::Object(kept)) => {
            for (name, field) in given {
                match kept.get(name) {
                    Some(kept) => lost(field, kept, names),
                    None if is_empty(field) => {}
                    None => names.push(name.clone()),
                }
            }
        }
        (Value::Array(given), Value::Array(kept)) => {
            for (given, kept) in given.iter().zip(kept) {
                lost(given, kept, names);
            }
        }
        _ => {}
    }
}

/// Is it a value that types leave out when they are written?
fn is_empty(value: &Value) -> bool {
    is_unset(value) || value.as_object().is_some_and(serde_json::Map::is_empty)
}

/// What is being done to an object, and under which configuration.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The configuration of the install.
    pub configs: &'a Configs,
    /// The object as it was before an update; `None` on creation.
    pub old: Option<&'a Value>,
    /// Is only the status updated?
    pub status_only: bool,
}

impl<'a> Context<'a> {
    /// A creation.
    pub fn creating(configs: &'a Configs) -> Self {
        Self {
            configs,
            old: None,
            status_only: false,
        }
    }

    /// An update of `old`.
    pub fn updating(configs: &'a Configs, old: &'a Value) -> Self {
        Self {
            old: Some(old),
            ..Self::creating(configs)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_fields_that_the_kind_does_not_have_are_unknown() {
        let object = |kind: &str, spec: Value| json!({"apiVersion": "tekton.dev/v1", "kind": kind, "metadata": {"name": "x"}, "spec": spec});
        for (resource, object, unknown) in [
            (
                Resource::Task,
                object(
                    "Task",
                    json!({
                        "parms": [1], "params": [{"name": "p", "defualt": "x", "default": {"any": "key"}}],
                        "steps": [{"image": "i", "imagePullPolice": "x", "env": [{"name": "a", "vlaue": "b"}],
                                   "computeResources": {"limit": {"cpu": "1"}}, "retries": 0, "args": []}],
                        "volumes": [{"name": "v", "emptyDir": {}}],
                    }),
                ),
                vec!["defualt", "imagePullPolice", "limit", "parms", "vlaue"],
            ),
            (
                Resource::Pipeline,
                object(
                    "Pipeline",
                    json!({"tasks": [{
                        "name": "t", "params": [{"name": "p", "value": [1, {"a": 2}]}],
                        "taskSpec": {"apiVersion": "a/v1", "kind": "K", "spec": {"free": {"form": 1}}},
                    }, {"name": "u", "taskSpec": {"stpes": [1], "steps": []}}]}),
                ),
                vec!["stpes"],
            ),
            (
                Resource::TaskRun,
                json!({"kind": "TaskRun", "apiVersion": "tekton.dev/v1"}),
                vec![],
            ),
        ] {
            let mut found = resource.unknown_fields(&object);
            found.sort();
            assert_eq!(found, unknown, "{resource:?}");
        }
    }

    #[test]
    fn examples_have_no_unknown_fields() {
        for ((name, object), resource) in tekton::examples::all().into_iter().zip(Resource::ALL) {
            let mut object = object;
            object["metadata"] = json!({"name": "x"});
            (object["apiVersion"], object["kind"]) = (json!("x"), json!("x"));
            resource.check_types(&object).unwrap();
            assert_eq!(resource.unknown_fields(&object), Vec::<String>::new(), "{name}");
        }
    }
}
