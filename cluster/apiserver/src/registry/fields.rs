//! Schemas at work: unknown fields, pruning, defaults, and who owns which field.

use serde_json::Value;

use super::{Call, Registry};
use crate::status::StatusError;

impl Registry {
    /// Treats a body as the client sent it: unknown fields are reported, then dropped or kept as the schema says.
    pub(super) fn prepare_fields(&self, _call: &mut Call, _object: &mut Value) -> Result<(), StatusError> {
        Ok(())
    }

    /// Fills in defaults again after handlers changed the object.
    pub(super) fn complete_fields(&self, _call: &Call, _object: &mut Value) -> Result<(), StatusError> {
        Ok(())
    }

    /// Records who owns the fields that a write changed.
    pub(super) fn record_fields(
        &self,
        _call: &Call,
        _old: Option<&Value>,
        _new: &mut Value,
    ) -> Result<(), StatusError> {
        Ok(())
    }
}
