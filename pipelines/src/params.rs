//! Params: the values that a run gives against what a Task or Pipeline declares, with defaults.

mod defaults;

use std::collections::{BTreeMap, BTreeSet};

use crds::tekton::reasons::{pipeline_run, task_run};
use crds::tekton::{Param, ParamSpec, ParamType, ParamValue};

/// Values by name: of every declared param, and of those that were given without being declared.
pub type Values = BTreeMap<String, ParamValue>;

/// Why params cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("missing parameters which have no default values: {}", .0.join(", "))]
    Missing(Vec<String>),
    #[error("parameters have the wrong type: {}", .0.join(", "))]
    TypeMismatch(Vec<String>),
    #[error("object parameters lack keys: {}", .0.join(", "))]
    MissingKeys(Vec<String>),
    #[error("parameter {name}: value {value:?} is not allowed, it must be one of: {}", allowed.join(", "))]
    NotAllowed {
        name: String,
        value: String,
        allowed: Vec<String>,
    },
    #[error("defaults refer to each other in a circle: {}", .0.join(" → "))]
    DefaultsInACircle(Vec<String>),
    #[error("defaults refer to each other more than {depth} levels deep: {0}", depth = defaults::DEPTH)]
    DefaultsTooDeep(String),
    #[error("default of parameter {name}: {source}")]
    IndexOutOfBounds {
        name: String,
        source: crate::substitution::Error,
    },
}

impl Error {
    /// The reason that a PipelineRun gives.
    pub fn pipeline_run_reason(&self) -> &'static str {
        match self {
            Self::Missing(_) => pipeline_run::PARAMETER_MISSING,
            Self::TypeMismatch(_) => pipeline_run::PARAMETER_TYPE_MISMATCH,
            Self::MissingKeys(_) => pipeline_run::OBJECT_PARAMETER_MISS_KEYS,
            Self::NotAllowed { .. } => pipeline_run::INVALID_PARAM_VALUE,
            Self::DefaultsInACircle(_) | Self::DefaultsTooDeep(_) => pipeline_run::VALIDATION_FAILED,
            Self::IndexOutOfBounds { .. } => pipeline_run::PARAM_ARRAY_INDEXING_INVALID,
        }
    }

    /// The reason that a TaskRun gives.
    pub fn task_run_reason(&self) -> &'static str {
        match self {
            Self::NotAllowed { .. } => task_run::INVALID_PARAM_VALUE,
            _ => task_run::VALIDATION_FAILED,
        }
    }
}

/// The values of all params in a run. What is given is taken literally, defaults may refer to other params. Values
/// that nobody declared are kept.
///
/// # Errors
/// The first kind of error that there is, for all params that have it.
pub fn resolve(declared: &[ParamSpec], given: &[Param]) -> Result<Values, Error> {
    let values: Values = given
        .iter()
        .map(|param| (param.name.clone(), param.value.clone()))
        .collect();
    some_of(declared, Error::Missing, |spec| is_missing(spec, &values))?;
    some_of(declared, Error::TypeMismatch, |spec| wrong_type(spec, &values))?;
    some_of(declared, Error::MissingKeys, |spec| missing_keys(spec, &values))?;
    let values = defaults::fill(declared, values)?;
    for spec in declared {
        check_enum(spec, &values)?;
    }
    Ok(values)
}

fn some_of(
    declared: &[ParamSpec],
    error: impl Fn(Vec<String>) -> Error,
    wrong: impl Fn(&ParamSpec) -> Option<String>,
) -> Result<(), Error> {
    let found: Vec<String> = declared.iter().filter_map(wrong).collect();
    if found.is_empty() {
        Ok(())
    } else {
        Err(error(found))
    }
}

fn is_missing(spec: &ParamSpec, values: &Values) -> Option<String> {
    (spec.default.is_none() && !values.contains_key(&spec.name)).then(|| spec.name.clone())
}

fn wrong_type(spec: &ParamSpec, values: &Values) -> Option<String> {
    let (declared, given) = (spec.type_or_inferred(), values.get(&spec.name)?.type_());
    (declared != given).then(|| format!("{} is {given}, and {declared} is declared", spec.name))
}

fn missing_keys(spec: &ParamSpec, values: &Values) -> Option<String> {
    if spec.type_or_inferred() != ParamType::Object {
        return None;
    }
    let keys = |value: Option<&ParamValue>| -> BTreeSet<String> {
        let object = value.and_then(ParamValue::as_object);
        object.into_iter().flatten().map(|(key, _)| key.clone()).collect()
    };
    let there: BTreeSet<String> = &keys(values.get(&spec.name)) | &keys(spec.default.as_ref());
    let missing: Vec<&str> = spec
        .properties
        .keys()
        .filter(|key| !there.contains(*key))
        .map(String::as_str)
        .collect();
    (!missing.is_empty()).then(|| format!("{} lacks {}", spec.name, missing.join(" and ")))
}

fn check_enum(spec: &ParamSpec, values: &Values) -> Result<(), Error> {
    let Some(value) = values.get(&spec.name).and_then(ParamValue::as_str) else {
        return Ok(());
    };
    if spec.enum_.is_empty() || spec.enum_.iter().any(|allowed| allowed == value) {
        return Ok(());
    }
    Err(Error::NotAllowed {
        name: spec.name.clone(),
        value: value.to_owned(),
        allowed: spec.enum_.clone(),
    })
}

#[cfg(test)]
mod tests;
