//! Schemas at work: unknown fields, pruning, defaults, and who owns which field.

use serde_json::Value;

use super::{Call, Registry};
use crate::request::Validation;
use crate::resource::{Origin, Resource};
use crate::status::StatusError;

impl Registry {
    /// Treats a body as the client sent it: unknown and repeated fields are reported as the client wishes, then dropped,
    /// and absent ones get their defaults.
    pub(super) fn prepare_fields(&self, call: &mut Call, object: &mut Value) -> Result<(), StatusError> {
        report_fields(call, object)?;
        default(&call.resource, object);
        Ok(())
    }

    /// Fills in defaults again after handlers changed the object.
    pub(crate) fn complete_fields(&self, call: &Call, object: &mut Value) -> Result<(), StatusError> {
        default(&call.resource, object);
        Ok(())
    }
}

/// Drops what the schema does not know and fills in what it has defaults for.
fn default(resource: &Resource, object: &mut Value) {
    let schema = resource.schema();
    if let Some(schema) = &schema {
        schema.prune(object);
    }
    match &resource.origin {
        Origin::Builtin(kind) => kind.default(object),
        Origin::Custom(_) => {
            if let Some(schema) = &schema {
                schema.default(object);
            }
        }
    }
}

/// Reports unknown and repeated fields as the client wishes.
pub(super) fn report_fields(call: &mut Call, object: &Value) -> Result<(), StatusError> {
    if call.query.validation == Validation::Ignore {
        return Ok(());
    }
    let unknown = call
        .resource
        .schema()
        .map(|schema| schema.unknown_fields(object))
        .unwrap_or_default();
    let problems: Vec<String> = std::mem::take(&mut call.duplicates)
        .into_iter()
        .map(|path| format!("duplicate field \"{path}\""))
        .chain(
            unknown
                .into_iter()
                .map(|path| format!("unknown field \"{path}\"")),
        )
        .collect();
    if problems.is_empty() {
        return Ok(());
    }
    if call.query.validation == Validation::Strict {
        let Resource { kind, version, .. } = &*call.resource;
        return Err(StatusError::bad_request(format!(
            "{kind} in version \"{version}\" cannot be handled as a {kind}: strict decoding error: {}",
            problems.join(", ")
        )));
    }
    call.warnings.extend(problems);
    Ok(())
}
