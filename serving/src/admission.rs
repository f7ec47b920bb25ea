//! Admission: defaults and checks of every write, as answers to `AdmissionReview`s.
//!
//! The same pure function answers whether the review comes over HTTP from a cluster's API server or in process from the
//! embedded one; refusals therefore have the same words and the same status code in both.

mod settings;
mod webhook;

use crds::defaulting;
use crds::resource::{Context, Resource};
use crds::validation;
use reconciler::admission::{Decision, Write, answer};

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
    resource
        .check_types(object)
        .map_err(|error| format!("decoding request failed: cannot decode incoming new object: {error}"))?;
    let context = Context {
        configs: &settings.configs,
        cluster_domain: &settings.cluster_domain,
        old: write.old.as_ref(),
        status_only: write.is_status_only(),
        user: write.user(),
    };
    match webhook {
        Webhook::Defaulting => {
            let mut defaulted = object.clone();
            defaulting::apply(resource, &mut defaulted, &context);
            Ok(Decision::between(object, &defaulted))
        }
        _ => Decision::checked(&validation::validate(resource, object, &context)),
    }
}

#[cfg(test)]
mod tests;
