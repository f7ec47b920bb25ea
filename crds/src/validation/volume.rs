//! Volumes of a template, and where its containers mount them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::mask::{only, only_with};
use super::{FieldError, FieldErrors};
use crate::config::Features;
use crate::dns;
use crate::resource::{field, get, list, text};

/// Paths that belong to the platform.
const RESERVED_PATHS: [&str; 3] = ["/", "/dev", "/dev/log"];

/// The volumes of a pod by name.
pub(super) struct Volumes<'v>(BTreeMap<&'v str, &'v Value>);

impl<'v> Volumes<'v> {
    /// Checks `spec.volumes`; the paths begin below it.
    pub(super) fn validate(spec: &'v Value, features: &Features) -> (Self, FieldErrors) {
        let mounted: BTreeSet<&str> = ["containers", "initContainers"]
            .into_iter()
            .flat_map(|name| list(spec, name))
            .flat_map(|container| list(container, "volumeMounts"))
            .map(|mount| text(mount, "name"))
            .collect();
        let mut volumes = BTreeMap::new();
        let mut errors = FieldErrors::default();
        for (index, volume) in list(spec, "volumes").iter().enumerate() {
            errors.also(disabled(volume, features));
            let name = text(volume, "name");
            let mut found = validate(volume, features);
            if volumes.contains_key(name) {
                found.also(FieldError::new(format!("duplicate volume name {name:?}"), "name"));
            }
            if !mounted.contains(name) {
                found.also(FieldError::new(
                    format!("volume with name {name:?} not mounted"),
                    "name",
                ));
            }
            errors.also(found.via_index(index));
            volumes.insert(name, volume);
        }
        (Self(volumes), errors)
    }

    /// Checks the mounts of a container; the paths begin below `volumeMounts`.
    pub(super) fn mounts(&self, container: &Value, features: &Features) -> FieldErrors {
        let mut errors = FieldErrors::default();
        let mut seen = BTreeSet::new();
        for (index, mount) in list(container, "volumeMounts").iter().enumerate() {
            errors.also(self.mount(mount, &mut seen, features).via_index(index));
        }
        errors
    }

    fn mount(&self, mount: &Value, seen: &mut BTreeSet<String>, features: &Features) -> FieldErrors {
        let propagation = features.pod_spec_volumes_mount_propagation;
        let mut errors = only_with(
            mount,
            &["name", "readOnly", "mountPath", "subPath"],
            &[("mountPropagation", propagation.is_allowed())],
        );
        let propagation_kind = text(mount, "mountPropagation");
        if propagation.is_allowed() && !matches!(propagation_kind, "" | "None" | "HostToContainer") {
            errors.also(FieldError::invalid(propagation_kind, "mountPropagation"));
        }
        let volume = self.0.get(text(mount, "name")).copied();
        if volume.is_none() {
            errors.also(FieldError::new("volumeMount has no matching volume", "name"));
        }
        errors.also(mount_path(text(mount, "mountPath"), seen));
        errors.also(volume.and_then(|volume| read_only(mount, volume)));
        errors
    }
}

fn mount_path(path: &str, seen: &mut BTreeSet<String>) -> Option<FieldError> {
    if path.is_empty() {
        return Some(FieldError::missing("mountPath"));
    }
    let clean = clean(path);
    let error = if RESERVED_PATHS.contains(&clean.as_str()) {
        Some(FieldError::new(
            format!("mountPath {clean:?} is a reserved path"),
            "mountPath",
        ))
    } else if !path.starts_with('/') {
        Some(FieldError::invalid(path, "mountPath"))
    } else if seen.contains(&clean) {
        Some(FieldError::invalid(
            format!("{path:?} must be unique"),
            "mountPath",
        ))
    } else {
        None
    };
    seen.insert(clean);
    error
}

fn read_only(mount: &Value, volume: &Value) -> Option<FieldError> {
    let mounted_read_only = mount.get("readOnly") == Some(&Value::Bool(true));
    if mounted_read_only {
        return None;
    }
    if let Some(claim) = get(volume, "persistentVolumeClaim") {
        let read_only = claim.get("readOnly") == Some(&Value::Bool(true));
        return read_only.then(|| FieldError::new("volume is readOnly but volume mount is not", "readOnly"));
    }
    let writable = crate::defaulting::is_writable(volume);
    (!writable).then(|| {
        FieldError::new(
            "volume mount should be readOnly for this type of volume",
            "readOnly",
        )
    })
}

/// The path without empty, `.` and `..` steps.
fn clean(path: &str) -> String {
    let mut steps: Vec<&str> = Vec::new();
    for step in path.split('/') {
        match step {
            "" | "." => {}
            ".." => {
                steps.pop();
            }
            step => steps.push(step),
        }
    }
    let root = if path.starts_with('/') { "/" } else { "" };
    format!("{root}{}", steps.join("/"))
}

