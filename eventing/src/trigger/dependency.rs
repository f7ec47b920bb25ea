//! The object that has to be ready before a trigger is, by its annotation.

use std::sync::Arc;

use crds::annotations;
use crds::eventing::Trigger;
use k8s_openapi::api::core::v1::ObjectReference;
use reconciler::{Conditions, Key};

use crate::shared::{annotation, namespace_of};
use crate::tracker::{Kind, Referrer, Target, TrackError, Tracked, Tracker};

pub(super) const DEPENDENCY_READY: &str = "DependencyReady";

/// What became of looking for it.
#[derive(Debug)]
pub(super) enum Dependency {
    None,
    /// The annotation cannot be read.
    Invalid(String),
    /// Its kind cannot be followed.
    Untracked(TrackError),
    Missing(String),
    Found(Arc<Tracked>),
}

impl Dependency {
    pub(super) async fn observe(tracker: &Tracker, trigger: &Trigger, referrer: &Referrer) -> Self {
        let Some(text) = annotation(&trigger.metadata, annotations::DEPENDENCY) else {
            return Self::None;
        };
        let reference: ObjectReference = match serde_json::from_str(text) {
            Ok(reference) => reference,
            Err(error) => return Self::Invalid(error.to_string()),
        };
        // A trigger depends on what is beside it.
        let namespace = namespace_of(&trigger.metadata);
        let name = reference.name.unwrap_or_default();
        let kind = Kind::new(
            reference.api_version.unwrap_or_default(),
            reference.kind.unwrap_or_default(),
        );
        let missing = format!("{kind} {name:?} not found");
        let target = Target {
            kind,
            key: Key::new(namespace, name),
        };
        match tracker.observe(&target, referrer).await {
            Ok(Some(found)) => Self::Found(found),
            Ok(None) => Self::Missing(missing),
            Err(error) => Self::Untracked(error),
        }
    }

    pub(super) fn mark(&self, conditions: &mut Conditions<'_>) {
        match self {
            Self::None => conditions.mark_true(DEPENDENCY_READY),
            Self::Invalid(why) => {
                let message = format!(
                    "Unable to unmarshal objectReference from dependency annotation of trigger: {why}"
                );
                conditions.mark_false(DEPENDENCY_READY, "ReferenceError", &message);
            }
            Self::Untracked(error) => {
                let message = format!("Failed to retrieve lister: {error}");
                conditions.mark_unknown(DEPENDENCY_READY, "ListerDoesNotExist", &message);
            }
            Self::Missing(what) => {
                let message = format!("Dependency does not exist: {what}");
                conditions.mark_false(DEPENDENCY_READY, "DependencyDoesNotExist", &message);
            }
            Self::Found(found) if found.generation != found.observed_generation() => {
                let message = format!(
                    "The dependency's metadata.generation, \"{}\", is not equal to its status.observedGeneration, \"{}\".",
                    found.generation,
                    found.observed_generation()
                );
                conditions.mark_unknown(DEPENDENCY_READY, "GenerationNotEqual", &message);
            }
            Self::Found(found) => match found.ready() {
                Some(ready) => conditions.copy(DEPENDENCY_READY, &ready),
                None => conditions.mark_unknown(
                    DEPENDENCY_READY,
                    "DependencyNotConfigured",
                    "Dependency has not yet been reconciled.",
                ),
            },
        }
    }
}
