//! Persistent volumes, claims and storage classes.

use super::quantity::{canonical_map, canonical_resources};
use crate::json::{Object, object_mut, object_or_new, set_absent, set_zero};

pub(super) fn volume(object: &mut Object) {
    if let Some(status) = object_or_new(object, "status") {
        set_zero(status, "phase", "Pending");
    }
    let Some(spec) = object_mut(object, "spec") else {
        return;
    };
    set_zero(spec, "persistentVolumeReclaimPolicy", "Retain");
    canonical_map(spec, "capacity");
    set_absent(spec, "volumeMode", "Filesystem");
    for (name, source) in spec.iter_mut() {
        if let Some(source) = source.as_object_mut() {
            super::pod::volume_source(name, source);
        }
    }
}

pub(super) fn claim(object: &mut Object) {
    if let Some(status) = object_or_new(object, "status") {
        set_zero(status, "phase", "Pending");
    }
    if let Some(spec) = object_mut(object, "spec") {
        claim_spec(spec);
    }
}

pub(super) fn claim_spec(spec: &mut Object) {
    set_absent(spec, "volumeMode", "Filesystem");
    object_or_new(spec, "resources");
    canonical_resources(spec);
}

pub(super) fn class(object: &mut Object) {
    set_absent(object, "reclaimPolicy", "Delete");
    set_absent(object, "volumeBindingMode", "Immediate");
}
