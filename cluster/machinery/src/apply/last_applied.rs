//! The way from `kubectl apply` to `kubectl apply --server-side`
//! (`managedfields/internal/lastapplied{manager,updater}.go`).
//!
//! Client-side apply left an annotation with the last configuration, and its fields belong to an `Update` manager.
//! The first server-side apply would conflict with them. Fields that still have the value of the annotation were
//! the user's own, so those conflicts are allowed.

use serde_json::Value;

use super::set::FieldSet;
use super::{ApplyError, Disputed, Step, compare, owned};

const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The manager that the rules below are for.
const KUBECTL: &str = "kubectl";

/// Longest annotation written (upstream: `totalAnnotationSizeLimitB`, 256 KiB).
const MAX_ANNOTATION: usize = 256 * 1024;

pub(super) fn apply(step: &Step<'_>) -> Result<Value, ApplyError> {
    let mut applied = match step.run(step.request.force) {
        Ok(applied) => applied,
        Err(Disputed(disputed)) => {
            let allowed = allowed_conflicts(step);
            let left: Vec<_> = disputed
                .into_iter()
                .filter(|(_, path)| path.intersection(&allowed).is_empty())
                .collect();
            if !left.is_empty() {
                return Err(conflicts(left));
            }
            step.run(true).map_err(|Disputed(disputed)| conflicts(disputed))?
        }
    };
    refresh(step, &mut applied);
    Ok(applied)
}

fn conflicts(disputed: Vec<(super::Conflict, FieldSet)>) -> ApplyError {
    ApplyError::Conflicts(disputed.into_iter().map(|(conflict, _)| conflict).collect())
}

/// The fields that the annotation and the live object agree on.
fn allowed_conflicts(step: &Step<'_>) -> FieldSet {
    let annotation = step.request.live.and_then(annotation);
    let (Some(live), Some(annotation), KUBECTL) = (step.request.live, annotation, step.request.manager)
    else {
        return FieldSet::default();
    };
    let Ok((last, _)) = crate::json::parse_strict(annotation.as_bytes()) else {
        return FieldSet::default();
    };
    let difference = compare::compare(step.typed, &last, live);
    owned::owned(step.typed, &last)
        .difference(&difference.modified)
        .difference(&difference.added)
        .difference(&difference.removed)
}

/// Keeps the annotation true, for users who go back to client-side apply.
fn refresh(step: &Step<'_>, applied: &mut Value) {
    if step.request.manager != KUBECTL || annotation(applied).is_none() {
        return;
    }
    let mut config = step.config.clone();
    if let Some(annotations) = config
        .pointer_mut("/metadata/annotations")
        .and_then(Value::as_object_mut)
    {
        annotations.remove(ANNOTATION);
    }
    let text = format!("{config}\n");
    if text.len() <= MAX_ANNOTATION
        && let Some(slot) = applied
            .pointer_mut("/metadata/annotations")
            .and_then(Value::as_object_mut)
            .and_then(|annotations| annotations.get_mut(ANNOTATION))
    {
        *slot = Value::String(text);
    }
}

fn annotation(object: &Value) -> Option<&str> {
    object
        .get("metadata")?
        .get("annotations")?
        .get(ANNOTATION)?
        .as_str()
}
