//! Probes and lifecycle hooks.

use cluster_machinery::FieldError;
use serde_json::{Value, json};

use super::path::Path;
use super::rule::{Errors, exactly_one, not_negative, one_of, port, required};
use crate::json::{at, integer, items};

/// Checks the probes and hooks of a container.
pub(super) fn probes(errors: &mut Errors, container: &Value, path: &Path) {
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = container.get(name) {
            self::probe(errors, probe, &path.child(name), name != "readinessProbe");
        }
    }
    for hook in ["postStart", "preStop"] {
        if let Some(handler) = at(container, &["lifecycle", hook]) {
            let path = path.child("lifecycle").child(hook);
            self::handler(errors, handler, &path, &["exec", "httpGet", "tcpSocket", "sleep"]);
        }
    }
}

/// `once` is set for probes that cannot require several successes.
fn probe(errors: &mut Errors, probe: &Value, path: &Path, once: bool) {
    handler(errors, probe, path, &["exec", "httpGet", "tcpSocket", "grpc"]);
    for field in [
        "initialDelaySeconds",
        "timeoutSeconds",
        "periodSeconds",
        "successThreshold",
        "failureThreshold",
    ] {
        not_negative(errors, probe, path, field);
    }
    if let Some(seconds) = integer(probe, &["terminationGracePeriodSeconds"])
        && seconds <= 0
    {
        let path = path.child("terminationGracePeriodSeconds");
        errors.push(FieldError::invalid(
            path,
            &json!(seconds),
            "must be greater than 0",
        ));
    }
    if let Some(threshold) = integer(probe, &["successThreshold"])
        && once
        && threshold != 1
    {
        errors.push(FieldError::invalid(
            path.child("successThreshold"),
            &json!(threshold),
            "must be 1",
        ));
    }
}

fn handler(errors: &mut Errors, handler: &Value, path: &Path, kinds: &[&str]) {
    exactly_one(
        errors,
        handler,
        path,
        kinds,
        "must specify a handler type",
        "may not specify more than 1 handler type",
    );
    if let Some(exec) = handler.get("exec")
        && items(exec, &["command"]).is_empty()
    {
        errors.push(FieldError::required(path.child("exec").child("command"), ""));
    }
    if let Some(get) = handler.get("httpGet") {
        let path = path.child("httpGet");
        required(errors, get, &path, "path");
        port(errors, get.get("port"), &path.child("port"));
        one_of(errors, get, &path, "scheme", &["HTTP", "HTTPS"]);
        for (index, header) in items(get, &["httpHeaders"]).iter().enumerate() {
            required(errors, header, &path.child("httpHeaders").index(index), "name");
        }
    }
    for socket in ["tcpSocket", "grpc"] {
        if let Some(action) = handler.get(socket) {
            port(errors, action.get("port"), &path.child(socket).child("port"));
        }
    }
}
