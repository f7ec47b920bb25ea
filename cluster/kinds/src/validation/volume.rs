//! Volumes of a pod.

use std::collections::BTreeSet;

use cluster_machinery::FieldError;
use serde_json::{Value, json};

use super::container::descending;
use super::names;
use super::path::Path;
use super::rule::{Errors, required, required_name};
use crate::json::{at, items, text};

/// Checks the volumes of a pod spec and returns the names that can be mounted.
pub(super) fn volumes<'a>(errors: &mut Errors, spec: &'a Value, path: &Path) -> BTreeSet<&'a str> {
    let mut names = BTreeSet::new();
    for (index, volume) in items(spec, &["volumes"]).iter().enumerate() {
        let path = path.child("volumes").index(index);
        required_name(errors, volume, &path, "name", names::label);
        let name = text(volume, &["name"]);
        if !name.is_empty() && !names.insert(name) {
            errors.push(FieldError::duplicate(path.child("name"), &json!(name)));
        }
        source(errors, volume, &path);
    }
    names
}

fn source(errors: &mut Errors, volume: &Value, path: &Path) {
    let mut sources = volume
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, _)| *key != "name");
    if sources.next().is_none() {
        errors.push(FieldError::required(path, "must specify a volume type"));
    }
    for (extra, _) in sources {
        errors.push(FieldError::forbidden(
            path.child(extra),
            "may not specify more than 1 volume type",
        ));
    }
    for (kind, field) in [
        ("secret", "secretName"),
        ("configMap", "name"),
        ("persistentVolumeClaim", "claimName"),
        ("hostPath", "path"),
        ("nfs", "server"),
        ("nfs", "path"),
        ("csi", "driver"),
    ] {
        if let Some(source) = volume.get(kind) {
            required(errors, source, &path.child(kind), field);
        }
    }
    for kind in ["secret", "configMap"] {
        if let Some(source) = volume.get(kind) {
            keys(errors, source, &path.child(kind));
        }
    }
    if let Some(projected) = volume.get("projected") {
        for (index, projection) in items(projected, &["sources"]).iter().enumerate() {
            let path = path.child("projected").child("sources").index(index);
            for kind in ["secret", "configMap"] {
                if let Some(source) = projection.get(kind) {
                    required(errors, source, &path.child(kind), "name");
                    keys(errors, source, &path.child(kind));
                }
            }
            if let Some(token) = projection.get("serviceAccountToken") {
                required(errors, token, &path.child("serviceAccountToken"), "path");
            }
        }
    }
    if let Some(size) = at(volume, &["emptyDir", "sizeLimit"])
        && super::resources::quantity(size).is_none_or(|size| size.milli() < 0)
    {
        let path = path.child("emptyDir").child("sizeLimit");
        errors.push(FieldError::forbidden(
            path,
            "SizeLimit field must be a valid resource quantity",
        ));
    }
}

fn keys(errors: &mut Errors, source: &Value, path: &Path) {
    for (index, item) in items(source, &["items"]).iter().enumerate() {
        let path = path.child("items").index(index);
        required(errors, item, &path, "key");
        if required(errors, item, &path, "path") {
            descending(errors, text(item, &["path"]), &path.child("path"));
        }
    }
}
