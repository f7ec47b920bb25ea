//! Label and field selectors over stored objects.

use std::borrow::Cow;

use cluster_machinery::selector::{FieldSelector, LabelSelector};
use serde_json::Value;

use crate::registry::Shown;
use crate::resource::{Origin, ResourceRef};
use crate::status::StatusError;

/// The selectors of one request.
#[derive(Debug)]
pub(crate) struct Filter {
    labels: LabelSelector,
    fields: FieldSelector,
    /// The name in the path of a watch on a single object.
    name: Option<String>,
}

impl Filter {
    /// Parses both selectors.
    ///
    /// # Errors
    /// 400 for a selector that breaks the grammar, or names a field that cannot be selected by.
    pub(crate) fn parse(resource: &ResourceRef, labels: &str, fields: &str) -> Result<Self, StatusError> {
        let labels =
            LabelSelector::parse(labels).map_err(|error| StatusError::bad_request(error.to_string()))?;
        let fields =
            FieldSelector::parse(fields).map_err(|error| StatusError::bad_request(error.to_string()))?;
        for requirement in fields.requirements() {
            if !selectable(resource, &requirement.path) {
                return Err(StatusError::bad_request(format!(
                    "field label not supported: {}",
                    requirement.path
                )));
            }
        }
        Ok(Self {
            labels,
            fields,
            name: None,
        })
    }

    pub(crate) fn require_name(&mut self, name: &str) {
        self.name = Some(name.to_owned());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_everything() && self.fields.is_everything() && self.name.is_none()
    }

    /// Returns the only name that can match, if there is one.
    pub(crate) fn name(&self) -> Option<&str> {
        self.name
            .as_deref()
            .or_else(|| self.fields.requires("metadata.name"))
    }

    /// Returns the only namespace that can match, if there is one.
    pub(crate) fn namespace(&self) -> Option<&str> {
        self.fields.requires("metadata.namespace")
    }

    /// Returns whether both selectors match an object of this version.
    pub(crate) fn matches(&self, resource: &ResourceRef, object: &Shown) -> bool {
        if self.is_empty() {
            return true;
        }
        let object = match object {
            Shown::Stored(raw) => Cow::Owned(self.needed(resource, raw)),
            object => object.value(),
        };
        let object = &*object;
        self.labels.matches_object(object)
            && self.fields.matches_with(|path| field(resource, object, path))
            && self
                .name
                .as_deref()
                .is_none_or(|name| name == crate::meta::name(object))
    }

    /// What of a stored object the selectors look at. Every event of a watch passes here, and large objects change often.
    fn needed(&self, resource: &ResourceRef, raw: &[u8]) -> Value {
        let text = std::str::from_utf8(raw).unwrap_or_default();
        let requirements = self.fields.requirements();
        let owned: Vec<Vec<&str>> = requirements
            .iter()
            .flat_map(|requirement| paths(resource, &requirement.path))
            .collect();
        let mut paths: Vec<&[&str]> = owned.iter().map(Vec::as_slice).collect();
        paths.extend([
            &["metadata", "name"][..],
            &["metadata", "namespace"],
            &["metadata", "labels"],
        ]);
        crate::meta::pick(text, &paths)
    }
}

/// Returns whether a field selector may name this path.
fn selectable(resource: &ResourceRef, path: &str) -> bool {
    match path {
        "metadata.name" => true,
        "metadata.namespace" => resource.namespaced,
        _ => match &resource.origin {
            Origin::Builtin(kind) => kind.field_label(&Value::Null, path).is_some(),
            Origin::Custom(custom) => custom
                .selectable
                .iter()
                .any(|known| known.strip_prefix('.') == Some(path)),
        },
    }
}

/// Returns the text that a field selector compares.
fn field(resource: &ResourceRef, object: &Value, path: &str) -> Option<String> {
    match (&resource.origin, path) {
        (_, "metadata.name") => Some(crate::meta::name(object).to_owned()),
        (_, "metadata.namespace") => Some(crate::meta::namespace(object).to_owned()),
        (Origin::Builtin(kind), _) => kind.field_label(object, path),
        (Origin::Custom(_), _) => match object.pointer(&format!("/{}", path.replace('.', "/")))? {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        },
    }
}

/// Returns where [`field`] finds what it reads, besides the metadata that is always read.
fn paths<'a>(resource: &ResourceRef, path: &'a str) -> Vec<Vec<&'a str>> {
    match &resource.origin {
        Origin::Builtin(kind) => kind.field_paths(path).into_iter().map(<[_]>::to_vec).collect(),
        Origin::Custom(_) => vec![path.split('.').collect()],
    }
}
