//! ConfigMaps and Secrets: keys, sizes, and what each type of Secret must hold.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cluster_machinery::FieldError;
use serde_json::Value;

use super::names;
use super::path::Path;
use super::rule::{Errors, immutable, invalid};
use crate::json::{at, entries, flag, text};

/// All data of one object together, in bytes.
const MAX_DATA: usize = 1024 * 1024;

pub(super) fn config_map(errors: &mut Errors, object: &Value) {
    let mut size = 0;
    for field in ["data", "binaryData"] {
        let path = Path::new(field);
        for (key, value) in entries(object, &[field]) {
            invalid(errors, &path.key(key), key, names::config_key(key));
            size += value.as_str().unwrap_or_default().len();
        }
    }
    for (key, _) in entries(object, &["data"]).filter(|(key, _)| at(object, &["binaryData", key]).is_some()) {
        let path = Path::new("data").key(key);
        errors.push(FieldError::invalid(
            path,
            &Value::from(key.as_str()),
            "duplicate of key present in binaryData",
        ));
    }
    if size > MAX_DATA {
        errors.push(FieldError::too_long("", MAX_DATA as u64));
    }
}

pub(super) fn update_config_map(errors: &mut Errors, new: &Value, old: &Value) {
    update_immutable(errors, new, old, &["data", "binaryData"]);
}

pub(super) fn secret(errors: &mut Errors, object: &Value) {
    let path = Path::new("data");
    let mut size = 0;
    for (key, value) in entries(object, &["data"]) {
        invalid(errors, &path.key(key), key, names::config_key(key));
        // Four characters carry three bytes.
        size += value.as_str().unwrap_or_default().len() / 4 * 3;
    }
    if size > MAX_DATA {
        errors.push(FieldError::too_long(&path, MAX_DATA as u64));
    }
    let missing = |key: &str| at(object, &["data", key]).is_none();
    match text(object, &["type"]) {
        "kubernetes.io/service-account-token" => {
            let account = "kubernetes.io/service-account.name";
            if text(object, &["metadata", "annotations", account]).is_empty() {
                let path = Path::new("metadata.annotations").key(account);
                errors.push(FieldError::required(path, ""));
            }
        }
        "kubernetes.io/dockercfg" => docker_config(errors, object, ".dockercfg"),
        "kubernetes.io/dockerconfigjson" => docker_config(errors, object, ".dockerconfigjson"),
        "kubernetes.io/basic-auth" if missing("username") && missing("password") => {
            errors.push(FieldError::required(path.key("username"), ""));
            errors.push(FieldError::required(path.key("password"), ""));
        }
        "kubernetes.io/ssh-auth" if text(object, &["data", "ssh-privatekey"]).is_empty() => {
            errors.push(FieldError::required(path.key("ssh-privatekey"), ""));
        }
        "kubernetes.io/tls" => {
            for key in ["tls.crt", "tls.key"].into_iter().filter(|key| missing(key)) {
                errors.push(FieldError::required(path.key(key), ""));
            }
        }
        _ => {}
    }
}

/// Registry credentials must be JSON; they are never shown.
fn docker_config(errors: &mut Errors, object: &Value, key: &str) {
    let path = Path::new("data").key(key);
    let Some(encoded) = at(object, &["data", key]).and_then(Value::as_str) else {
        errors.push(FieldError::required(path, ""));
        return;
    };
    let problem = match STANDARD.decode(encoded) {
        Err(error) => error.to_string(),
        Ok(bytes) => match serde_json::from_slice::<serde_json::Map<String, Value>>(&bytes) {
            Ok(_) => return,
            Err(error) => error.to_string(),
        },
    };
    errors.push(FieldError::invalid(
        path,
        &Value::from("<secret contents redacted>"),
        &problem,
    ));
}

pub(super) fn update_secret(errors: &mut Errors, new: &Value, old: &Value) {
    immutable(errors, new, old, &["type"]);
    update_immutable(errors, new, old, &["data"]);
}

/// Data marked immutable stays so for ever.
fn update_immutable(errors: &mut Errors, new: &Value, old: &Value, fields: &[&str]) {
    let problem = "field is immutable when `immutable` is set";
    if !flag(old, &["immutable"]) {
        return;
    }
    if !flag(new, &["immutable"]) {
        errors.push(FieldError::forbidden("immutable", problem));
    }
    for field in fields {
        if new.get(field) != old.get(field) {
            errors.push(FieldError::forbidden(*field, problem));
        }
    }
}
