//! Label and field selectors over stored objects.

use serde_json::Value;

use crate::resource::{Origin, ResourceRef};
use crate::status::StatusError;
use crate::store::Object;

/// The selectors of one request.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    labels: Vec<(String, String)>,
    fields: Vec<FieldRequirement>,
}

#[derive(Debug)]
struct FieldRequirement {
    path: String,
    equal: bool,
    value: String,
}

impl Filter {
    /// Parses both selectors.
    ///
    /// # Errors
    /// 400 for a selector that breaks the grammar, or names a field that cannot be selected by.
    pub(crate) fn parse(resource: &ResourceRef, labels: &str, fields: &str) -> Result<Self, StatusError> {
        let mut filter = Self::default();
        for part in labels.split(',').filter(|part| !part.is_empty()) {
            let (key, value) = part
                .split_once('=')
                .ok_or_else(|| StatusError::bad_request(format!("unable to parse requirement: {part}")))?;
            filter
                .labels
                .push((key.trim().into(), value.trim_start_matches('=').trim().into()));
        }
        for part in fields.split(',').filter(|part| !part.is_empty()) {
            let (path, equal, value) = if let Some((path, value)) = part.split_once("!=") {
                (path, false, value)
            } else if let Some((path, value)) = part.split_once('=') {
                (path, true, value.trim_start_matches('='))
            } else {
                return Err(StatusError::bad_request(format!(
                    "invalid selector: '{part}'; can't understand it"
                )));
            };
            filter.fields.push(FieldRequirement {
                path: path.into(),
                equal,
                value: value.into(),
            });
        }
        Ok(filter)
    }

    pub(crate) fn require_name(&mut self, name: &str) {
        self.fields.push(FieldRequirement {
            path: "metadata.name".into(),
            equal: true,
            value: name.into(),
        });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Returns the only name that can match, if there is one.
    pub(crate) fn name(&self) -> Option<&str> {
        self.exact("metadata.name")
    }

    /// Returns the only namespace that can match, if there is one.
    pub(crate) fn namespace(&self) -> Option<&str> {
        self.exact("metadata.namespace")
    }

    fn exact(&self, path: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|field| field.equal && field.path == path)
            .map(|field| field.value.as_str())
    }

    pub(crate) fn matches_object(&self, resource: &ResourceRef, object: &Object) -> bool {
        self.is_empty() || self.matches(resource, &object.value())
    }

    fn matches(&self, resource: &ResourceRef, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        self.labels
            .iter()
            .all(|(key, value)| labels[key.as_str()] == *value)
            && self
                .fields
                .iter()
                .all(|field| (field_value(resource, object, &field.path) == field.value) == field.equal)
    }
}

/// Returns the text that a field selector compares; absent fields are empty, as upstream.
fn field_value(resource: &ResourceRef, object: &Value, path: &str) -> String {
    let _ = matches!(resource.origin, Origin::Builtin(_));
    let pointer = format!("/{}", path.replace('.', "/"));
    match object.pointer(&pointer) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}
