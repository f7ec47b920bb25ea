//! Persistent volumes, claims and storage classes.

use cluster_machinery::FieldError;
use serde_json::Value;

use super::path::Path;
use super::resources;
use super::rule::{Errors, immutable, one_of, required};
use crate::json::{at, items};

const ACCESS_MODES: [&str; 4] = [
    "ReadOnlyMany",
    "ReadWriteMany",
    "ReadWriteOnce",
    "ReadWriteOncePod",
];

/// Fields of a volume's spec that are not its source.
const NOT_SOURCES: [&str; 9] = [
    "accessModes",
    "capacity",
    "claimRef",
    "mountOptions",
    "nodeAffinity",
    "persistentVolumeReclaimPolicy",
    "storageClassName",
    "volumeAttributesClassName",
    "volumeMode",
];

fn access_modes(errors: &mut Errors, spec: &Value, path: &Path) {
    let modes = items(spec, &["accessModes"]);
    let path = path.child("accessModes");
    if modes.is_empty() {
        errors.push(FieldError::required(&path, "at least 1 access mode is required"));
    }
    for mode in modes
        .iter()
        .filter(|mode| !mode.as_str().is_some_and(|mode| ACCESS_MODES.contains(&mode)))
    {
        errors.push(FieldError::not_supported(&path, mode, &ACCESS_MODES));
    }
}

pub(super) fn claim(errors: &mut Errors, object: &Value) {
    let path = Path::new("spec");
    let spec = at(object, &["spec"]).unwrap_or(&Value::Null);
    access_modes(errors, spec, &path);
    let requests = path.child("resources");
    if at(spec, &["resources", "requests", "storage"]).is_none() {
        errors.push(FieldError::required(requests.key("storage"), ""));
    }
    resources::quantities(
        errors,
        spec,
        &["resources", "requests"],
        &requests.child("requests"),
        false,
    );
    one_of(errors, spec, &path, "volumeMode", &["Block", "Filesystem"]);
}

pub(super) fn update_claim(errors: &mut Errors, new: &Value, old: &Value) {
    let fixed = |object: &Value, binding: bool| {
        let mut spec = at(object, &["spec"]).cloned().unwrap_or_default();
        if let Some(fields) = spec.as_object_mut() {
            fields.remove("resources");
            fields.remove("volumeAttributesClassName");
            // The volume is filled in once, by whoever binds the claim.
            if binding {
                fields.remove("volumeName");
            }
        }
        spec
    };
    let binding = at(old, &["spec", "volumeName"]).is_none();
    if fixed(new, binding) != fixed(old, binding) {
        errors.push(FieldError::forbidden(
            "spec",
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims",
        ));
    }
}

pub(super) fn volume(errors: &mut Errors, object: &Value) {
    let path = Path::new("spec");
    let spec = at(object, &["spec"]).unwrap_or(&Value::Null);
    access_modes(errors, spec, &path);
    required(errors, spec, &path, "capacity");
    resources::quantities(errors, spec, &["capacity"], &path.child("capacity"), false);
    one_of(
        errors,
        spec,
        &path,
        "persistentVolumeReclaimPolicy",
        &["Delete", "Recycle", "Retain"],
    );
    one_of(errors, spec, &path, "volumeMode", &["Block", "Filesystem"]);
    let mut sources = spec
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, _)| !NOT_SOURCES.contains(&key.as_str()));
    if sources.next().is_none() {
        errors.push(FieldError::required(&path, "must specify a volume type"));
    }
    for (extra, _) in sources {
        errors.push(FieldError::forbidden(
            path.child(extra),
            "may not specify more than 1 volume type",
        ));
    }
}

pub(super) fn update_volume(errors: &mut Errors, new: &Value, old: &Value) {
    let source = |object: &Value| {
        let mut spec = at(object, &["spec"]).cloned().unwrap_or_default();
        if let Some(fields) = spec.as_object_mut() {
            fields.retain(|key, _| !NOT_SOURCES.contains(&key.as_str()));
        }
        spec
    };
    if source(new) != source(old) {
        errors.push(FieldError::forbidden(
            "spec.persistentvolumesource",
            "spec.persistentvolumesource is immutable after creation",
        ));
    }
    immutable(errors, new, old, &["spec", "volumeMode"]);
}

pub(super) fn class(errors: &mut Errors, object: &Value) {
    required(errors, object, &Path::new(""), "provisioner");
    one_of(
        errors,
        object,
        &Path::new(""),
        "reclaimPolicy",
        &["Delete", "Retain"],
    );
    one_of(
        errors,
        object,
        &Path::new(""),
        "volumeBindingMode",
        &["Immediate", "WaitForFirstConsumer"],
    );
}

pub(super) fn update_class(errors: &mut Errors, new: &Value, old: &Value) {
    for field in ["parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"] {
        if new.get(field) != old.get(field) {
            errors.push(FieldError::forbidden(
                field,
                &format!("updates to {field} are forbidden."),
            ));
        }
    }
}
