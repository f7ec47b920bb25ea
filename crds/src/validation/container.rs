//! One container of a template.

use formats::image::ImageReference;
use serde_json::Value;

use super::mask::{only, only_with};
use super::probe;
use super::volume::Volumes;
use super::{FieldError, FieldErrors};
use crate::config::{Features, SecurePodDefaults};
use crate::resource::{field, get, integer, list, text};
use crate::{names, ports};

/// What a container is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It gets the requests.
    Serving,
    /// It runs beside.
    Sidecar,
    /// It runs before.
    Init,
}

const ALLOWED: &[&str] = &[
    "name",
    "args",
    "command",
    "env",
    "envFrom",
    "workingDir",
    "image",
    "imagePullPolicy",
    "ports",
    "resources",
    "securityContext",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "volumeMounts",
];
const PROBES: [&str; 3] = ["livenessProbe", "readinessProbe", "startupProbe"];

/// Environment variables that the platform sets in every container.
const RESERVED_ENV: [&str; 3] = ["K_SERVICE", "K_CONFIGURATION", "K_REVISION"];

/// Checks a container; the paths begin below it.
pub(super) fn container(
    value: &Value,
    role: Role,
    volumes: &Volumes<'_>,
    features: &Features,
) -> FieldErrors {
    let mut errors = FieldErrors::default();
    if value.as_object().is_none_or(serde_json::Map::is_empty) {
        errors.also(FieldError::missing(""));
        return errors;
    }
    errors.also(fields(value, role));
    errors.also(probe::probes(value, role, features));
    if text(value, "name") == names::QUEUE_PROXY_CONTAINER {
        let message = format!("{:?} is a reserved container name", names::QUEUE_PROXY_CONTAINER);
        errors.also(FieldError::new(message, "name"));
    }
    for (index, variable) in list(value, "env").iter().enumerate() {
        errors.also(env(variable, role, features).via_field_index("env", index));
    }
    for (index, source) in list(value, "envFrom").iter().enumerate() {
        errors.also(env_from(source).via_field_index("envFrom", index));
    }
    errors.also(image(text(value, "image")));
    errors.also(container_ports(list(value, "ports"), role).via_field("ports"));
    errors.also(resources(field(value, "resources")).via_field("resources"));
    if let Some(context) = get(value, "securityContext") {
        errors.also(security_context(context, features).via_field("securityContext"));
    }
    let policy = text(value, "terminationMessagePolicy");
    if !matches!(policy, "" | "File" | "FallbackToLogsOnError") {
        errors.also(FieldError::invalid(policy, "terminationMessagePolicy"));
    }
    errors.also(volumes.mounts(value, features).via_field("volumeMounts"));
    errors
}

fn fields(value: &Value, role: Role) -> FieldErrors {
    if role != Role::Init {
        return only_with(value, ALLOWED, &PROBES.map(|probe| (probe, true)));
    }
    let refused = PROBES.iter().chain(&["lifecycle"]);
    let mut errors = only_with(
        value,
        ALLOWED,
        &[PROBES[0], PROBES[1], PROBES[2], "lifecycle"].map(|name| (name, true)),
    );
    errors.extend(
        refused
            .filter(|name| get(value, name).is_some())
            .map(|name| FieldError::new("field not allowed in an init container", name)),
    );
    errors
}

fn image(image: &str) -> Option<FieldError> {
    if image.is_empty() {
        return Some(FieldError::missing("image"));
    }
    let error = ImageReference::parse(image).err()?;
    let details = format!("image: {image:?}, error: {error}");
    Some(FieldError::new("Failed to parse image reference", "image").with_details(details))
}

fn env(variable: &Value, role: Role, features: &Features) -> FieldErrors {
    let mut errors = only(variable, &["name", "value", "valueFrom"]);
    let name = text(variable, "name");
    if name.is_empty() {
        errors.also(FieldError::missing("name"));
    } else if RESERVED_ENV.contains(&name) || (name == "PORT" && role == Role::Serving) {
        errors.also(FieldError::new(
            format!("{name:?} is a reserved environment variable"),
            "name",
        ));
    }
    if let Some(source) = get(variable, "valueFrom") {
        let field_ref = features.pod_spec_field_ref.is_allowed();
        let flags = [("fieldRef", field_ref), ("resourceFieldRef", field_ref)];
        errors.also(only_with(source, &["configMapKeyRef", "secretKeyRef"], &flags).via_field("valueFrom"));
    }
    errors
}

