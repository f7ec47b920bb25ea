//! Admission: defaults and checks of every write of a Repository, as answers to `AdmissionReview`s.

use crds::defaulting::spindrift as defaulting;
use crds::resource::spindrift::{Context, check_types, unknown_fields};
use crds::validation::spindrift as validation;
use reconciler::admission::{Decision, Webhooks, Write, answer};

pub use reconciler::admission::{Review, Webhook};

/// The webhooks of Repositories. There is no configuration to be checked.
pub const WEBHOOKS: Webhooks = Webhooks {
    domain: "webhook.spindrift.dev",
    prefix: "/spindrift",
    part: "tekton-pipelines",
    kinds: &[(crds::spindrift::GROUP, "v1alpha1", &["repositories"])],
};

/// Answers a review. A review without a request is refused.
pub fn handle(webhook: Webhook, review: Review) -> Review {
    answer(review, |write| decide(webhook, write))
}

fn decide(webhook: Webhook, write: &Write<'_>) -> Result<Decision, String> {
    let object = &write.object;
    let kind = &write.request.kind;
    if webhook == Webhook::ConfigValidation
        || kind.group != crds::spindrift::GROUP
        || kind.kind != "Repository"
    {
        return Ok(Decision::Unchanged);
    }
    let context = Context {
        old: write.old.as_ref(),
        status_only: write.is_status_only(),
    };
    let refusal = |error: &dyn std::fmt::Display| {
        format!("mutation failed: cannot decode incoming new object: {error}")
    };
    if let Err(error) = check_types(object) {
        // Who checks the values names the field, which the types do not.
        let found = validation::validate(object, &context).errors();
        return Err(if found.is_empty() {
            refusal(&error)
        } else {
            format!("validation failed: {found}")
        });
    }
    if !context.status_only {
        // Those that are stored already, by an older version for example, may stay.
        let stored = context.old.map(unknown_fields).unwrap_or_default();
        let unknown = unknown_fields(object)
            .into_iter()
            .find(|name| !stored.contains(name));
        if let Some(name) = unknown {
            return Err(refusal(&format_args!("json: unknown field {name:?}")));
        }
    }
    match webhook {
        Webhook::Defaulting => {
            let mut defaulted = object.clone();
            defaulting::apply(&mut defaulted, &context);
            Ok(Decision::between(object, &defaulted))
        }
        _ => Decision::checked(&validation::validate(object, &context)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn answered(webhook: Webhook, spec: Value) -> (bool, bool, String) {
        let review: Review = serde_json::from_value(json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {
                "uid": "u", "name": "web", "namespace": "ns", "operation": "CREATE",
                "kind": {"group": "spindrift.dev", "version": "v1alpha1", "kind": "Repository"},
                "resource": {"group": "spindrift.dev", "version": "v1alpha1", "resource": "repositories"},
                "userInfo": {"username": "jane"}, "dryRun": false,
                "object": {"apiVersion": "spindrift.dev/v1alpha1", "kind": "Repository", "metadata": {"name": "web"}, "spec": spec},
            },
        }))
        .unwrap();
        let response = handle(webhook, review).response.unwrap();
        (
            response.allowed,
            response.patch.is_some(),
            response.result.message,
        )
    }

    #[test]
    fn repositories_are_filled_in_and_checked() {
        let good = json!({"url": "http://git/app", "service": "web", "webhook": {"allowUnsigned": true}});
        assert_eq!(
            answered(Webhook::Defaulting, good.clone()),
            (true, true, String::new())
        );
        assert_eq!(
            answered(Webhook::ResourceValidation, good),
            (true, false, String::new())
        );
        for (spec, message) in [
            (
                json!({"service": "web"}),
                "validation failed: expected exactly one, got neither: spec.source, spec.url",
            ),
            (
                json!({"url": "http://git/app", "service": "web", "brnach": "x"}),
                "mutation failed: cannot decode incoming new object: json: unknown field \"brnach\"",
            ),
            (
                json!({"url": "http://git/app", "service": "web", "build": {"strategy": "magic"}}),
                "validation failed: invalid value: magic: spec.build.strategy\nit has to be auto, dockerfile or files",
            ),
        ] {
            assert_eq!(
                answered(Webhook::ResourceValidation, spec),
                (false, false, message.to_owned())
            );
        }
    }
}
