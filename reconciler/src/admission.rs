//! Answers to `AdmissionReview`s: what is the same whatever is admitted.
//!
//! A decision is a pure function over the JSON of a request. It is asked the same way whether the review comes over HTTP
//! from a cluster's API server or in process from the embedded one; refusals therefore have the same words and the same
//! status code in both.

use k8s_openapi::api::admissionregistration::v1::RuleWithOperations;
use kube::core::DynamicObject;
use kube::core::admission::{AdmissionRequest, AdmissionResponse, AdmissionReview, Operation};
use kube::core::response::StatusSummary;
use serde_json::Value;

/// A review as it is asked and answered.
pub type Review = AdmissionReview<DynamicObject>;

/// What one of the three webhooks of each part of the platform does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Webhook {
    /// Fills in defaults.
    Defaulting,
    /// Checks resources.
    ResourceValidation,
    /// Checks the ConfigMaps of the install.
    ConfigValidation,
}

impl Webhook {
    /// All of them, in the order in which they are asked.
    pub const ALL: [Self; 3] = [Self::Defaulting, Self::ResourceValidation, Self::ConfigValidation];

    /// May it change objects?
    pub fn is_mutating(self) -> bool {
        self == Self::Defaulting
    }
}

/// Plurals of the kinds of one version of an API group: group, version, plurals.
pub type Kinds = (&'static str, &'static str, &'static [&'static str]);

/// The webhooks of one part of the platform: their names, paths and rules.
#[derive(Clone, Copy, Debug)]
pub struct Webhooks {
    /// What their names end in.
    pub domain: &'static str,
    /// What the paths begin with at which they are asked over HTTP; its own for each part, so that one server may
    /// answer for all.
    pub prefix: &'static str,
    /// The part, as `app.kubernetes.io/name` has it.
    pub part: &'static str,
    /// The kinds that are defaulted and checked.
    pub kinds: &'static [Kinds],
}

impl Webhooks {
    /// The name of a webhook, which refusals mention.
    pub fn name(&self, webhook: Webhook) -> String {
        let role = match webhook {
            Webhook::Defaulting => "",
            Webhook::ResourceValidation => "validation.",
            Webhook::ConfigValidation => "config.",
        };
        format!("{role}webhook.{}", self.domain)
    }

    /// The path it is asked at over HTTP.
    pub fn path(&self, webhook: Webhook) -> String {
        let role = match webhook {
            Webhook::Defaulting => "defaulting",
            Webhook::ResourceValidation => "resource-validation",
            Webhook::ConfigValidation => "config-validation",
        };
        format!("{}/{role}", self.prefix)
    }

    /// Which requests it has to be asked about.
    pub fn rules(&self, webhook: Webhook) -> Vec<RuleWithOperations> {
        // Deletions are listed though always allowed: an object in deletion may still be updated.
        let operations: &[&str] = match webhook {
            Webhook::Defaulting => &["CREATE", "UPDATE"],
            Webhook::ResourceValidation => &["CREATE", "UPDATE", "DELETE"],
            Webhook::ConfigValidation => {
                return vec![rule(
                    &["CREATE", "UPDATE"],
                    "",
                    "v1",
                    vec!["configmaps".to_owned()],
                )];
            }
        };
        self.kinds
            .iter()
            .map(|(group, version, plurals)| {
                let resources = plurals
                    .iter()
                    .flat_map(|plural| [(*plural).to_owned(), format!("{plural}/status")]);
                rule(operations, group, version, resources.collect())
            })
            .collect()
    }
}

/// A write that is to be decided about.
#[derive(Debug)]
pub struct Write<'a> {
    /// The request that asks for it.
    pub request: &'a AdmissionRequest<DynamicObject>,
    /// The object as it is to be stored.
    pub object: Value,
    /// The object as it is stored now; `None` on creation.
    pub old: Option<Value>,
}

