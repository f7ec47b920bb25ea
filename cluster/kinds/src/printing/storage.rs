//! Persistent volumes, claims and storage classes.

use jiff::Timestamp;
use serde_json::Value;

use super::text::or;
use super::{age, name};
use crate::json::{at, flag, items, text};

/// Annotation that named the class before there was a field.
const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";
/// Annotation that marks the class of claims without one.
const DEFAULT_CLASS: [&str; 2] = [
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
];

pub(super) fn volume(object: &Value, now: Timestamp) -> Vec<Value> {
    let claim = match at(object, &["spec", "claimRef"]) {
        Some(claim) => format!("{}/{}", text(claim, &["namespace"]), text(claim, &["name"])),
        None => String::new(),
    };
    vec![
        name(object),
        or(text(object, &["spec", "capacity", "storage"]), "0").into(),
        access_modes(items(object, &["spec", "accessModes"])).into(),
        text(object, &["spec", "persistentVolumeReclaimPolicy"]).into(),
        phase(object).into(),
        claim.into(),
        class_name(object).into(),
        or(text(object, &["spec", "volumeAttributesClassName"]), "<unset>").into(),
        text(object, &["status", "reason"]).into(),
        age(object, now),
        or(text(object, &["spec", "volumeMode"]), "<unset>").into(),
    ]
}

pub(super) fn claim(object: &Value, now: Timestamp) -> Vec<Value> {
    let volume = text(object, &["spec", "volumeName"]);
    // Until it is bound, a claim has neither capacity nor modes.
    let (capacity, modes) = if volume.is_empty() {
        ("", String::new())
    } else {
        (
            or(text(object, &["status", "capacity", "storage"]), "0"),
            access_modes(items(object, &["status", "accessModes"])),
        )
    };
    vec![
        name(object),
        phase(object).into(),
        volume.into(),
        capacity.into(),
        modes.into(),
        class_name(object).into(),
        or(text(object, &["spec", "volumeAttributesClassName"]), "<unset>").into(),
        age(object, now),
        or(text(object, &["spec", "volumeMode"]), "<unset>").into(),
    ]
}

pub(super) fn class(object: &Value, now: Timestamp) -> Vec<Value> {
    let default = DEFAULT_CLASS
        .iter()
        .any(|annotation| text(object, &["metadata", "annotations", annotation]) == "true");
    let suffix = if default { " (default)" } else { "" };
    vec![
        format!("{}{suffix}", text(object, &["metadata", "name"])).into(),
        text(object, &["provisioner"]).into(),
        or(text(object, &["reclaimPolicy"]), "Delete").into(),
        or(text(object, &["volumeBindingMode"]), "<unset>").into(),
        flag(object, &["allowVolumeExpansion"]).into(),
        age(object, now),
    ]
}

fn phase(object: &Value) -> &str {
    match at(object, &["metadata", "deletionTimestamp"]) {
        Some(_) => "Terminating",
        None => text(object, &["status", "phase"]),
    }
}

fn class_name(object: &Value) -> &str {
    or(
        text(object, &["metadata", "annotations", CLASS_ANNOTATION]),
        text(object, &["spec", "storageClassName"]),
    )
}

/// Abbreviates access modes, in the order upstream fixed.
fn access_modes(modes: &[Value]) -> String {
    let known = [
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ];
    let shown: Vec<&str> = known
        .iter()
        .filter(|(mode, _)| modes.iter().any(|found| found == mode))
        .map(|(_, short)| *short)
        .collect();
    shown.join(",")
}
