//! Conditions.

use serde_json::Value;

use super::{FieldError, FieldErrors};
use crate::config::tekton::Configs;
use crate::resource::{get, list, text};

/// Checks `when` of a step or of a pipeline's task.
pub(super) fn expressions(holder: &Value, configs: &Configs) -> FieldErrors {
    let mut errors = FieldErrors::default();
    for (index, expression) in list(holder, "when").iter().enumerate() {
        errors.also(condition(expression, configs).via_index(index));
    }
    errors.via_field("when")
}

fn condition(expression: &Value, configs: &Configs) -> FieldErrors {
    let (operator, cel) = (text(expression, "operator"), text(expression, "cel"));
    if !cel.is_empty() {
        let mut errors = FieldErrors::default();
        if !configs.features.enable_cel_in_when_expression {
            errors.also(
                FieldError::disallowed("cel").with_details(
                    "cel needs \"enable-cel-in-whenexpression\" to be \"true\" in feature-flags",
                ),
            );
        }
        let others = ["input", "operator", "values"];
        let given = others
            .into_iter()
            .filter(|name| get(expression, name).is_some_and(|value| !crate::resource::is_unset(value)));
        errors.extend(given.map(|name| FieldError::multiple_one_of(&["cel", name])));
        return errors;
    }
    let mut errors = FieldErrors::default();
    if !matches!(operator, "in" | "notin") {
        let message = format!("operator {operator:?} is not recognized. valid operators: in,notin");
        errors.also(FieldError::invalid(message, "operator"));
    }
    if list(expression, "values").is_empty() {
        errors.also(FieldError::missing("values"));
    }
    errors
}