impl Write<'_> {
    /// Is only the status written?
    pub fn is_status_only(&self) -> bool {
        self.request.sub_resource.as_deref() == Some("status")
    }

    /// Who writes, by the name that the API server knows; empty if it does not say.
    pub fn user(&self) -> &str {
        self.request.user_info.username.as_deref().unwrap_or_default()
    }

    /// Is it written to this namespace?
    pub fn is_in(&self, namespace: &str) -> bool {
        self.request.namespace.as_deref() == Some(namespace)
    }

    /// The answer to a ConfigMap: those of the install, in `namespace`, have to pass the check.
    ///
    /// # Errors
    /// The refusal, in the words that clients match on.
    pub fn checked_config<E: std::fmt::Display>(
        &self,
        namespace: &str,
        check: impl FnOnce(&Value) -> Result<(), E>,
    ) -> Result<Decision, String> {
        if self.is_in(namespace) {
            check(&self.object).map_err(|error| format!("validation failed: {error}"))?;
        }
        Ok(Decision::Unchanged)
    }
}

/// What is answered to a write that is let through.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Decision {
    /// It is stored as it is.
    #[default]
    Unchanged,
    /// It is stored with a patch.
    Changed(json_patch::Patch),
    /// It is stored as it is, and the user is told something.
    Warned(Vec<String>),
}

impl Decision {
    /// The change from one object to another.
    pub fn between(object: &Value, changed: &Value) -> Self {
        let patch = json_patch::diff(object, changed);
        if patch.0.is_empty() {
            Self::Unchanged
        } else {
            Self::Changed(patch)
        }
    }

    /// The answer to an object that was checked: refused if there are errors, else warned about as far as there is
    /// something to warn about.
    ///
    /// # Errors
    /// The refusal, in the words that clients match on.
    pub fn checked(complaints: &crds::validation::FieldErrors) -> Result<Self, String> {
        let errors = complaints.errors();
        if !errors.is_empty() {
            return Err(format!("validation failed: {errors}"));
        }
        let warnings = complaints.warnings().merged();
        Ok(if warnings.is_empty() {
            Self::Unchanged
        } else {
            Self::Warned(warnings.iter().map(ToString::to_string).collect())
        })
    }
}

