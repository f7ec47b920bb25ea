//! Metadata of every object: names, labels, annotations, owners, finalizers.

use cluster_machinery::FieldError;
use serde_json::{Value, json};

use super::names::{self, Problems};
use super::path::Path;
use super::rule::{Errors, invalid};
use crate::json::{entries, flag, items, text};
use crate::kind::Kind;

/// All annotations of an object together, in bytes.
const MAX_ANNOTATIONS: usize = 256 * 1024;

/// How objects of a kind may be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameRule {
    /// Dot-separated lower-case labels, the rule of most kinds.
    Subdomain,
    /// One lower-case label.
    Label,
    /// One lower-case label that begins with a letter.
    Label1035,
    /// Anything that can be one segment of a path.
    PathSegment,
}

impl NameRule {
    fn problems(self, name: &str) -> Problems {
        match self {
            Self::Subdomain => names::subdomain(name),
            Self::Label => names::label(name),
            Self::Label1035 => names::label_1035(name),
            Self::PathSegment => names::path_segment(name),
        }
    }
}

/// The rule for names of a built-in kind.
pub(super) fn name_rule(kind: &Kind) -> NameRule {
    match (kind.group, kind.kind) {
        ("", "Namespace") => NameRule::Label,
        ("", "Service") => NameRule::Label1035,
        ("rbac.authorization.k8s.io", _) => NameRule::PathSegment,
        _ => NameRule::Subdomain,
    }
}

/// Checks the metadata of any object, built-in or custom. The name must have been generated already.
pub fn validate_metadata(object: &Value, rule: NameRule) -> Vec<FieldError> {
    let mut errors = Errors::new();
    let path = Path::new("metadata");
    let name = text(object, &["metadata", "name"]);
    if name.is_empty() {
        errors.push(FieldError::required(
            path.child("name"),
            "name or generateName is required",
        ));
    } else {
        invalid(&mut errors, &path.child("name"), name, rule.problems(name));
    }
    labels(
        &mut errors,
        object,
        &["metadata", "labels"],
        &path.child("labels"),
    );
    annotations(
        &mut errors,
        object,
        &["metadata", "annotations"],
        &path.child("annotations"),
    );
    owners(&mut errors, object, &path.child("ownerReferences"));
    for finalizer in items(object, &["metadata", "finalizers"])
        .iter()
        .filter_map(Value::as_str)
    {
        invalid(
            &mut errors,
            &path.child("finalizers"),
            finalizer,
            names::qualified(finalizer),
        );
    }
    errors
}

/// Checks a map of labels.
pub(super) fn labels(errors: &mut Errors, object: &Value, fields: &[&str], path: &Path) {
    for (key, value) in entries(object, fields) {
        invalid(errors, path, key, names::qualified(key));
        let value = value.as_str().unwrap_or_default();
        invalid(errors, path, value, names::label_value(value));
    }
}

/// Checks a map of annotations: keys are like those of labels in any case, values are limited together.
pub(super) fn annotations(errors: &mut Errors, object: &Value, fields: &[&str], path: &Path) {
    let mut size = 0;
    for (key, value) in entries(object, fields) {
        invalid(errors, path, key, names::qualified(&key.to_lowercase()));
        size += key.len() + value.as_str().unwrap_or_default().len();
    }
    if size > MAX_ANNOTATIONS {
        errors.push(FieldError::too_long(path, MAX_ANNOTATIONS as u64));
    }
}

fn owners(errors: &mut Errors, object: &Value, path: &Path) {
    let owners = items(object, &["metadata", "ownerReferences"]);
    for owner in owners {
        if text(owner, &["apiVersion"]).is_empty() {
            errors.push(FieldError::invalid(
                path.child("apiVersion"),
                &json!(""),
                "version must not be empty",
            ));
        }
        for (field, problem) in [
            ("kind", "must not be empty"),
            ("name", "must not be empty"),
            ("uid", "must not be empty"),
        ] {
            if text(owner, &[field]).is_empty() {
                errors.push(FieldError::invalid(path.child(field), &json!(""), problem));
            }
        }
    }
    let mut controllers = owners.iter().filter(|owner| flag(owner, &["controller"]));
    if let (Some(first), Some(second)) = (controllers.next(), controllers.next()) {
        errors.push(FieldError::invalid(
            path,
            &Value::Array(owners.to_vec()),
            &format!(
                "Only one reference can have Controller set to true. Found \"true\" in references for {}/{} and {}/{}",
                text(first, &["kind"]),
                text(first, &["name"]),
                text(second, &["kind"]),
                text(second, &["name"]),
            ),
        ));
    }
}

/// Checks the label selector of a workload.
pub(super) fn label_selector(errors: &mut Errors, selector: &Value, path: &Path) {
    labels(errors, selector, &["matchLabels"], &path.child("matchLabels"));
    for (index, expression) in items(selector, &["matchExpressions"]).iter().enumerate() {
        let path = path.child("matchExpressions").index(index);
        let values = items(expression, &["values"]);
        match text(expression, &["operator"]) {
            "In" | "NotIn" if values.is_empty() => errors.push(FieldError::required(
                path.child("values"),
                "must be specified when `operator` is 'In' or 'NotIn'",
            )),
            "Exists" | "DoesNotExist" if !values.is_empty() => errors.push(FieldError::forbidden(
                path.child("values"),
                "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
            )),
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => errors.push(FieldError::invalid(
                path.child("operator"),
                &json!(other),
                "not a valid selector operator",
            )),
        }
        let key = text(expression, &["key"]);
        invalid(errors, &path.child("key"), key, names::qualified(key));
        for (index, value) in values.iter().enumerate() {
            let value = value.as_str().unwrap_or_default();
            invalid(
                errors,
                &path.child("values").index(index),
                value,
                names::label_value(value),
            );
        }
    }
}
