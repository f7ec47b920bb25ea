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
use kube::core::DynamicObject;
use kube::core::admission::{AdmissionRequest, AdmissionResponse, AdmissionReview, Operation};
use kube::core::response::StatusSummary;
use serde_json::Value;

pub use bindings::{Bindings, Reach};
pub use settings::Settings;
pub use webhook::Webhook;

/// A review as it is asked and answered.
pub type Review = AdmissionReview<DynamicObject>;

/// Answers a review. A review without a request is refused.
pub fn handle(webhook: Webhook, review: Review, settings: &Settings) -> Review {
    // The conversion also passes on the version of the review, in which it has to be answered.
    let request: Result<AdmissionRequest<DynamicObject>, _> = review.try_into();
    let Ok(request) = request else {
        return AdmissionResponse::invalid("the review has no request").into_review();
    };
    let response = AdmissionResponse::from(&request);
    // What is deleted need not be valid.
    if matches!(request.operation, Operation::Delete | Operation::Connect) {
        return response.into_review();
    }
    match decide(webhook, &request, settings) {
        Ok(Decision::Unchanged) => response,
        Ok(Decision::Warned(warnings)) => {
            let mut response = response;
            response.warnings = Some(warnings);
            response
        }
        Ok(Decision::Changed(patch)) => response
            .clone()
            .with_patch(patch)
            .unwrap_or_else(|error| refuse(response, format!("mutation failed: {error}"))),
        Err(reason) => refuse(response, reason),
    }
    .into_review()
}

/// What is answered to a request that is let through.
enum Decision {
    Unchanged,
    Changed(json_patch::Patch),
    Warned(Vec<String>),
}

fn decide(
    webhook: Webhook,
    request: &AdmissionRequest<DynamicObject>,
    settings: &Settings,
) -> Result<Decision, String> {
    let (object, old) = (
        to_json(request.object.as_ref())?,
        to_json(request.old_object.as_ref())?,
    );
    let Some(object) = object else {
        return Err("decoding request failed: the request has no object".to_owned());
    };
    if webhook == Webhook::ConfigValidation {
        let ours = request.namespace.as_deref() == Some(&settings.system_namespace);
        let checked = if ours {
            validation::config_map(&object)
        } else {
            Ok(())
        };
        return checked
            .map(|()| Decision::Unchanged)
            .map_err(|error| format!("validation failed: {error}"));
    }
    let Some(resource) = Resource::find(&request.kind.group, &request.kind.kind) else {
        return Ok(Decision::Unchanged);
    };
    let status_only = request.sub_resource.as_deref() == Some("status");
    decode(resource, &object, old.as_ref(), status_only)?;
    let context = Context {
        configs: &settings.configs,
        old: old.as_ref(),
        status_only,
        user: request.user_info.username.as_deref().unwrap_or_default(),
        system_namespace: &settings.system_namespace,
        controller: &settings.controller,
    };
    match webhook {
        Webhook::Defaulting => Ok(default(resource, &object, &context)),
        _ => validate(resource, &object, &context),
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

fn default(resource: Resource, object: &Value, context: &Context<'_>) -> Decision {
    let mut defaulted = object.clone();
    defaulting::apply(resource, &mut defaulted, context);
    let patch = json_patch::diff(object, &defaulted);
    if patch.0.is_empty() {
        Decision::Unchanged
    } else {
        Decision::Changed(patch)
    }
}

fn validate(resource: Resource, object: &Value, context: &Context<'_>) -> Result<Decision, String> {
    let mut complaints = validation::validate(resource, object, context);
    if !context.status_only {
        complaints.also(filters::problems(resource, object));
        complaints.also(schedule::problem(resource, object));
    }
    let errors = complaints.errors();
    if !errors.is_empty() {
        return Err(format!("validation failed: {errors}"));
    }
    let warnings: Vec<String> = complaints
        .warnings()
        .merged()
        .iter()
        .map(ToString::to_string)
        .collect();
    Ok(if warnings.is_empty() {
        Decision::Unchanged
    } else {
        Decision::Warned(warnings)
    })
}

fn refuse(response: AdmissionResponse, reason: String) -> AdmissionResponse {
    let mut response = response.deny(reason);
    response.result.status = Some(StatusSummary::Failure);
    response.result.code = 400;
    response.result.reason = "BadRequest".to_owned();
    response
}

fn to_json(object: Option<&DynamicObject>) -> Result<Option<Value>, String> {
    object
        .map(serde_json::to_value)
        .transpose()
        .map_err(|error| format!("decoding request failed: {error}"))
}

#[cfg(test)]
mod tests;
