//! The kinds of `sources.knative.dev` and `sinks.knative.dev`.

use serde_json::Value;

use super::super::{FieldError, FieldErrors};
use super::delivery::is_attribute;
use super::destination::required;
use crate::resource::events::Context;
use crate::resource::{field, get, list, metadata, text};

/// Checks what every source has: its sink and overrides. The paths begin below the spec.
fn source(spec: &Value, context: &Context<'_>) -> FieldErrors {
    let mut errors = required(spec, "sink", context);
    let extensions = field(field(spec, "ceOverrides"), "extensions");
    for key in extensions.as_object().into_iter().flatten().map(|(key, _)| key) {
        let details = match key.as_str() {
            "" => "keys MUST NOT be empty",
            key if !is_attribute(key) => "keys are expected to be alphanumeric",
            _ => continue,
        };
        let error = FieldError::invalid_key(key, "", &[details.to_owned()]);
        errors.also(error.via_field("ceOverrides.extensions"));
    }
    errors
}

pub(super) fn api_server(object: &Value, context: &Context<'_>) -> FieldErrors {
    let spec = field(object, "spec");
    let mut errors = source(spec, context);
    let mode = text(spec, "mode");
    if !matches!(mode, "" | "Reference" | "Resource") {
        errors.also(FieldError::invalid(mode, "mode"));
    }
    let resources = list(spec, "resources");
    if resources.is_empty() {
        errors.also(FieldError::missing("resources"));
    }
    for (index, resource) in resources.iter().enumerate() {
        errors.also(kind(resource).via_field_index("resources", index));
    }
    if let Some(owner) = get(spec, "owner") {
        errors.also(kind(owner).via_field("owner"));
    }
    if !list(spec, "filters").is_empty() && !context.configs.features.new_api_server_filters.is_enabled() {
        let message = "Filters is not empty but the NewAPIServerFilters feature is disabled.";
        errors.also(FieldError::new(message, "filters"));
    }
    errors.via_field("spec")
}

/// Checks a group, version and kind.
fn kind(holder: &Value) -> FieldErrors {
    let api_version = text(holder, "apiVersion");
    let parts: Vec<&str> = api_version.split('/').collect();
    let mut errors = FieldErrors::default();
    if parts.len() > 2 || parts.iter().any(|part| part.is_empty()) {
        errors.also(FieldError::invalid(api_version, "apiVersion"));
    }
    if text(holder, "kind").trim().is_empty() {
        errors.also(FieldError::missing("kind"));
    }
    errors
}

/// All but the schedule, which is checked by who reads it.
pub(super) fn ping(object: &Value, context: &Context<'_>) -> FieldErrors {
    let spec = field(object, "spec");
    let mut errors = source(spec, context);
    let limit = context.configs.ping.data_max_size;
    for name in ["data", "dataBase64"] {
        let size = i64::try_from(text(spec, name).len()).unwrap_or(i64::MAX);
        if limit > -1 && size > limit {
            let message = format!("the data length of {size} bytes exceeds limit set at {limit}.");
            errors.also(FieldError::invalid(message, name));
        }
    }
    let json = text(spec, "contentType") == "application/json";
    match (text(spec, "data"), text(spec, "dataBase64")) {
        ("", "") => {}
        (data, "") if json => errors.also(json_problem(data.as_bytes(), "data")),
        (_, "") => {}
        ("", encoded) => match decode_base64(encoded) {
            Some(data) if json => errors.also(json_problem(&data, "dataBase64")),
            Some(_) => {}
            None => errors.also(FieldError::invalid("illegal base64 data", "dataBase64")),
        },
        (_, _) => errors.also(FieldError::multiple_one_of(&["data", "dataBase64"])),
    }
    errors.via_field("spec")
}

fn json_problem(data: &[u8], name: &str) -> Option<FieldError> {
    let error = serde_json::from_slice::<serde::de::IgnoredAny>(data).err()?;
    Some(FieldError::invalid(error, name))
}

/// Standard base64 with padding; `None` if it is none.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    // The type of Kubernetes for bytes reads exactly this.
    let read: Result<k8s_openapi::ByteString, _> = serde_json::from_value(Value::from(text));
    read.ok().map(|bytes| bytes.0)
}

pub(super) fn container(object: &Value, context: &Context<'_>) -> FieldErrors {
    let spec = field(object, "spec");
    let mut errors = source(spec, context);
    let containers = list(field(field(spec, "template"), "spec"), "containers");
    if containers.is_empty() {
        errors.also(FieldError::missing("containers"));
    }
    for (index, container) in containers.iter().enumerate() {
        let missing = ["name", "image"]
            .into_iter()
            .filter(|name| text(container, name).is_empty());
        let missing: FieldErrors = missing.map(FieldError::missing).collect();
        errors.also(missing.via_field_index("containers", index));
    }
    errors.via_field("spec")
}

pub(super) fn sink_binding(object: &Value, context: &Context<'_>) -> FieldErrors {
    let spec = field(object, "spec");
    let mut errors = source(spec, context);
    let subject = field(spec, "subject");
    let mut problems = kind(subject);
    let (own, other) = (text(metadata(object), "namespace"), text(subject, "namespace"));
    if other != own {
        problems.also(FieldError::invalid(other, "namespace"));
    }
    match (
        text(subject, "name").is_empty(),
        get(subject, "selector").is_none(),
    ) {
        (true, true) => problems.also(FieldError::missing_one_of(&["name", "selector"])),
        (false, false) => problems.also(FieldError::multiple_one_of(&["name", "selector"])),
        _ => {}
    }
    errors.also(problems.via_field("subject"));
    errors.via_field("spec")
}

pub(super) fn git_hub(object: &Value, context: &Context<'_>) -> FieldErrors {
    let spec = field(object, "spec");
    let mut errors = source(spec, context);
    if text(spec, "ownerAndRepository").is_empty() {
        errors.also(FieldError::missing("ownerAndRepository"));
    }
    if list(spec, "eventTypes").is_empty() {
        errors.also(FieldError::missing("eventTypes"));
    }
    for name in ["accessToken", "secretToken"] {
        let key = field(field(spec, name), "secretKeyRef");
        if text(key, "name").is_empty() || text(key, "key").is_empty() {
            errors.also(FieldError::missing(name));
        }
    }
    errors.via_field("spec")
}

pub(super) fn job_sink(object: &Value) -> FieldErrors {
    let Some(job) = get(field(object, "spec"), "job") else {
        return FieldError::missing("spec.job").into();
    };
    let pod = field(field(field(job, "spec"), "template"), "spec");
    if list(pod, "containers").is_empty() {
        return FieldError::missing("spec.job.spec.template.spec.containers").into();
    }
    FieldErrors::default()
}
