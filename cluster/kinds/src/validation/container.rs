//! Containers of a pod.

use std::collections::BTreeSet;

use cluster_machinery::FieldError;
use serde_json::{Value, json};

use super::path::Path;
use super::rule::{Errors, invalid, one_of, required, required_name, required_one_of};
use super::{environment, names, probe, resources};
use crate::json::{at, flag, integer, items, text};

/// What containers share within a pod.
pub(super) struct Pod<'a> {
    /// Names of the volumes that can be mounted.
    pub volumes: BTreeSet<&'a str>,
    pub host_network: bool,
}

/// Checks a list of containers; `names` are those taken by earlier lists.
pub(super) fn containers<'a>(
    errors: &mut Errors,
    list: &'a [Value],
    path: &Path,
    pod: &Pod<'_>,
    names: &mut BTreeSet<&'a str>,
) {
    let mut host_ports = BTreeSet::new();
    for (index, container) in list.iter().enumerate() {
        let path = path.index(index);
        self::container(errors, container, &path, pod);
        let name = text(container, &["name"]);
        if !name.is_empty() && !names.insert(name) {
            errors.push(FieldError::duplicate(path.child("name"), &json!(name)));
        }
        for (index, port) in items(container, &["ports"]).iter().enumerate() {
            let number = integer(port, &["hostPort"]).unwrap_or_default();
            let key = format!(
                "{}/{}/{number}",
                text(port, &["protocol"]),
                text(port, &["hostIP"])
            );
            if number != 0 && !host_ports.insert(key.clone()) {
                let path = path.child("ports").index(index).child("hostPort");
                errors.push(FieldError::duplicate(path, &json!(key)));
            }
        }
    }
}

fn container(errors: &mut Errors, container: &Value, path: &Path, pod: &Pod<'_>) {
    required_name(errors, container, path, "name", names::label);
    image(errors, container, path);
    one_of(
        errors,
        container,
        path,
        "terminationMessagePolicy",
        &["FallbackToLogsOnError", "File"],
    );
    required_one_of(
        errors,
        container,
        path,
        "imagePullPolicy",
        &["Always", "IfNotPresent", "Never"],
    );
    ports(errors, container, path, pod);
    environment::environment(errors, container, path);
    mounts(errors, container, path, pod);
    probe::probes(errors, container, path);
    if let Some(requirements) = container.get("resources") {
        resources::requirements(errors, requirements, &path.child("resources"));
    }
    security(errors, container, path);
}

fn image(errors: &mut Errors, container: &Value, path: &Path) {
    let image = text(container, &["image"]);
    if image.is_empty() {
        errors.push(FieldError::required(path.child("image"), ""));
    } else if image.trim() != image {
        let problem = "must not have leading or trailing whitespace";
        errors.push(FieldError::invalid(path.child("image"), &json!(image), problem));
    }
}

fn ports(errors: &mut Errors, container: &Value, path: &Path, pod: &Pod<'_>) {
    let mut seen = BTreeSet::new();
    for (index, port) in items(container, &["ports"]).iter().enumerate() {
        let path = path.child("ports").index(index);
        let name = text(port, &["name"]);
        if !name.is_empty() {
            let problems = names::port_name(name);
            if problems.is_empty() && !seen.insert(name) {
                errors.push(FieldError::duplicate(path.child("name"), &json!(name)));
            }
            invalid(errors, &path.child("name"), name, problems);
        }
        let number = integer(port, &["containerPort"]).unwrap_or_default();
        if number == 0 {
            errors.push(FieldError::required(path.child("containerPort"), ""));
        } else {
            super::rule::port(errors, Some(&json!(number)), &path.child("containerPort"));
        }
        let host_port = integer(port, &["hostPort"]).unwrap_or_default();
        if host_port != 0 {
            super::rule::port(errors, Some(&json!(host_port)), &path.child("hostPort"));
        }
        if pod.host_network && host_port != number {
            let problem = "must match `containerPort` when `hostNetwork` is true";
            errors.push(FieldError::invalid(
                path.child("hostPort"),
                &json!(host_port),
                problem,
            ));
        }
        required_one_of(errors, port, &path, "protocol", &["SCTP", "TCP", "UDP"]);
    }
}

fn mounts(errors: &mut Errors, container: &Value, path: &Path, pod: &Pod<'_>) {
    let mut seen = BTreeSet::new();
    for (index, mount) in items(container, &["volumeMounts"]).iter().enumerate() {
        let path = path.child("volumeMounts").index(index);
        let name = text(mount, &["name"]);
        if required(errors, mount, &path, "name") && !pod.volumes.contains(name) {
            errors.push(FieldError::not_found(path.child("name"), &json!(name)));
        }
        let target = text(mount, &["mountPath"]);
        if required(errors, mount, &path, "mountPath") && !seen.insert(target) {
            errors.push(FieldError::invalid(
                path.child("mountPath"),
                &json!(target),
                "must be unique",
            ));
        }
        for field in ["subPath", "subPathExpr"] {
            descending(errors, text(mount, &[field]), &path.child(field));
        }
        if !text(mount, &["subPath"]).is_empty() && !text(mount, &["subPathExpr"]).is_empty() {
            let problem = "subPathExpr and subPath are mutually exclusive";
            errors.push(FieldError::invalid(
                path.child("subPathExpr"),
                &json!(text(mount, &["subPathExpr"])),
                problem,
            ));
        }
    }
}

/// Checks that a path stays below the volume it is in.
pub(super) fn descending(errors: &mut Errors, target: &str, path: &Path) {
    if target.starts_with('/') {
        errors.push(FieldError::invalid(
            path,
            &json!(target),
            "must be a relative path",
        ));
    }
    if target.split('/').any(|part| part == "..") {
        errors.push(FieldError::invalid(path, &json!(target), "must not contain '..'"));
    }
}

fn security(errors: &mut Errors, container: &Value, path: &Path) {
    let Some(context) = container.get("securityContext") else {
        return;
    };
    let path = path.child("securityContext");
    user_and_group(errors, context, &path);
    if at(context, &["allowPrivilegeEscalation"]) == Some(&Value::Bool(false))
        && flag(context, &["privileged"])
    {
        let problem = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
        errors.push(FieldError::invalid(&path, context, problem));
    }
}

/// Checks ids of users and groups in a security context.
pub(super) fn user_and_group(errors: &mut Errors, context: &Value, path: &Path) {
    for field in ["runAsUser", "runAsGroup", "fsGroup"] {
        if let Some(id) = integer(context, &[field])
            && !(0..=i64::from(i32::MAX)).contains(&id)
        {
            let problem = "must be between 0 and 2147483647, inclusive";
            errors.push(FieldError::invalid(path.child(field), &json!(id), problem));
        }
    }
}
