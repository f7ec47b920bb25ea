//! Admission: defaults and checks of every write of a kind of events, as answers to `AdmissionReview`s.
//!
//! The same pure function answers whether the review comes over HTTP from a cluster's API server or in process from the
//! embedded one; refusals therefore have the same words and the same status code in both.

mod bindings;
mod filters;
mod schedule;
mod settings;
mod webhook;

use crds::defaulting::events as defaulting;
use crds::resource::events::{Context, Resource};
use crds::validation::events as validation;
use reconciler::admission::{Decision, Write, answer};
use serde_json::Value;

pub use bindings::{Bindings, Reach};
pub use reconciler::admission::{Review, Webhook};
pub use settings::Settings;
pub use webhook::WEBHOOKS;

/// Answers a review. A review without a request is refused.
pub fn handle(webhook: Webhook, review: Review, settings: &Settings) -> Review {
    answer(review, |write| decide(webhook, write, settings))
}

fn decide(webhook: Webhook, write: &Write<'_>, settings: &Settings) -> Result<Decision, String> {
    let object = &write.object;
    if webhook == Webhook::ConfigValidation {
        return write.checked_config(&settings.system_namespace, validation::config_map);
    }
    let kind = &write.request.kind;
    let Some(resource) = Resource::find(&kind.group, &kind.kind) else {
        return Ok(Decision::Unchanged);
    };
    let status_only = write.is_status_only();
    decode(resource, object, write.old.as_ref(), status_only)?;
    let context = Context {
        configs: &settings.configs,
        old: write.old.as_ref(),
        status_only,
        user: write.user(),
        system_namespace: &settings.system_namespace,
        controller: &settings.controller,
    };
    match webhook {
        Webhook::Defaulting => {
            let mut defaulted = object.clone();
            defaulting::apply(resource, &mut defaulted, &context);
            Ok(Decision::between(object, &defaulted))
        }
        _ => validate(resource, object, &context),
    }
}

/// Refuses what is not of the types, or has fields that the kind does not have. Those that are stored already, by an
/// older version for example, may stay.
fn decode(resource: Resource, object: &Value, old: Option<&Value>, status_only: bool) -> Result<(), String> {
    let refusal = |error: &dyn std::fmt::Display| {
        format!("mutation failed: cannot decode incoming new object: {error}")
    };
    resource.check_types(object).map_err(|error| refusal(&error))?;
    if status_only {
        return Ok(());
    }
    let stored = old.map(|old| resource.unknown_fields(old)).unwrap_or_default();
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
    if !context.status_only {
        complaints.also(filters::problems(resource, object));
        complaints.also(schedule::problem(resource, object));
    }
    Decision::checked(&complaints)
}

#[cfg(test)]
mod tests;
