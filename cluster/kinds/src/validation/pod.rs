//! Pods and pod templates (`pkg/apis/core/validation`).

use std::collections::BTreeSet;

use cluster_machinery::FieldError;
use serde_json::{Value, json};

use super::container::{Pod, containers, user_and_group};
use super::metadata::{annotations, labels};
use super::path::Path;
use super::rule::{Errors, one_of, optional_name, required_one_of};
use super::{names, resources, volume};
use crate::json::{at, flag, integer, is_empty, items, text};

pub(super) fn create(errors: &mut Errors, pod: &Value) {
    let path = Path::new("spec");
    let spec = at(pod, &["spec"]).unwrap_or(&Value::Null);
    pod_spec(errors, spec, &path);
    if !items(spec, &["ephemeralContainers"]).is_empty() {
        errors.push(FieldError::forbidden(
            path.child("ephemeralContainers"),
            "cannot be set on create",
        ));
    }
}

/// Checks the template of a workload at `path`.
pub(super) fn template(errors: &mut Errors, template: &Value, path: &Path) {
    labels(
        errors,
        template,
        &["metadata", "labels"],
        &path.child("metadata").child("labels"),
    );
    annotations(
        errors,
        template,
        &["metadata", "annotations"],
        &path.child("metadata").child("annotations"),
    );
    let spec = at(template, &["spec"]).unwrap_or(&Value::Null);
    pod_spec(errors, spec, &path.child("spec"));
    if !items(spec, &["ephemeralContainers"]).is_empty() {
        let path = path.child("spec").child("ephemeralContainers");
        errors.push(FieldError::forbidden(
            path,
            "ephemeral containers not allowed in pod template",
        ));
    }
}

fn pod_spec(errors: &mut Errors, spec: &Value, path: &Path) {
    let volumes = volume::volumes(errors, spec, path);
    let pod = Pod {
        volumes,
        host_network: flag(spec, &["hostNetwork"]),
    };
    let mut taken = BTreeSet::new();
    if items(spec, &["containers"]).is_empty() {
        errors.push(FieldError::required(path.child("containers"), ""));
    }
    for list in ["containers", "initContainers"] {
        containers(errors, items(spec, &[list]), &path.child(list), &pod, &mut taken);
    }
    required_one_of(
        errors,
        spec,
        path,
        "restartPolicy",
        &["Always", "OnFailure", "Never"],
    );
    dns(errors, spec, path);
    if let Some(seconds) = integer(spec, &["terminationGracePeriodSeconds"])
        && seconds < 0
    {
        let path = path.child("terminationGracePeriodSeconds");
        errors.push(FieldError::invalid(
            path,
            &json!(seconds),
            "must be greater than or equal to 0",
        ));
    }
    if let Some(seconds) = integer(spec, &["activeDeadlineSeconds"])
        && !(1..=i64::from(i32::MAX)).contains(&seconds)
    {
        let problem = "must be between 1 and 2147483647, inclusive";
        errors.push(FieldError::invalid(
            path.child("activeDeadlineSeconds"),
            &json!(seconds),
            problem,
        ));
    }
    optional_name(errors, spec, path, "serviceAccountName", names::subdomain);
    optional_name(errors, spec, path, "nodeName", names::subdomain);
    optional_name(errors, spec, path, "hostname", names::label);
    optional_name(errors, spec, path, "subdomain", names::label);
    optional_name(errors, spec, path, "priorityClassName", names::subdomain);
    labels(errors, spec, &["nodeSelector"], &path.child("nodeSelector"));
    resources::quantities(errors, spec, &["overhead"], &path.child("overhead"), false);
    if let Some(context) = spec.get("securityContext") {
        user_and_group(errors, context, &path.child("securityContext"));
    }
    tolerations(errors, spec, &path.child("tolerations"));
    spread(errors, spec, &path.child("topologySpreadConstraints"));
}

fn dns(errors: &mut Errors, spec: &Value, path: &Path) {
    let policies = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    one_of(errors, spec, path, "dnsPolicy", &policies);
    if text(spec, &["dnsPolicy"]) == "None" {
        if is_empty(spec.get("dnsConfig")) {
            let problem = "must provide `dnsConfig` when `dnsPolicy` is None";
            errors.push(FieldError::required(path.child("dnsConfig"), problem));
        } else if items(spec, &["dnsConfig", "nameservers"]).is_empty() {
            let problem = "must provide at least one DNS nameserver when `dnsPolicy` is None";
            errors.push(FieldError::required(
                path.child("dnsConfig").child("nameservers"),
                problem,
            ));
        }
    }
}

