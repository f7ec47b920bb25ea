//! Admission: defaults and checks of every write of tasks, pipelines and their runs, as answers to `AdmissionReview`s.
//!
//! What can be told without reading variables is decided by the crate `crds`; here is what needs them: variables that
//! stand for nothing, and the order of a pipeline's tasks.

mod artifacts;
mod conditions;
mod order;
mod settings;
mod variables;
mod webhook;

use crds::config::tekton::Configs;
use crds::defaulting::tekton as defaulting;
use crds::resource::tekton::{Context, Resource};
use crds::tekton::versions::{self, Versions};
use crds::validation::tekton as validation;
use reconciler::admission::{Decision, Write, answer};
use serde_json::Value;

pub use reconciler::admission::{Review, Webhook};
pub use settings::Settings;
pub use webhook::WEBHOOKS;

/// Answers a review. A review without a request is refused.
pub fn handle(webhook: Webhook, review: Review, settings: &Settings) -> Review {
    answer(review, |write| decide(webhook, write, settings))
}

fn decide(webhook: Webhook, write: &Write<'_>, settings: &Settings) -> Result<Decision, String> {
    let given = &write.object;
    if webhook == Webhook::ConfigValidation {
        return write.checked_config(&settings.system_namespace, validation::config_map);
    }
    let kind = &write.request.kind;
    let Some(resource) = Resource::find(&kind.group, &kind.kind) else {
        return Ok(Decision::Unchanged);
    };
    // Everything is decided by what is stored in the end.
    let older = Versions::of(resource).is_some_and(|versions| kind.version == versions.older);
    let (mut object, mut old) = (given.clone(), write.old.clone());
    if older {
        versions::to_stored(resource, &mut object);
        if let Some(old) = &mut old {
            versions::to_stored(resource, old);
        }
    }
    let context = Context {
        configs: &settings.configs,
        old: old.as_ref(),
        status_only: write.is_status_only(),
    };
    decode(resource, &object, &context)?;
    match webhook {
        Webhook::Defaulting => {
            defaulting::apply(resource, &mut object, &context);
            if older {
                versions::from_stored(resource, &mut object);
            }
            Ok(Decision::between(given, &object))
        }
        _ => validate(resource, &object, &context),
    }
}

/// An object that was found elsewhere, with defaults, if it could be created here.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn admitted(resource: Resource, mut object: Value, configs: &Configs) -> Result<Value, String> {
    let context = Context::creating(configs);
    decode(resource, &object, &context)?;
    defaulting::apply(resource, &mut object, &context);
    validate(resource, &object, &context).map(|_| object)
}

/// Refuses what is not of the types, or has fields that the kind does not have; first of all those that it once had,
/// with what replaces them. Unknown fields that are stored already, by an older version for example, may stay.
fn decode(resource: Resource, object: &Value, context: &Context<'_>) -> Result<(), String> {
    let refusal = |error: &dyn std::fmt::Display| {
        format!("mutation failed: cannot decode incoming new object: {error}")
    };
    if context.status_only {
        return resource.check_types(object).map_err(|error| refusal(&error));
    }
    let stored = context
        .old
        .map(|old| resource.unknown_fields(old))
        .unwrap_or_default();
    let removed = validation::removed(resource, object);
    if !removed.is_empty()
        && context
            .old
            .is_none_or(|old| validation::removed(resource, old).is_empty())
    {
        return Err(format!("validation failed: {removed}"));
    }
    if let Err(error) = resource.check_types(object) {
        // Who checks the values names the field, which the types do not.
        let found = validation::validate(resource, object, context).errors();
        return Err(if found.is_empty() {
            refusal(&error)
        } else {
            format!("validation failed: {found}")
        });
    }
    match resource
        .unknown_fields(object)
        .into_iter()
        .find(|name| !stored.contains(name))
    {
        Some(name) => Err(refusal(&format_args!("json: unknown field {name:?}"))),
        None => Ok(()),
    }
}

fn validate(resource: Resource, object: &Value, context: &Context<'_>) -> Result<Decision, String> {
    let mut complaints = validation::validate(resource, object, context);
    if !context.status_only && !is_being_deleted(object) {
        complaints.also(order::problems(resource, object));
        complaints.also(conditions::problems(resource, object));
        complaints.also(variables::problems(resource, object));
        if !context.configs.features.enable_artifacts {
            complaints.also(artifacts::problems(resource, object));
        }
    }
    Decision::checked(&complaints)
}

fn is_being_deleted(object: &Value) -> bool {
    object
        .pointer("/metadata/deletionTimestamp")
        .is_some_and(|time| !time.is_null())
}

#[cfg(test)]
mod tests;
