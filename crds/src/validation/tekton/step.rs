//! Steps.

use serde_json::Value;

use super::{FieldError, FieldErrors, duration, has_variable, on_error, params, references, results, when};
use crate::config::tekton::Configs;
use crate::dns;
use crate::resource::{field, get, is_unset, list, text};

/// Fields that say what runs, which a StepAction says for a step that refers to one.
const SAID_BY_REFERENCE: [&str; 8] = [
    "image",
    "command",
    "args",
    "script",
    "workingDir",
    "env",
    "volumeMounts",
    "results",
];
/// Volumes of our own begin so.
const RESERVED_VOLUMES: &str = "tekton-internal-";

/// Checks a step; `template` is what it has unless it says otherwise.
pub(super) fn step(value: &Value, template: &Value, configs: &Configs) -> FieldErrors {
    let mut errors = FieldErrors::default();
    let has = |name: &str| get(value, name).is_some_and(|field| !is_unset(field));
    if let Some(reference) = get(value, "ref") {
        errors.also(references::reference(reference, configs).via_field("ref"));
        errors.also(params::given(value));
        for name in SAID_BY_REFERENCE.into_iter().filter(|name| has(name)) {
            errors.also(FieldError::new(format!("{name} cannot be used with Ref"), name));
        }
    } else {
        if has("params") {
            errors.also(FieldError::new("params cannot be used without Ref", "params"));
        }
        if !has("image") && text(template, "image").is_empty() {
            errors.also(FieldError::missing("image"));
        }
        errors.also(script(value));
        errors.also(results::declared(value));
    }
    errors.also(name(text(value, "name")));
    errors.also(duration(value, "timeout").err());
    errors.also(on_error(value));
    errors.also(mounts(value));
    errors.also(when::expressions(value, configs));
    for name in ["stdoutConfig", "stderrConfig"] {
        errors.also(super::alpha(value, name, configs));
    }
    errors
}

/// Complains about a name that cannot be one of a container.
pub(super) fn name(name: &str) -> Option<FieldError> {
    if name.is_empty() || has_variable(name) {
        return None;
    }
    let reasons = dns::label_1123(name);
    (!reasons.is_empty())
        .then(|| FieldError::invalid(format_args!("{name:?}"), "name").with_details(reasons.join(", ")))
}

/// A script is what runs; a program beside it would not.
pub(super) fn script(container: &Value) -> Option<FieldError> {
    (!text(container, "script").is_empty() && !list(container, "command").is_empty())
        .then(|| FieldError::new("script cannot be used with command", "script"))
}

/// Checks where a step or sidecar mounts volumes: not where we do, and none of our own.
pub(super) fn mounts(container: &Value) -> FieldErrors {
    let mut errors = FieldErrors::default();
    for (index, mount) in list(container, "volumeMounts").iter().enumerate() {
        let (name, path) = (text(mount, "name"), text(mount, "mountPath"));
        let mut found = FieldErrors::default();
        if is_reserved_path(path) {
            let message = format!(
                "volumeMount cannot be mounted under /tekton/ (volumeMount {name:?} mounted at {path:?})"
            );
            found.also(FieldError::new(message, "mountPath"));
        }
        if name.starts_with(RESERVED_VOLUMES) {
            let message = format!("volumeMount name {name:?} cannot start with {RESERVED_VOLUMES:?}");
            found.also(FieldError::new(message, "name"));
        }
        errors.also(found.via_field_index("volumeMounts", index));
    }
    errors
}

/// Is it a path below `/tekton`, except `/tekton/home`? However it is spelled.
fn is_reserved_path(path: &str) -> bool {
    if !path.starts_with('/') {
        return false;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    matches!(parts.as_slice(), ["tekton", second, ..] if *second != "home")
}

/// Checks the volumes of a task.
pub(super) fn volumes(spec: &Value) -> FieldErrors {
    let mut seen = std::collections::BTreeSet::new();
    let mut errors = FieldErrors::default();
    for (index, volume) in list(spec, "volumes").iter().enumerate() {
        let name = text(volume, "name");
        if name.is_empty() {
            errors.also(FieldError::missing("name").via_index(index));
        } else if !seen.insert(name) {
            let message = format!("multiple volumes with same name {name:?}");
            errors.also(FieldError::new(message, "name").via_index(index));
        } else if name.starts_with(RESERVED_VOLUMES) {
            let message = format!("volume name {name:?} cannot start with {RESERVED_VOLUMES:?}");
            errors.also(FieldError::new(message, "name").via_index(index));
        }
    }
    errors.via_field("volumes")
}

/// Checks the template of steps.
pub(super) fn template(spec: &Value) -> FieldErrors {
    mounts(field(spec, "stepTemplate")).via_field("stepTemplate")
}
