//! What admission is told about a request for a Repository.

use serde_json::Value;

use super::tekton::{lost, spec_of, with_spec};
use crate::spindrift::Repository;

/// What is being done to an object.
#[derive(Clone, Copy, Debug, Default)]
pub struct Context<'a> {
    /// The object as it was before an update; `None` on creation.
    pub old: Option<&'a Value>,
    /// Is only the status updated?
    pub status_only: bool,
}

/// Reads the object as a Repository, to tell fields of the wrong type. A spec may be left out.
///
/// # Errors
/// Says which type was expected.
pub fn check_types(object: &Value) -> Result<(), serde_json::Error> {
    typed_spec(object).map(drop)
}

/// Names of fields in the spec of `object` that a Repository does not have.
pub fn unknown_fields(object: &Value) -> Vec<String> {
    let mut unknown = Vec::new();
    if let (Some(spec), Ok(typed)) = (object.get("spec"), typed_spec(object)) {
        lost(spec, &typed, &mut unknown);
    }
    unknown
}

fn typed_spec(object: &Value) -> Result<Value, serde_json::Error> {
    spec_of::<Repository, _>(with_spec(object), |object| object.spec)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_fields_that_a_repository_does_not_have_are_unknown() {
        let object = json!({"apiVersion": "spindrift.dev/v1alpha1", "kind": "Repository", "metadata": {"name": "web"}, "spec": {
            "url": "u", "brnach": "x", "previews": false, "build": {"cahce": true, "args": []},
            "serviceTemplate": {"spec": {"any": {"thing": 1}}, "metadta": {"name": "x"}},
        }});
        check_types(&object).unwrap();
        let mut unknown = unknown_fields(&object);
        unknown.sort();
        assert_eq!(unknown, ["brnach", "cahce", "metadta"]);
        let wrong = json!({"apiVersion": "x", "kind": "Repository", "metadata": {}, "spec": {"build": {"strategy": "magic"}}});
        assert!(check_types(&wrong).is_err());
    }
}
