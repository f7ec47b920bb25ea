//! Probes of containers.

use serde_json::Value;

use super::container::Role;
use super::mask::only;
use super::{FieldError, FieldErrors};
use crate::config::Features;
use crate::resource::{field, get, integer, list, text};

const HANDLERS: [&str; 4] = ["httpGet", "tcpSocket", "exec", "grpc"];
const TIMINGS: [&str; 5] = [
    "initialDelaySeconds",
    "timeoutSeconds",
    "periodSeconds",
    "successThreshold",
    "failureThreshold",
];

/// Checks the probes of a container; the paths begin below it.
pub(super) fn probes(container: &Value, role: Role, features: &Features) -> FieldErrors {
    let mut errors = FieldErrors::default();
    let port = list(container, "ports").first().unwrap_or(&Value::Null);
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let Some(probe) = get(container, name) else {
            continue;
        };
        let found = match role {
            // Init containers have been told that they may have none.
            Role::Init => FieldErrors::default(),
            Role::Sidecar if !features.multi_container_probing.is_enabled() => only(probe, &[]),
            Role::Sidecar | Role::Serving => {
                let mut found = handler(probe, port, role);
                if name == "readinessProbe" {
                    found.also(readiness_timings(probe));
                }
                found
            }
        };
        errors.also(found.via_field(name));
    }
    errors
}

fn handler(probe: &Value, port: &Value, role: Role) -> FieldErrors {
    let allowed: Vec<&str> = HANDLERS.iter().chain(&TIMINGS).copied().collect();
    let mut errors = only(probe, &allowed);
    let given: Vec<&str> = HANDLERS
        .into_iter()
        .filter(|name| get(probe, name).is_some())
        .collect();
    match given.as_slice() {
        [] => errors.also(FieldError::missing_one_of(&HANDLERS)),
        [_] => {}
        several => errors.also(FieldError::multiple_one_of(several)),
    }
    for (name, fields) in [
        ("httpGet", &["host", "path", "scheme", "httpHeaders", "port"][..]),
        ("tcpSocket", &["host", "port"]),
        ("exec", &["command"]),
        ("grpc", &["port", "service"]),
    ] {
        let Some(action) = get(probe, name) else { continue };
        errors.also(only(action, fields).via_field(name));
        if name != "exec" {
            errors.also(FieldErrors::from(probed_port(action, port, role)).via_field(name));
        }
    }
    errors
}

/// The serving container is probed at its own port; a sidecar has none that could be meant, so it must name one.
fn probed_port(action: &Value, container_port: &Value, role: Role) -> Option<FieldError> {
    let name = text(action, "port");
    let number = integer(action, "port").unwrap_or(0);
    if role == Role::Sidecar {
        let unset = name.is_empty() && number == 0;
        return unset
            .then(|| FieldError::invalid(number, "port").with_details("Probe port must be specified"));
    }
    let foreign = !name.is_empty() && name != text(container_port, "name");
    foreign.then(|| FieldError::invalid(name, "port").with_details("May only probe containerPort"))
}

fn readiness_timings(probe: &Value) -> FieldErrors {
    let mut errors = FieldErrors::default();
    let value = |name: &str| field(probe, name).as_i64().unwrap_or(0);
    let mut at_least = |lowest: i64, name: &str| {
        if value(name) < lowest {
            errors.also(FieldError::out_of_bounds(value(name), lowest, i32::MAX, name));
        }
    };
    at_least(0, "periodSeconds");
    at_least(0, "initialDelaySeconds");
    at_least(1, "successThreshold");
    if value("periodSeconds") != 0 {
        at_least(1, "timeoutSeconds");
        at_least(1, "failureThreshold");
        return errors;
    }
    // Without a period the platform probes many times a second, and by its own rules.
    for name in ["failureThreshold", "timeoutSeconds"] {
        if value(name) != 0 {
            errors.also(FieldError::new(
                format!("{name} is disallowed when periodSeconds is zero"),
                name,
            ));
        }
    }
    errors
}