fn tolerations(errors: &mut Errors, spec: &Value, path: &Path) {
    for (index, toleration) in items(spec, &["tolerations"]).iter().enumerate() {
        let path = path.index(index);
        optional_name(errors, toleration, &path, "key", names::qualified);
        let operator = text(toleration, &["operator"]);
        if text(toleration, &["key"]).is_empty() && operator != "Exists" {
            let problem =
                "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            errors.push(FieldError::invalid(
                path.child("operator"),
                &json!(operator),
                problem,
            ));
        }
        if operator == "Exists" && !text(toleration, &["value"]).is_empty() {
            errors.push(FieldError::invalid(
                path.child("operator"),
                toleration,
                "value must be empty when `operator` is 'Exists'",
            ));
        }
        if !operator.is_empty() {
            one_of(errors, toleration, &path, "operator", &["Equal", "Exists"]);
        }
        if !text(toleration, &["effect"]).is_empty() {
            one_of(
                errors,
                toleration,
                &path,
                "effect",
                &["NoSchedule", "PreferNoSchedule", "NoExecute"],
            );
        }
    }
}

fn spread(errors: &mut Errors, spec: &Value, path: &Path) {
    for (index, constraint) in items(spec, &["topologySpreadConstraints"]).iter().enumerate() {
        let path = path.index(index);
        let skew = integer(constraint, &["maxSkew"]).unwrap_or_default();
        if skew <= 0 {
            errors.push(FieldError::invalid(
                path.child("maxSkew"),
                &json!(skew),
                "must be greater than zero",
            ));
        }
        if text(constraint, &["topologyKey"]).is_empty() {
            errors.push(FieldError::required(
                path.child("topologyKey"),
                "can not be empty",
            ));
        }
        required_one_of(
            errors,
            constraint,
            &path,
            "whenUnsatisfiable",
            &["DoNotSchedule", "ScheduleAnyway"],
        );
    }
}

/// What may be changed in the spec of a pod that exists.
const UPDATABLE: &str = "pod updates may not change fields other than `spec.containers[*].image`,\
     `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing \
     tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

pub(super) fn update(errors: &mut Errors, new: &Value, old: &Value) {
    let path = Path::new("spec");
    let (Some(after), Some(before)) = (new.get("spec"), old.get("spec")) else {
        return;
    };
    pod_spec(errors, after, &path);
    for list in ["containers", "initContainers"] {
        if items(after, &[list]).len() != items(before, &[list]).len() {
            let path = path.child(list);
            errors.push(FieldError::forbidden(
                path,
                "pod updates may not add or remove containers",
            ));
            return;
        }
    }
    let deadline = |spec: &Value| integer(spec, &["activeDeadlineSeconds"]);
    match (deadline(after), deadline(before)) {
        (None, Some(_)) => errors.push(FieldError::invalid(
            path.child("activeDeadlineSeconds"),
            &Value::Null,
            "must not update from a positive integer to nil value",
        )),
        (Some(now), Some(then)) if now > then => errors.push(FieldError::invalid(
            path.child("activeDeadlineSeconds"),
            &json!(now),
            &format!("must be less than or equal to previous value '{then}'"),
        )),
        _ => {}
    }
    let kept = |toleration: &&Value| items(after, &["tolerations"]).contains(toleration);
    if !items(before, &["tolerations"])
        .iter()
        .all(|toleration| kept(&toleration))
    {
        let problem = "existing toleration can not be modified except its tolerationSeconds";
        errors.push(FieldError::forbidden(path.child("tolerations"), problem));
    }
    let gates = |spec| items(spec, &["schedulingGates"]);
    if let Some(added) = gates(after).iter().find(|gate| !gates(before).contains(gate)) {
        let problem = format!(
            "only deletion is allowed, but found new scheduling gate '{}'",
            text(added, &["name"])
        );
        errors.push(FieldError::forbidden(path.child("schedulingGates"), &problem));
    }
    if fixed(after) != fixed(before) {
        errors.push(FieldError::forbidden(&path, UPDATABLE));
    }
}

/// A pod spec without what may be changed.
fn fixed(spec: &Value) -> Value {
    let mut spec = spec.clone();
    if let Some(fields) = spec.as_object_mut() {
        for changeable in ["activeDeadlineSeconds", "tolerations", "schedulingGates"] {
            fields.remove(changeable);
        }
        // The old name of a field is a copy of the new one.
        fields.remove("serviceAccount");
        if fields
            .get("terminationGracePeriodSeconds")
            .and_then(Value::as_i64)
            .is_some_and(|seconds| seconds < 0)
        {
            fields.insert("terminationGracePeriodSeconds".to_owned(), json!(1));
        }
        for list in ["containers", "initContainers"] {
            for container in crate::json::items_mut(fields, list) {
                container.remove("image");
            }
        }
    }
    spec
}
