//! What every body goes through before a verb works with it: type, fields, defaults.

use serde_json::Value;

use super::{Call, Registry};
use crate::status::StatusError;

impl Registry {
    /// Checks that a body is of the resource's type. A missing type is filled in for built-in kinds and refused for
    /// custom resources: upstream decodes the former into what the path names, and knows the latter by their own word
    /// only.
    pub(super) fn check_type(&self, call: &Call, object: &mut Value) -> Result<(), StatusError> {
        let resource = &call.resource;
        let Some(map) = object.as_object_mut() else {
            return Err(StatusError::bad_request(format!(
                "the body must be an object of kind {}, not a bare value",
                resource.kind
            )));
        };
        let text = |key: &str| {
            map.get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        let expected = resource.api_version();
        if !api_version.is_empty() && api_version != expected {
            return Err(StatusError::bad_request(format!(
                "the API version in the data ({api_version}) does not match the expected API version ({expected})"
            )));
        }
        if !kind.is_empty() && kind != resource.kind {
            return Err(StatusError::bad_request(format!(
                "{kind} in version \"{}\" cannot be handled as a {}: the kinds differ",
                resource.version, resource.kind
            )));
        }
        if resource.custom().is_some() && (kind.is_empty() || api_version.is_empty()) {
            let missing = if kind.is_empty() { "Kind" } else { "apiVersion" };
            return Err(StatusError::bad_request(format!(
                "the object provided is unrecognized (must be of type {}): Object '{missing}' is missing",
                resource.kind
            )));
        }
        map.insert("apiVersion".into(), expected.into());
        map.insert("kind".into(), resource.kind.clone().into());
        Ok(())
    }
}
