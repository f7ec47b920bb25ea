//! Tasks.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{FieldError, FieldErrors, params, results, step, workspaces};
use crate::config::tekton::Configs;
use crate::resource::{field, list, text};

/// Name of the sidecar that carries results.
const RESULTS_SIDECAR: &str = "tekton-log-results";

/// Checks the spec of a task; the paths begin below it.
pub(super) fn task_spec(spec: &Value, configs: &Configs) -> FieldErrors {
    let mut errors = FieldErrors::default();
    let steps = list(spec, "steps");
    if steps.is_empty() {
        errors.also(FieldError::missing("steps"));
    }
    errors.also(step::volumes(spec));
    errors.also(step::template(spec));
    errors.also(workspaces::of_task(spec));
    let template = field(spec, "stepTemplate");
    let mut seen = BTreeSet::new();
    for (index, value) in steps.iter().enumerate() {
        let mut found = step::step(value, template, configs);
        found.also(twice(value, &mut seen));
        errors.also(found.via_field_index("steps", index));
    }
    errors.also(sidecars(spec));
    errors.also(params::declared(spec, configs));
    errors.also(results::declared(spec));
    errors
}

fn sidecars(spec: &Value) -> FieldErrors {
    let mut seen = BTreeSet::new();
    let mut errors = FieldErrors::default();
    for (index, sidecar) in list(spec, "sidecars").iter().enumerate() {
        let name = text(sidecar, "name");
        let mut found = FieldErrors::from(step::name(name));
        if name == RESULTS_SIDECAR {
            found.also(FieldError::new(
                format!("Invalid: cannot use reserved sidecar name {name}"),
                "name",
            ));
        }
        if text(sidecar, "image").is_empty() {
            found.also(FieldError::missing("image"));
        }
        found.also(step::script(sidecar));
        found.also(step::mounts(sidecar));
        found.also(twice(sidecar, &mut seen));
        errors.also(found.via_index(index));
    }
    errors.via_field("sidecars")
}

fn twice<'v>(container: &'v Value, seen: &mut BTreeSet<&'v str>) -> Option<FieldError> {
    let name = text(container, "name");
    (!name.is_empty() && !seen.insert(name))
        .then(|| FieldError::invalid(format_args!("duplicate name {name:?}"), "name"))
}
