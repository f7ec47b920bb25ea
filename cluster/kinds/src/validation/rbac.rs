//! Roles and their bindings (`pkg/apis/rbac/validation`).

use cluster_machinery::FieldError;
use serde_json::{Value, json};

use super::path::Path;
use super::rule::{Errors, required};
use crate::json::{at, is_empty, items, text};

const GROUP: &str = "rbac.authorization.k8s.io";

pub(super) fn role(errors: &mut Errors, object: &Value, namespaced: bool) {
    for (index, rule) in items(object, &["rules"]).iter().enumerate() {
        let path = Path::new("rules").index(index);
        let missing = |field: &str| is_empty(rule.get(field));
        if missing("verbs") {
            errors.push(FieldError::required(
                path.child("verbs"),
                "verbs must contain at least one value",
            ));
        }
        if !missing("nonResourceURLs") {
            let urls = rule.get("nonResourceURLs").unwrap_or(&Value::Null);
            let path = path.child("nonResourceURLs");
            if namespaced {
                let problem = "namespaced rules cannot apply to non-resource URLs";
                errors.push(FieldError::invalid(&path, urls, problem));
            }
            if !missing("apiGroups") || !missing("resources") || !missing("resourceNames") {
                let problem = "rules cannot apply to both regular resources and non-resource URLs";
                errors.push(FieldError::invalid(&path, urls, problem));
            }
            continue;
        }
        if missing("apiGroups") {
            let problem = "resource rules must supply at least one api group";
            errors.push(FieldError::required(path.child("apiGroups"), problem));
        }
        if missing("resources") {
            let problem = "resource rules must supply at least one resource";
            errors.push(FieldError::required(path.child("resources"), problem));
        }
    }
}

pub(super) fn binding(errors: &mut Errors, object: &Value, namespaced: bool) {
    let path = Path::new("roleRef");
    let role = at(object, &["roleRef"]).unwrap_or(&Value::Null);
    if text(role, &["apiGroup"]) != GROUP {
        let group = json!(text(role, &["apiGroup"]));
        errors.push(FieldError::not_supported(
            path.child("apiGroup"),
            &group,
            &[GROUP],
        ));
    }
    let kinds: &[&str] = if namespaced {
        &["Role", "ClusterRole"]
    } else {
        &["ClusterRole"]
    };
    if !kinds.contains(&text(role, &["kind"])) {
        errors.push(FieldError::not_supported(
            path.child("kind"),
            &json!(text(role, &["kind"])),
            kinds,
        ));
    }
    required(errors, role, &path, "name");
    for (index, subject) in items(object, &["subjects"]).iter().enumerate() {
        let path = Path::new("subjects").index(index);
        required(errors, subject, &path, "name");
        let group = json!(text(subject, &["apiGroup"]));
        match text(subject, &["kind"]) {
            "ServiceAccount" => {
                if group != "" {
                    errors.push(FieldError::not_supported(path.child("apiGroup"), &group, &[""]));
                }
                required(errors, subject, &path, "namespace");
            }
            "User" | "Group" => {
                if group != GROUP {
                    errors.push(FieldError::not_supported(
                        path.child("apiGroup"),
                        &group,
                        &[GROUP],
                    ));
                }
            }
            other => errors.push(FieldError::not_supported(
                path.child("kind"),
                &json!(other),
                &["ServiceAccount", "User", "Group"],
            )),
        }
    }
}

pub(super) fn update_binding(errors: &mut Errors, new: &Value, old: &Value) {
    if new.get("roleRef") != old.get("roleRef") {
        let role = new.get("roleRef").unwrap_or(&Value::Null);
        errors.push(FieldError::invalid("roleRef", role, "cannot change roleRef"));
    }
}
