//! Workspaces: those that are declared, used and bound.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{FieldError, FieldErrors, references, unique_names};
use crate::resource::{field, list, text};

/// Checks the workspaces that a task declares, and which of its steps and sidecars name them.
pub(super) fn of_task(spec: &Value) -> FieldErrors {
    let declared = list(spec, "workspaces");
    let mut errors = unique_names(declared);
    let mut paths: BTreeSet<String> = mount_paths(field(spec, "stepTemplate")).collect();
    for step in list(spec, "steps") {
        paths.extend(mount_paths(step));
    }
    for (index, workspace) in declared.iter().enumerate() {
        let path = match text(workspace, "mountPath") {
            "" => format!("/workspace/{}", text(workspace, "name")),
            path => path.trim_end_matches('/').to_owned(),
        };
        if !paths.insert(path.clone()) {
            let message = format!("workspace mount path {path:?} must be unique");
            errors.also(FieldError::new(message, "mountPath").via_index(index));
        }
    }
    let mut errors = errors.via_field("workspaces");
    let names: BTreeSet<&str> = declared.iter().map(|workspace| text(workspace, "name")).collect();
    for containers in ["steps", "sidecars"] {
        for (index, container) in list(spec, containers).iter().enumerate() {
            let unknown = list(container, "workspaces")
                .iter()
                .enumerate()
                .filter(|(_, usage)| !names.contains(text(usage, "name")));
            for (at, usage) in unknown {
                let message = format!("undefined workspace {:?}", text(usage, "name"));
                let error = FieldErrors::from(FieldError::new(message, "name"));
                errors.also(
                    error
                        .via_field_index("workspaces", at)
                        .via_field_index(containers, index),
                );
            }
        }
    }
    errors
}

fn mount_paths(container: &Value) -> impl Iterator<Item = String> {
    list(container, "volumeMounts")
        .iter()
        .map(|mount| text(mount, "mountPath").trim_end_matches('/').to_owned())
}

/// The volumes of which a binding has one.
const VOLUMES: [&str; 7] = [
    "volumeClaimTemplate",
    "persistentVolumeClaim",
    "emptyDir",
    "configMap",
    "secret",
    "projected",
    "csi",
];

/// Checks what a run binds.
pub(super) fn bindings(spec: &Value) -> FieldErrors {
    let bound = list(spec, "workspaces");
    let mut errors = unique_names(bound);
    for (index, binding) in bound.iter().enumerate() {
        errors.also(volume(binding).via_index(index));
    }
    errors.via_field("workspaces")
}

fn volume(binding: &Value) -> FieldErrors {
    if let Some(error) = references::exactly_one(binding, &VOLUMES) {
        return error.into();
    }
    for (volume, name) in [
        ("persistentVolumeClaim", "claimName"),
        ("configMap", "name"),
        ("secret", "secretName"),
        ("csi", "driver"),
    ] {
        if binding.get(volume).is_some_and(Value::is_object) && text(field(binding, volume), name).is_empty()
        {
            return FieldError::missing(name).via_field(volume).into();
        }
    }
    let projected = field(binding, "projected");
    let lacks = projected.is_object() && list(projected, "sources").is_empty();
    lacks
        .then(|| FieldError::missing("sources").via_field("projected"))
        .into()
}
