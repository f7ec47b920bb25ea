//! Matrices.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::{FieldError, FieldErrors, has_variable, params};
use crate::config::tekton::Configs;
use crate::resource::{field, get, list, text};
use crate::tekton::ParamValue;

/// Checks the matrix of a task; the paths begin below the task.
pub(super) fn matrix(task: &Value, configs: &Configs) -> FieldErrors {
    let Some(matrix) = get(task, "matrix") else {
        return FieldErrors::default();
    };
    let mut errors = params::given(matrix);
    if list(matrix, "params").is_empty() && list(matrix, "include").is_empty() {
        errors.also(FieldError::missing_one_of(&["params", "include"]));
    }
    let mut combinations: usize = 1;
    for (index, param) in list(matrix, "params").iter().enumerate() {
        match ParamValue::from_json(field(param, "value")) {
            ParamValue::Array(values) => combinations = combinations.saturating_mul(counted(&values)),
            // All of a list that is not known yet.
            ParamValue::String(text) if text.contains("[*]") && has_variable(&text) => {}
            _ => {
                let error =
                    FieldError::invalid("parameters of type array only are allowed in matrix", "value");
                errors.also(FieldErrors::from(error).via_field_index("params", index));
            }
        }
    }
    for (index, include) in list(matrix, "include").iter().enumerate() {
        let mut found = params::given(include);
        for (at, param) in list(include, "params").iter().enumerate() {
            if ParamValue::from_json(field(param, "value")).as_str().is_none() {
                let error = FieldError::invalid(
                    "parameters of type string only are allowed in matrix.include",
                    "value",
                );
                found.also(FieldErrors::from(error).via_field_index("params", at));
            }
        }
        errors.also(found.via_field_index("include", index));
    }
    let most = configs.defaults.max_matrix_combinations;
    // Without lists, each entry of `include` is a combination of its own.
    let several = if list(matrix, "params").is_empty() {
        list(matrix, "include").len()
    } else {
        combinations
    };
    if several > most {
        errors.also(FieldError::out_of_bounds(several, 0, most, ""));
    }
    let mut errors = errors.via_field("matrix");
    errors.also(both(task, matrix));
    errors
}

/// How many values there are at least: variables may stand for none.
fn counted(values: &[String]) -> usize {
    values
        .iter()
        .filter(|value| !(has_variable(value) && value.contains("[*]")))
        .count()
        .max(1)
}

/// A param is either of the task or of its matrix.
fn both(task: &Value, matrix: &Value) -> FieldErrors {
    let given: BTreeSet<&str> = list(task, "params")
        .iter()
        .map(|param| text(param, "name"))
        .collect();
    list(matrix, "params")
        .iter()
        .map(|param| text(param, "name"))
        .filter(|name| given.contains(name))
        .map(|name| FieldError::multiple_one_of(&[&format!("matrix[{name}]"), &format!("params[{name}]")]))
        .collect()
}