/// Volumes whose flag is off are told without a path.
fn disabled(volume: &Value, features: &Features) -> FieldErrors {
    let mut errors = FieldErrors::default();
    let name = text(volume, "name");
    for (source, kind, flag) in flagged_sources(features) {
        if get(volume, source).is_some() && !flag {
            let message = format!("{kind} volume support is disabled, but found {kind} volume {name}");
            errors.also(FieldError::without_path(message));
        }
    }
    if let Some(claim) = get(volume, "persistentVolumeClaim") {
        let claim_name = text(claim, "claimName");
        if !features.pod_spec_persistent_volume_claim.is_enabled() {
            errors.also(FieldError::without_path(format!(
                "Persistent volume claim support is disabled, but found persistent volume claim {claim_name}"
            )));
        }
        let read_only = claim.get("readOnly") == Some(&Value::Bool(true));
        if !features.pod_spec_persistent_volume_write.is_enabled() && !read_only {
            errors.also(FieldError::without_path(format!(
                "Persistent volume write support is disabled, but found persistent volume claim {claim_name} that is \
                 not read-only"
            )));
        }
    }
    errors
}

fn flagged_sources(features: &Features) -> [(&'static str, &'static str, bool); 5] {
    [
        (
            "emptyDir",
            "EmptyDir",
            features.pod_spec_volumes_empty_dir.is_enabled(),
        ),
        (
            "hostPath",
            "HostPath",
            features.pod_spec_volumes_host_path.is_enabled(),
        ),
        ("csi", "CSI", features.pod_spec_volumes_csi.is_enabled()),
        (
            "ephemeral",
            "Ephemeral",
            features.pod_spec_volumes_ephemeral.is_enabled(),
        ),
        ("image", "Image", features.pod_spec_volumes_image.is_enabled()),
    ]
}

fn validate(volume: &Value, features: &Features) -> FieldErrors {
    let free = ["secret", "configMap", "projected"];
    let flagged = flagged_sources(features);
    let claim = (
        "persistentVolumeClaim",
        features.pod_spec_persistent_volume_claim.is_enabled(),
    );
    // Sources whose flag is off have been told; the mask is about those that no flag allows.
    let known = [
        "name",
        "secret",
        "configMap",
        "projected",
        "persistentVolumeClaim",
    ];
    let mut errors = only_with(volume, &known, &flagged.map(|(source, _, _)| (source, true)));
    let name = text(volume, "name");
    if name.is_empty() {
        errors.also(FieldError::missing("name"));
    } else if !dns::label_1123(name).is_empty() {
        errors.also(FieldError::invalid(name, "name"));
    }
    let all: Vec<&str> = free
        .into_iter()
        .chain(flagged.map(|(source, _, _)| source))
        .chain([claim.0])
        .collect();
    let given: Vec<&str> = all
        .iter()
        .copied()
        .filter(|source| get(volume, source).is_some())
        .collect();
    match given.as_slice() {
        [] => {
            let enabled = flagged
                .into_iter()
                .filter(|(_, _, on)| *on)
                .map(|(source, _, _)| source);
            let claim = claim.1.then_some(claim.0);
            let options: Vec<&str> = free.into_iter().chain(enabled).chain(claim).collect();
            errors.also(FieldError::missing_one_of(&options));
        }
        [_] => {}
        several => errors.also(FieldError::multiple_one_of(several)),
    }
    for source in ["secret", "configMap"] {
        errors.also(items(field(volume, source)));
    }
    for (index, source) in list(field(volume, "projected"), "sources").iter().enumerate() {
        errors.also(projection(source).via_field_index("projected", index));
    }
    let medium = text(field(volume, "emptyDir"), "medium");
    if !matches!(medium, "" | "Memory") {
        errors.also(FieldError::invalid(medium, "medium").via_field("emptyDir"));
    }
    errors
}

fn items(source: &Value) -> FieldErrors {
    let mut errors = FieldErrors::default();
    for (index, item) in list(source, "items").iter().enumerate() {
        let mut found = only(item, &["key", "path", "mode"]);
        found.extend(
            ["key", "path"]
                .into_iter()
                .filter(|name| text(item, name).is_empty())
                .map(FieldError::missing),
        );
        errors.also(found.via_field_index("items", index));
    }
    errors
}

fn projection(source: &Value) -> FieldErrors {
    let sources = ["secret", "configMap", "serviceAccountToken", "downwardAPI"];
    let mut errors = only(source, &sources);
    let given: Vec<&str> = sources
        .into_iter()
        .filter(|name| get(source, name).is_some())
        .collect();
    match given.as_slice() {
        [] => errors.also(FieldError::missing_one_of(&sources)),
        [_] => {}
        several => errors.also(FieldError::multiple_one_of(several)),
    }
    for name in ["secret", "configMap"] {
        let Some(part) = get(source, name) else { continue };
        let mut found = items(part);
        if text(part, "name").is_empty() {
            found.also(FieldError::missing("name"));
        }
        errors.also(found.via_field(name));
    }
    if let Some(token) = get(source, "serviceAccountToken")
        && text(token, "path").is_empty()
    {
        errors.also(FieldError::missing("path").via_field("serviceAccountToken"));
    }
    errors
}