/// Answers a review by `decide`, whose error is the reason of a refusal. A review without a request is refused, and one
/// of a deletion let through: what is deleted need not be valid.
pub fn answer(review: Review, decide: impl FnOnce(&Write<'_>) -> Result<Decision, String>) -> Review {
    // The conversion also passes on the version of the review, in which it has to be answered.
    let request: Result<AdmissionRequest<DynamicObject>, _> = review.try_into();
    let Ok(request) = request else {
        return AdmissionResponse::invalid("the review has no request").into_review();
    };
    let response = AdmissionResponse::from(&request);
    if matches!(request.operation, Operation::Delete | Operation::Connect) {
        return response.into_review();
    }
    match write(&request).and_then(|write| decide(&write)) {
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

fn write(request: &AdmissionRequest<DynamicObject>) -> Result<Write<'_>, String> {
    let old = to_json(request.old_object.as_ref())?;
    match to_json(request.object.as_ref())? {
        Some(object) => Ok(Write { request, object, old }),
        None => Err("decoding request failed: the request has no object".to_owned()),
    }
}

/// An object of a request as JSON.
///
/// # Errors
/// If it cannot be written as JSON.
pub fn to_json(object: Option<&DynamicObject>) -> Result<Option<Value>, String> {
    object
        .map(serde_json::to_value)
        .transpose()
        .map_err(|error| format!("decoding request failed: {error}"))
}

fn refuse(response: AdmissionResponse, reason: String) -> AdmissionResponse {
    let mut response = response.deny(reason);
    response.result.status = Some(StatusSummary::Failure);
    response.result.code = 400;
    response.result.reason = "BadRequest".to_owned();
    response
}

/// A rule of a webhook's registration.
pub fn rule(operations: &[&str], group: &str, version: &str, resources: Vec<String>) -> RuleWithOperations {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    RuleWithOperations {
        api_groups: Some(vec![group.to_owned()]),
        api_versions: Some(vec![version.to_owned()]),
        operations: Some(owned(operations)),
        resources: Some(resources),
        scope: Some("*".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use crds::validation::{FieldError, FieldErrors};
    use serde_json::json;

    use super::*;

    fn review(operation: &str, object: Value) -> Review {
        serde_json::from_value(json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {
                "uid": "u", "name": "x", "namespace": "ns", "operation": operation,
                "kind": {"group": "g", "version": "v1", "kind": "K"},
                "resource": {"group": "g", "version": "v1", "resource": "r"}, "subResource": "status",
                "userInfo": {"username": "jane"}, "dryRun": false, "object": object,
            },
        }))
        .unwrap()
    }

    fn object() -> Value {
        json!({"apiVersion": "g/v1", "kind": "K", "metadata": {"name": "x"}, "spec": {"a": 1}})
    }

    #[test]
    fn webhooks_of_a_part_have_names_paths_and_rules() {
        let webhooks = Webhooks {
            domain: "part.example",
            prefix: "/part",
            part: "example-part",
            kinds: &[("g", "v1", &["as", "bs"]), ("g", "v2", &["cs"])],
        };
        let described = |webhook| {
            let rules = webhooks.rules(webhook).into_iter().map(|rule| {
                let parts = [rule.api_versions, rule.operations, rule.resources];
                parts.map(|part| part.unwrap_or_default().join(",")).join(" ")
            });
            (
                webhooks.name(webhook),
                webhooks.path(webhook),
                rules.collect::<Vec<_>>().join("; "),
            )
        };
        let expected = [
            (
                "webhook.part.example",
                "/part/defaulting",
                "v1 CREATE,UPDATE as,as/status,bs,bs/status; v2 CREATE,UPDATE cs,cs/status",
            ),
            (
                "validation.webhook.part.example",
                "/part/resource-validation",
                "v1 CREATE,UPDATE,DELETE as,as/status,bs,bs/status; v2 CREATE,UPDATE,DELETE cs,cs/status",
            ),
            (
                "config.webhook.part.example",
                "/part/config-validation",
                "v1 CREATE,UPDATE configmaps",
            ),
        ];
        for (webhook, (name, path, rules)) in Webhook::ALL.into_iter().zip(expected) {
            assert_eq!(
                described(webhook),
                (name.to_owned(), path.to_owned(), rules.to_owned())
            );
        }
    }

    #[test]
    fn decisions_become_answers() {
        let mut changed = object();
        changed["spec"]["b"] = json!(2);
        for (decision, allowed, patched, warnings, message) in [
            (Ok(Decision::Unchanged), true, false, None, ""),
            (Ok(Decision::between(&object(), &object())), true, false, None, ""),
            (Ok(Decision::between(&object(), &changed)), true, true, None, ""),
            (
                Ok(Decision::Warned(vec!["w".to_owned()])),
                true,
                false,
                Some(vec!["w".to_owned()]),
                "",
            ),
            (Err("no".to_owned()), false, false, None, "no"),
        ] {
            let answer = answer(review("CREATE", object()), |write| {
                assert_eq!((&write.object, write.user()), (&object(), "jane"));
                assert!(write.is_status_only() && write.is_in("ns") && write.old.is_none());
                decision.clone()
            });
            let response = answer.response.unwrap();
            assert_eq!(
                (response.allowed, response.patch.is_some()),
                (allowed, patched),
                "{decision:?}"
            );
            assert_eq!(response.warnings, warnings);
            assert_eq!(response.result.message, message);
            assert_eq!(response.result.code, if allowed { 0 } else { 400 });
        }
    }

    #[test]
    fn only_writes_with_an_object_are_decided_about() {
        let never = |_: &Write<'_>| -> Result<Decision, String> { panic!("nobody should be asked") };
        assert!(
            answer(review("DELETE", Value::Null), never)
                .response
                .unwrap()
                .allowed
        );
        let refused = answer(review("CREATE", Value::Null), never).response.unwrap();
        assert_eq!(
            refused.result.message,
            "decoding request failed: the request has no object"
        );
    }

    #[test]
    fn warnings_are_told_unless_there_are_errors() {
        let warning = FieldError::new("w", "p").as_warning();
        let mut complaints = FieldErrors::default();
        assert_eq!(Decision::checked(&complaints), Ok(Decision::Unchanged));
        complaints.also(warning);
        assert_eq!(
            Decision::checked(&complaints),
            Ok(Decision::Warned(vec!["w: p".to_owned()]))
        );
        complaints.also(FieldError::missing("q"));
        assert_eq!(
            Decision::checked(&complaints),
            Err("validation failed: missing field(s): q".to_owned())
        );
    }
}