fn env_from(source: &Value) -> FieldErrors {
    let references = ["configMapRef", "secretRef"];
    let mut errors = only(source, &["prefix", references[0], references[1]]);
    let given = references
        .iter()
        .filter(|name| get(source, name).is_some())
        .count();
    match given {
        0 => errors.also(FieldError::missing_one_of(&references)),
        1 => {}
        _ => errors.also(FieldError::multiple_one_of(&references)),
    }
    for name in references {
        if let Some(reference) = get(source, name) {
            errors.also(only(reference, &["name", "optional"]).via_field(name));
        }
    }
    errors
}

fn container_ports(ports: &[Value], role: Role) -> FieldErrors {
    let mut errors = FieldErrors::default();
    for port in ports {
        errors.also(container_port(port));
        let name = text(port, "name");
        if role == Role::Serving && !matches!(name, "" | "h2c" | "http1") {
            errors.also(
                FieldError::new(format!("Port name {name} is not allowed"), "")
                    .with_details("Name must be empty, or one of: 'h2c', 'http1'"),
            );
        }
    }
    errors
}

/// The paths name no index: there is only one port, and clients know them so.
fn container_port(port: &Value) -> FieldErrors {
    let mut errors = only(port, &["containerPort", "name", "protocol"]);
    let protocol = text(port, "protocol");
    if !matches!(protocol, "" | "TCP") {
        errors.also(FieldError::invalid(protocol, "protocol"));
    }
    let Some(number) = integer(port, "containerPort") else {
        return errors;
    };
    if ports::RESERVED
        .iter()
        .any(|reserved| i64::from(*reserved) == number)
    {
        let reserved = format!("{number} is a reserved port");
        let details = format!("{reserved}, please use a different value");
        errors.also(FieldError::invalid(reserved, "containerPort").with_details(details));
    }
    if !(0..=i64::from(u16::MAX)).contains(&number) {
        errors.also(FieldError::out_of_bounds(number, 0, u16::MAX, "containerPort"));
    }
    errors
}

fn resources(resources: &Value) -> FieldErrors {
    let mut errors = only(resources, &["limits", "requests"]);
    for name in ["limits", "requests"] {
        for (resource, amount) in field(resources, name).as_object().into_iter().flatten() {
            let amount = match amount {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            if amount.parse::<formats::quantity::Quantity>().is_err() {
                errors.also(FieldError::invalid(amount, "").via_key(resource).via_field(name));
            }
        }
    }
    errors
}

fn security_context(context: &Value, features: &Features) -> FieldErrors {
    // `privileged` may only be false, which counts as unset.
    let fields = [
        "capabilities",
        "readOnlyRootFilesystem",
        "runAsUser",
        "runAsGroup",
        "runAsNonRoot",
        "allowPrivilegeEscalation",
        "seccompProfile",
    ];
    let mut errors = only(context, &fields);
    for name in ["runAsUser", "runAsGroup"] {
        errors.also(user_or_group(context, name));
    }
    if let Some(capabilities) = get(context, "capabilities") {
        let harmless = features.secure_pod_defaults != SecurePodDefaults::Disabled
            && list(capabilities, "add")
                .iter()
                .all(|added| added.as_str() == Some("NET_BIND_SERVICE"));
        let add = features.container_spec_add_capabilities.is_allowed() || harmless;
        errors.also(only_with(capabilities, &["drop"], &[("add", add)]).via_field("capabilities"));
    }
    errors
}

/// Complains about a user or group that is no id.
pub(super) fn user_or_group(context: &Value, name: &str) -> Option<FieldError> {
    let id = integer(context, name)?;
    (!(0..=i64::from(i32::MAX)).contains(&id)).then(|| FieldError::out_of_bounds(id, 0, i32::MAX, name))
}
