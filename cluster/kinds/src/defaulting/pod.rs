//! Pods, and the pod templates inside workloads (`pkg/apis/core/v1/defaults.go`).

use serde_json::{Value, json};

use super::image;
use super::quantity::{canonical_field, canonical_map, canonical_resources};
use crate::json::{Object, descend, items_mut, object_mut, object_or_new, set_absent, set_zero};

/// Lists of containers in a pod spec.
const CONTAINER_LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// A pod: everything of a template, and what only running pods need.
pub(super) fn pod(object: &mut Object) {
    let Some(spec) = object_mut(object, "spec") else {
        return;
    };
    pod_spec(spec);
    set_absent(spec, "enableServiceLinks", true);
    for list in CONTAINER_LISTS {
        items_mut(spec, list).for_each(requests_from_limits);
    }
    object_or_new(object, "status");
}

/// The `template` field of a workload's spec, or of a PodTemplate.
pub(super) fn template(object: &mut Object) {
    if let Some(spec) = descend(object, &["template", "spec"]) {
        pod_spec(spec);
    }
}

/// A pod spec, wherever it occurs.
pub(super) fn pod_spec(spec: &mut Object) {
    set_zero(spec, "dnsPolicy", "ClusterFirst");
    set_zero(spec, "restartPolicy", "Always");
    set_absent(spec, "terminationGracePeriodSeconds", 30);
    set_absent(spec, "securityContext", json!({}));
    set_zero(spec, "schedulerName", "default-scheduler");
    service_account(spec);
    canonical_map(spec, "overhead");
    canonical_resources(spec);
    let host_network = spec.get("hostNetwork") == Some(&Value::Bool(true));
    for list in CONTAINER_LISTS {
        for item in items_mut(spec, list) {
            container(item);
            if host_network {
                items_mut(item, "ports").for_each(host_port);
            }
        }
    }
    items_mut(spec, "volumes").for_each(volume);
}

/// `serviceAccount` is the old name of `serviceAccountName`; both are always shown.
fn service_account(spec: &mut Object) {
    for (from, to) in [
        ("serviceAccountName", "serviceAccount"),
        ("serviceAccount", "serviceAccountName"),
    ] {
        if let Some(name) = spec
            .get(from)
            .filter(|name| name.as_str().is_some_and(|name| !name.is_empty()))
        {
            let name = name.clone();
            spec.insert(to.to_owned(), name);
            return;
        }
    }
}

fn container(container: &mut Object) {
    set_absent(container, "resources", json!({}));
    canonical_resources(container);
    set_zero(container, "terminationMessagePath", "/dev/termination-log");
    set_zero(container, "terminationMessagePolicy", "File");
    let reference = container.get("image").and_then(Value::as_str).unwrap_or_default();
    let policy = image::pull_policy(reference);
    set_zero(container, "imagePullPolicy", policy);
    for port in items_mut(container, "ports") {
        set_zero(port, "protocol", "TCP");
    }
    for variable in items_mut(container, "env") {
        if let Some(reference) = descend(variable, &["valueFrom", "fieldRef"]) {
            set_zero(reference, "apiVersion", "v1");
        }
        if let Some(reference) = descend(variable, &["valueFrom", "resourceFieldRef"]) {
            resource_reference(reference);
        }
        if let Some(reference) = descend(variable, &["valueFrom", "fileKeyRef"]) {
            set_absent(reference, "optional", false);
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = object_mut(container, name) {
            self::probe(probe);
        }
    }
    for hook in ["postStart", "preStop"] {
        if let Some(get) = descend(container, &["lifecycle", hook, "httpGet"]) {
            http_get(get);
        }
    }
}

/// A divisor of zero, shown when none is set, means one.
fn resource_reference(reference: &mut Object) {
    set_zero(reference, "divisor", "0");
    canonical_field(reference, "divisor");
}

fn probe(probe: &mut Object) {
    set_zero(probe, "timeoutSeconds", 1);
    set_zero(probe, "periodSeconds", 10);
    set_zero(probe, "successThreshold", 1);
    set_zero(probe, "failureThreshold", 3);
    if let Some(get) = object_mut(probe, "httpGet") {
        http_get(get);
    }
    if let Some(grpc) = object_mut(probe, "grpc") {
        set_absent(grpc, "service", "");
    }
}

fn http_get(get: &mut Object) {
    set_zero(get, "path", "/");
    set_zero(get, "scheme", "HTTP");
}

fn host_port(port: &mut Object) {
    if let Some(number) = port.get("containerPort").cloned() {
        set_zero(port, "hostPort", number);
    }
}

/// A pod that limits a resource without requesting it requests the limit.
fn requests_from_limits(container: &mut Object) {
    let Some(resources) = object_mut(container, "resources") else {
        return;
    };
    let Some(limits) = object_mut(resources, "limits").filter(|limits| !limits.is_empty()) else {
        return;
    };
    let limits = limits.clone();
    if let Some(requests) = object_or_new(resources, "requests") {
        for (name, limit) in limits {
            set_absent(requests, &name, limit);
        }
    }
}

/// Sources are the fields of a volume other than its name; a volume without any is an `emptyDir`.
fn volume(volume: &mut Object) {
    if volume.keys().all(|key| key == "name") {
        volume.insert("emptyDir".to_owned(), json!({}));
    }
    for (name, source) in volume.iter_mut() {
        if let Some(source) = source.as_object_mut() {
            volume_source(name, source);
        }
    }
}

/// Defaults of one volume source; persistent volumes share some of them.
pub(super) fn volume_source(name: &str, source: &mut Object) {
    /// Read and write for the owner, read for everyone else: 0644.
    const MODE: i32 = 420;
    match name {
        "secret" | "configMap" => set_absent(source, "defaultMode", MODE),
        "downwardAPI" => {
            set_absent(source, "defaultMode", MODE);
            downward_items(source);
        }
        "projected" => {
            set_absent(source, "defaultMode", MODE);
            for projection in items_mut(source, "sources") {
                if let Some(token) = object_mut(projection, "serviceAccountToken") {
                    set_absent(token, "expirationSeconds", 3600);
                }
                if let Some(downward) = object_mut(projection, "downwardAPI") {
                    downward_items(downward);
                }
            }
        }
        "emptyDir" => canonical_field(source, "sizeLimit"),
        "hostPath" => set_absent(source, "type", ""),
        "ephemeral" => {
            if let Some(spec) = descend(source, &["volumeClaimTemplate", "spec"]) {
                super::storage::claim_spec(spec);
            }
        }
        "iscsi" => set_zero(source, "iscsiInterface", "default"),
        "rbd" => {
            set_zero(source, "pool", "rbd");
            set_zero(source, "user", "admin");
            set_zero(source, "keyring", "/etc/ceph/keyring");
        }
        "azureDisk" => {
            set_absent(source, "cachingMode", "ReadWrite");
            set_absent(source, "kind", "Shared");
            set_absent(source, "fsType", "ext4");
            set_absent(source, "readOnly", false);
        }
        "scaleIO" => {
            set_zero(source, "storageMode", "ThinProvisioned");
            set_zero(source, "fsType", "xfs");
        }
        "image" => {
            let reference = source
                .get("reference")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let policy = image::pull_policy(reference);
            set_zero(source, "pullPolicy", policy);
        }
        _ => {}
    }
}

fn downward_items(source: &mut Object) {
    for item in items_mut(source, "items") {
        if let Some(reference) = object_mut(item, "resourceFieldRef") {
            resource_reference(reference);
        }
        if let Some(reference) = object_mut(item, "fieldRef") {
            set_zero(reference, "apiVersion", "v1");
        }
    }
}
