//! PATCH in its four forms.

use cluster_machinery::patch::{self, PatchError};
use serde_json::Value;

use super::{Answer, Call, Registry};
use crate::status::StatusError;

/// Content types of patches.
pub(crate) const SUPPORTED: &str = "application/json-patch+json, application/merge-patch+json, \
                                    application/strategic-merge-patch+json, application/apply-patch+yaml";

/// A patch body.
#[derive(Clone, Debug)]
pub(crate) enum Patch {
    Json(Value),
    Merge(Value),
    Strategic(Value),
    Apply(Value),
}

impl Registry {
    /// Changes an object by a patch.
    pub(crate) async fn patch(&self, call: &mut Call, patch: Patch) -> Result<Answer, StatusError> {
        let patch = match patch {
            Patch::Apply(config) => return self.apply(call, config).await,
            other => other,
        };
        let mut first = true;
        self.modify(call, &mut |registry, call, current| {
            let mut next = current.clone();
            apply_patch(call, &mut next, &patch)?;
            if first {
                registry.prepare_fields(call, &mut next)?;
                // Another attempt must not repeat the warnings of this one.
                first = false;
            }
            Ok(next)
        })
        .await
    }
}

fn apply_patch(call: &Call, target: &mut Value, patch: &Patch) -> Result<(), StatusError> {
    let result = match patch {
        Patch::Json(patch) => patch::json(target, patch),
        Patch::Merge(patch) => patch::merge(target, patch),
        Patch::Strategic(patch) => match (call.resource.custom(), call.resource.schema()) {
            (None, Some(schema)) => patch::strategic(target, patch, &schema),
            _ => Err(PatchError::UnsupportedMediaType),
        },
        Patch::Apply(_) => Err(PatchError::UnsupportedMediaType),
    };
    result.map_err(|error| match error {
        PatchError::Malformed(why) => StatusError::bad_request(why),
        // Without details: clients would show those instead of the reason.
        PatchError::Unprocessable(_) => StatusError::new(422, "Invalid", error.to_string()),
        PatchError::UnsupportedMediaType => StatusError::new(415, "UnsupportedMediaType", error.to_string()),
    })
}
