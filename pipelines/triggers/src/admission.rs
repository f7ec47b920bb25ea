//! Admission: defaults and checks of every write of listeners, triggers, bindings, templates and interceptors.

mod check;
mod defaults;

use reconciler::admission::{Decision, Review, Webhook, Webhooks, Write, answer};
use serde::Deserialize as _;
use serde_json::{Map, Value};

/// The webhooks of triggers, and the kinds that they default and check.
pub const WEBHOOKS: Webhooks = Webhooks {
    domain: "triggers.tekton.dev",
    prefix: "/triggers",
    part: "tekton-triggers",
    kinds: &[
        (crds::triggers::GROUP, "v1beta1", KINDS),
        (crds::triggers::GROUP, "v1alpha1", KINDS),
        (
            crds::triggers::GROUP,
            "v1alpha1",
            &["clusterinterceptors", "interceptors"],
        ),
    ],
};

const KINDS: &[&str] = &[
    "eventlisteners",
    "triggers",
    "triggerbindings",
    "clustertriggerbindings",
    "triggertemplates",
];

/// Answers a review. A review without a request is refused.
pub fn handle(webhook: Webhook, review: Review) -> Review {
    answer(review, |write| decide(webhook, write))
}

fn decide(webhook: Webhook, write: &Write<'_>) -> Result<Decision, String> {
    let kind = write.request.kind.kind.as_str();
    let status_only = write.is_status_only();
    if webhook == Webhook::ConfigValidation || write.request.kind.group != crds::triggers::GROUP {
        return Ok(Decision::Unchanged);
    }
    let object = &write.object;
    types(kind, object)
        .map_err(|error| format!("mutation failed: cannot decode incoming new object: {error}"))?;
    let in_deletion = object
        .pointer("/metadata/deletionTimestamp")
        .is_some_and(|time| !time.is_null());
    if status_only || in_deletion {
        return Ok(Decision::Unchanged);
    }
    match webhook {
        Webhook::Defaulting => {
            let mut changed = object.clone();
            defaults::apply(kind, &mut changed);
            Ok(Decision::between(object, &changed))
        }
        _ => Decision::checked(&check::object(kind, object)),
    }
}

/// Reads an object by its type.
fn types(kind: &str, object: &Value) -> Result<(), serde_json::Error> {
    use crds::triggers as t;
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        for part in ["spec", "metadata"] {
            if fields.get(part).is_none_or(Value::is_null) {
                fields.insert(part.to_owned(), Value::Object(Map::new()));
            }
        }
    }
    match kind {
        "EventListener" => t::EventListener::deserialize(&object).map(drop),
        "Trigger" => t::Trigger::deserialize(&object).map(drop),
        "TriggerBinding" => t::TriggerBinding::deserialize(&object).map(drop),
        "ClusterTriggerBinding" => t::ClusterTriggerBinding::deserialize(&object).map(drop),
        "TriggerTemplate" => t::TriggerTemplate::deserialize(&object).map(drop),
        "ClusterInterceptor" => t::ClusterInterceptor::deserialize(&object).map(drop),
        "Interceptor" => t::Interceptor::deserialize(&object).map(drop),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
