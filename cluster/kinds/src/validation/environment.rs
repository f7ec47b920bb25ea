//! Environment variables of containers.

use cluster_machinery::FieldError;
use serde_json::{Value, json};

use super::names;
use super::path::Path;
use super::rule::{Errors, invalid, required};
use crate::json::{items, text};

/// Sources of a variable's value.
const SOURCES: [&str; 5] = [
    "fieldRef",
    "resourceFieldRef",
    "configMapKeyRef",
    "secretKeyRef",
    "fileKeyRef",
];

/// Fields of a pod that a variable may show; labels and annotations by key come on top.
const FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

pub(super) fn environment(errors: &mut Errors, container: &Value, path: &Path) {
    for (index, variable) in items(container, &["env"]).iter().enumerate() {
        let path = path.child("env").index(index);
        if required(errors, variable, &path, "name") {
            let name = text(variable, &["name"]);
            invalid(
                errors,
                &path.child("name"),
                name,
                names::environment_variable(name),
            );
        }
        if let Some(source) = variable.get("valueFrom") {
            value_from(errors, variable, source, &path.child("valueFrom"));
        }
    }
    for (index, source) in items(container, &["envFrom"]).iter().enumerate() {
        let path = path.child("envFrom").index(index);
        let found: Vec<&str> = ["configMapRef", "secretRef"]
            .into_iter()
            .filter(|field| source.get(*field).is_some())
            .collect();
        match found.as_slice() {
            [] => errors.push(FieldError::invalid(
                &path,
                &json!(""),
                "must specify one of: `configMapRef` or `secretRef`",
            )),
            [one] => {
                if let Some(reference) = source.get(*one) {
                    required(errors, reference, &path.child(one), "name");
                }
            }
            _ => errors.push(FieldError::invalid(
                &path,
                &json!(""),
                "may not have more than one field specified at a time",
            )),
        }
    }
}

fn value_from(errors: &mut Errors, variable: &Value, source: &Value, path: &Path) {
    let mut found = SOURCES.into_iter().filter(|field| source.get(*field).is_some());
    let first = found.next();
    let problem = match first {
        None => Some(
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
        ),
        Some(_) if !text(variable, &["value"]).is_empty() => {
            Some("may not be specified when `value` is not empty")
        }
        Some(_) if found.next().is_some() => Some("may not have more than one field specified at a time"),
        Some(_) => None,
    };
    if let Some(problem) = problem {
        errors.push(FieldError::invalid(path, &json!(""), problem));
    }
    for field in ["configMapKeyRef", "secretKeyRef"] {
        if let Some(reference) = source.get(field) {
            let path = path.child(field);
            if required(errors, reference, &path, "key") {
                let key = text(reference, &["key"]);
                invalid(errors, &path.child("key"), key, names::config_key(key));
            }
        }
    }
    if let Some(reference) = source.get("fieldRef") {
        field_reference(errors, reference, &path.child("fieldRef"));
    }
    if let Some(reference) = source.get("resourceFieldRef") {
        required(errors, reference, &path.child("resourceFieldRef"), "resource");
    }
}

fn field_reference(errors: &mut Errors, reference: &Value, path: &Path) {
    if !required(errors, reference, path, "fieldPath") {
        return;
    }
    let field = text(reference, &["fieldPath"]);
    let keyed = ["metadata.labels['", "metadata.annotations['"]
        .iter()
        .any(|prefix| field.starts_with(prefix));
    if !(FIELDS.contains(&field) || keyed && field.ends_with("']")) {
        errors.push(FieldError::invalid(
            path.child("fieldPath"),
            &json!(field),
            &format!("error converting fieldPath: field label not supported: {field}"),
        ));
    }
}
