//! The variables of a StepAction: its own params, and nothing of the Task that uses it.

use crds::tekton::StepActionSpec;

use super::Field;
use super::fields::apply;
use super::task::{Error, scope_of_params};
use crate::params::Values;

/// The fields of a StepAction that have variables. Its script is none of them: whatever is given would become a part
/// of the program.
pub const FIELDS: &[Field] = &[
    Field::Text("image"),
    Field::Text("command"),
    Field::Text("args"),
    Field::Text("workingDir"),
    Field::Text("env[].value"),
    Field::Text("env[].valueFrom.secretKeyRef.name"),
    Field::Text("env[].valueFrom.secretKeyRef.key"),
    Field::Text("env[].valueFrom.configMapKeyRef.name"),
    Field::Text("env[].valueFrom.configMapKeyRef.key"),
    Field::Text("volumeMounts[].name"),
    Field::Text("volumeMounts[].mountPath"),
    Field::Text("volumeMounts[].subPath"),
];

/// The StepAction with its params replaced.
///
/// # Errors
/// If an index is out of bounds, or a field does not take its value.
pub fn substitute(action: &StepActionSpec, values: &Values) -> Result<StepActionSpec, Error> {
    let mut json = serde_json::to_value(action)?;
    apply(&mut json, FIELDS, &scope_of_params(values))?;
    Ok(serde_json::from_value(json)?)
}
