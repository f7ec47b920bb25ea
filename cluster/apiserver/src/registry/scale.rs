//! The `scale` subresource: one number of many kinds, in one shape.

use cluster_machinery::patch;
use cluster_machinery::selector::LabelSelector;
use serde_json::{Value, json};

use super::{Answer, Call, Patch, Registry};
use crate::meta;
use crate::resource::{Resource, ScalePaths};
use crate::status::StatusError;

impl Registry {
    /// Reads the scale of an object.
    pub(crate) async fn get_scale(&self, call: &Call) -> Result<Answer, StatusError> {
        let object = self.presented(call, &*self.find(call)?).await?;
        Ok(Answer::Other {
            code: 200,
            value: scale_of(&call.resource, &object)?,
        })
    }

    /// Replaces the scale of an object.
    pub(crate) async fn replace_scale(&self, call: &mut Call, body: Value) -> Result<Answer, StatusError> {
        self.write_scale(call, &mut |_, scale| {
            *scale = body.clone();
            Ok(())
        })
        .await
    }

    /// Patches the scale of an object.
    pub(crate) async fn patch_scale(&self, call: &mut Call, patch: Patch) -> Result<Answer, StatusError> {
        self.write_scale(call, &mut |_, scale| {
            let result = match &patch {
                Patch::Json(patch) => patch::json(scale, patch),
                // A scale has no lists, so the other forms mean the same as a merge.
                Patch::Merge(patch) | Patch::Strategic(patch) | Patch::Apply(patch) => {
                    patch::merge(scale, patch)
                }
            };
            result.map_err(|error| StatusError::new(error.status_code(), "Invalid", error.to_string()))
        })
        .await
    }

    async fn write_scale(
        &self,
        call: &mut Call,
        change: &mut (dyn FnMut(&Registry, &mut Value) -> Result<(), StatusError> + Send),
    ) -> Result<Answer, StatusError> {
        let answer = self
            .modify(call, &mut |registry, call, current| {
                let mut scale = scale_of(&call.resource, current)?;
                change(registry, &mut scale)?;
                let mut next = current.clone();
                let replicas = scale
                    .pointer("/spec/replicas")
                    .and_then(Value::as_i64)
                    .unwrap_or(0);
                if replicas < 0 {
                    let error = cluster_machinery::FieldError::invalid(
                        "spec.replicas",
                        &replicas.into(),
                        "must be greater than or equal to 0",
                    );
                    let kind = crate::status::Subject {
                        group: "autoscaling",
                        resource: "Scale",
                    };
                    return Err(StatusError::invalid(kind, &call.name, vec![error]));
                }
                set_path(&mut next, &paths(&call.resource)?.spec_replicas, replicas.into());
                let version = scale.pointer("/metadata/resourceVersion").cloned();
                meta::set(meta::metadata_mut(&mut next), "resourceVersion", version);
                Ok(next)
            })
            .await?;
        match answer {
            Answer::Object { code, raw } => {
                let object: Value = serde_json::from_slice(&raw).unwrap_or_default();
                Ok(Answer::Other {
                    code,
                    value: scale_of(&call.resource, &object)?,
                })
            }
            other => Ok(other),
        }
    }
}

/// Writes the number of a scale into the object that it is of.
pub(super) fn set_replicas(
    resource: &Resource,
    object: &mut Value,
    scale: &Value,
) -> Result<(), StatusError> {
    let replicas = scale
        .pointer("/spec/replicas")
        .and_then(Value::as_i64)
        .unwrap_or(0);
    set_path(object, &paths(resource)?.spec_replicas, replicas.into());
    Ok(())
}

fn paths(resource: &Resource) -> Result<ScalePaths, StatusError> {
    match resource.custom() {
        Some(custom) => custom.scale.clone().ok_or_else(StatusError::method_not_allowed),
        None => Ok(ScalePaths {
            spec_replicas: ".spec.replicas".into(),
            status_replicas: ".status.replicas".into(),
            selector: None,
        }),
    }
}

pub(super) fn scale_of(resource: &Resource, object: &Value) -> Result<Value, StatusError> {
    let paths = paths(resource)?;
    let number = |path: &str| {
        object
            .pointer(&pointer(path))
            .and_then(Value::as_i64)
            .unwrap_or(0)
    };
    let selector = match (&paths.selector, resource.custom()) {
        (Some(path), _) => object
            .pointer(&pointer(path))
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        (None, Some(_)) => String::new(),
        (None, None) => selector_text(&object["spec"]["selector"]),
    };
    let mut metadata = serde_json::Map::new();
    for key in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        meta::set(&mut metadata, key, object["metadata"].get(key).cloned());
    }
    let mut status = json!({"replicas": number(&paths.status_replicas)});
    if !selector.is_empty() {
        status["selector"] = selector.into();
    }
    Ok(json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": metadata,
        "spec": {"replicas": number(&paths.spec_replicas)},
        "status": status,
    }))
}

/// Writes a selector as a query parameter would have it; a ReplicationController's is a plain map.
fn selector_text(selector: &Value) -> String {
    let is_structured = selector.get("matchLabels").is_some() || selector.get("matchExpressions").is_some();
    let parsed = if is_structured {
        LabelSelector::from_json(selector)
    } else {
        LabelSelector::from_labels(selector)
    };
    parsed.map(|selector| selector.to_string()).unwrap_or_default()
}

/// Turns `.spec.replicas` into `/spec/replicas`.
fn pointer(path: &str) -> String {
    path.replace('.', "/")
}

fn set_path(object: &mut Value, path: &str, value: Value) {
    let mut target = object;
    let mut parts = path.split('.').filter(|part| !part.is_empty()).peekable();
    while let Some(part) = parts.next() {
        let map = meta::as_map(target);
        if parts.peek().is_none() {
            map.insert(part.to_owned(), value);
            return;
        }
        target = map.entry(part).or_insert(Value::Null);
    }
}
