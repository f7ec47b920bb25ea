//! What v1 has no place for, in an annotation.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Fields;
use super::places::Place;

/// Annotation of a v1 object: JSON of what only v1beta1 has, by place.
pub const ANNOTATION: &str = "spindrift.dev/v1beta1";

/// What is kept, in the order of the object's parts.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Kept(Vec<Entry>);

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    at: Place,
    fields: Fields,
}

impl Kept {
    /// Keeps fields of a part, if there are any.
    pub(super) fn keep(&mut self, at: &Place, fields: Fields) {
        if !fields.is_empty() {
            self.0.push(Entry {
                at: at.clone(),
                fields,
            });
        }
    }

    /// Returns what was kept of a part.
    pub(super) fn at(&self, place: &Place) -> Option<&Fields> {
        let found = self.0.iter().find(|entry| entry.at == *place)?;
        Some(&found.fields)
    }

    /// Takes the annotation off an object. One that cannot be read keeps nothing.
    pub(super) fn take(object: &mut Value) -> Self {
        let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else {
            return Self::default();
        };
        let Some(Value::Object(annotations)) = metadata.get_mut("annotations") else {
            return Self::default();
        };
        let Some(text) = annotations.remove(ANNOTATION) else {
            return Self::default();
        };
        if annotations.is_empty() {
            metadata.remove("annotations");
        }
        let text = text.as_str().unwrap_or_default();
        serde_json::from_str(text).unwrap_or_default()
    }

    /// Writes the annotation, if anything is kept. An object whose metadata is none stays without it.
    pub(super) fn write(&self, object: &mut Value) {
        if self.0.is_empty() {
            return;
        }
        let Ok(text) = serde_json::to_string(self) else {
            return;
        };
        let Some(object) = object.as_object_mut() else {
            return;
        };
        let metadata = object.entry("metadata").or_insert_with(|| json!({}));
        let Some(metadata) = metadata.as_object_mut() else {
            return;
        };
        let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
        if annotations.is_null() {
            *annotations = json!({});
        }
        if let Some(annotations) = annotations.as_object_mut() {
            annotations.insert(ANNOTATION.to_owned(), text.into());
        }
    }
}
