//! Step actions.

use serde_json::Value;

use super::{FieldError, FieldErrors, params, results, step};
use crate::config::tekton::Configs;
use crate::resource::text;

pub(super) fn step_action(spec: &Value, configs: &Configs) -> FieldErrors {
    let mut errors = FieldErrors::default();
    if text(spec, "image").is_empty() {
        errors.also(FieldError::missing("image"));
    }
    errors.also(step::script(spec));
    // Whatever is given would become a part of the program.
    if ["$(params.", "$(params["]
        .iter()
        .any(|variable| text(spec, "script").contains(variable))
    {
        errors.also(
            FieldError::invalid("param substitution in scripts is not allowed", "script")
                .with_details("pass the param by env, and use the variable of the environment"),
        );
    }
    errors.also(step::mounts(spec));
    errors.also(params::declared(spec, configs));
    errors.also(results::declared(spec));
    errors
}
