//! The status of a SinkBinding from what was observed.

use crds::annotations::BOUND_KINDS;
use crds::sources::{SinkBinding, SinkBindingStatus};
use k8s_openapi::jiff::Timestamp;
use reconciler::{ConditionSet, Conditions};

use super::kinds;
use super::workloads::Outcome;
use crate::identity::{Identity, OIDC_IDENTITY_CREATED};
use crate::sources::sink::{self, SINK_PROVIDED, Sink};
use crate::tracker::Kind;

const AVAILABLE: &str = "SinkBindingAvailable";
const TOKEN_CREATED: &str = "OIDCTokenSecretCreated";
const TRUST_BUNDLE: &str = "TrustBundlePropagated";
const CONDITIONS: ConditionSet = ConditionSet::new(&[
    AVAILABLE,
    SINK_PROVIDED,
    OIDC_IDENTITY_CREATED,
    TOKEN_CREATED,
    TRUST_BUNDLE,
]);

/// What one look at a binding's surroundings found.
#[derive(Debug)]
pub(super) struct Observed {
    pub sink: Sink,
    pub identity: Identity,
    pub outcome: Outcome,
    /// Of which workloads may be bound.
    pub kinds: Vec<Kind>,
}

/// What has to be stored before workloads are bound: where to, and of which kinds.
pub(super) fn announced(mut status: SinkBindingStatus, observed: &Observed) -> SinkBindingStatus {
    sink::fill(&mut status, &observed.sink, Vec::new(), &observed.identity);
    let annotations = status.annotations.get_or_insert_default();
    annotations.insert(BOUND_KINDS.to_owned(), kinds::written(&observed.kinds));
    status
}

pub(super) fn binding_status(
    binding: &SinkBinding,
    observed: &Observed,
    now: Timestamp,
) -> SinkBindingStatus {
    let mut status = binding.status.clone().unwrap_or_default();
    let before = status.conditions.clone();
    let generation = binding.metadata.generation;
    CONDITIONS.begin(&mut status, generation, now);
    let mut status = announced(status, observed);
    let mut conditions = CONDITIONS.manage(&mut status, now);
    sink::mark(&mut conditions, &observed.sink, &observed.identity);
    mark_token(&mut conditions, observed);
    conditions.mark_true(TRUST_BUNDLE);
    mark_available(&mut conditions, observed);
    CONDITIONS.finish(&mut status, &before, generation, now);
    status
}

fn mark_token(conditions: &mut Conditions<'_>, observed: &Observed) {
    let audience = observed
        .sink
        .as_ref()
        .ok()
        .and_then(|sink| sink.audience.as_ref());
    match (&observed.identity, audience) {
        (Identity::Disabled, _) => {
            conditions.mark_true_with(TOKEN_CREATED, "authentication-oidc feature disabled", "");
        }
        (_, None) => conditions.mark_true_with(TOKEN_CREATED, "Sink has no audience defined", ""),
        (_, Some(_)) => {
            let message = "Tokens of bound workloads are not made; they send without one.";
            conditions.mark_false(TOKEN_CREATED, "TokenNotMade", message);
        }
    }
}

fn mark_available(conditions: &mut Conditions<'_>, observed: &Observed) {
    if let Err(error) = &observed.sink {
        let message = format!("Addressable could not be extracted from destination: {error}");
        return conditions.mark_false(AVAILABLE, "NoAddressable", &message);
    }
    let (reason, message) = match &observed.outcome {
        Outcome::Bound { too_late } if too_late.is_empty() => return conditions.mark_true(AVAILABLE),
        Outcome::Bound { too_late } => {
            let names = too_late.join(", ");
            let message = format!("Jobs created before the binding are not bound, among them {names}.");
            return conditions.mark_true_with(AVAILABLE, "JobsNotBound", &message);
        }
        Outcome::SinkUnknown => {
            return conditions.mark_unknown(AVAILABLE, "Binding", "The sink is known, nothing is bound yet.");
        }
        Outcome::Missing(message) => ("SubjectMissing", message.clone()),
        Outcome::NotPodSpecable(message) => ("SubjectNotPodSpecable", message.clone()),
        Outcome::Untracked(message) => ("SubjectTrackingFailed", message.clone()),
        Outcome::Excluded(workload) => (
            "SubjectExcluded",
            format!(
                "{workload:?} may not be bound: its namespace is one of the system, or it or its namespace has the label \
                 {} (or lacks {}, if only workloads with it are bound).",
                crds::labels::BINDING_EXCLUDE,
                crds::labels::BINDING_INCLUDE
            ),
        ),
        Outcome::Taken { workload, by } => (
            "SubjectTaken",
            format!("{workload:?} is bound by the older SinkBinding {by:?}; a workload has one sink."),
        ),
        Outcome::Immutable(workload) => (
            "SubjectImmutable",
            format!(
                "Job {workload:?} was created before the binding, and its pods cannot be changed: create it again."
            ),
        ),
        Outcome::Failed(message) => ("BindingFailed", message.clone()),
    };
    conditions.mark_false(AVAILABLE, reason, &message);
}

#[cfg(test)]
mod tests {
    use crds::conditions::{Condition, ConditionedStatus, READY};
    use serde_json::json;

    use super::*;
    use crate::resolver::{ResolveError, Resolved};

    fn binding() -> SinkBinding {
        serde_json::from_value(json!({
            "apiVersion": "sources.knative.dev/v1", "kind": "SinkBinding",
            "metadata": {"name": "b", "namespace": "ns", "generation": 3},
            "spec": {"sink": {"uri": "http://sink"}, "subject": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}},
        }))
        .unwrap()
    }

    fn observed(outcome: Outcome) -> Observed {
        Observed {
            sink: Ok(Resolved {
                url: "http://sink".to_owned(),
                ..Resolved::default()
            }),
            identity: Identity::Disabled,
            outcome,
            kinds: vec![Kind::new("apps/v1", "Deployment")],
        }
    }

    fn status(observed: &Observed) -> SinkBindingStatus {
        binding_status(&binding(), observed, Timestamp::UNIX_EPOCH)
    }

    fn told(status: &SinkBindingStatus) -> Vec<String> {
        let text = |found: &Condition| {
            let reason = found.reason.clone().unwrap_or_default();
            format!("{} {} {reason}", found.type_, found.status.as_str())
        };
        status.conditions.iter().map(text).collect()
    }

    #[test]
    fn a_binding_whose_workloads_are_bound_is_ready() {
        let status = status(&observed(Outcome::Bound { too_late: Vec::new() }));
        assert!(status.is_ready(Some(3)));
        assert_eq!(status.sink_uri.as_deref(), Some("http://sink"));
        assert_eq!(
            told(&status),
            [
                "OIDCIdentityCreated True authentication-oidc feature disabled",
                "OIDCTokenSecretCreated True authentication-oidc feature disabled",
                "Ready True ",
                "SinkBindingAvailable True ",
                "SinkProvided True ",
                "TrustBundlePropagated True "
            ]
        );
        assert_eq!(status.annotations.unwrap()[BOUND_KINDS], "apps/v1 Deployment");
    }

    #[test]
    fn the_reason_of_what_is_not_bound_is_told() {
        let text = || "x".to_owned();
        for (outcome, expected) in [
            (Outcome::SinkUnknown, "Unknown Binding"),
            (Outcome::Missing(text()), "False SubjectMissing"),
            (Outcome::NotPodSpecable(text()), "False SubjectNotPodSpecable"),
            (Outcome::Untracked(text()), "False SubjectTrackingFailed"),
            (Outcome::Excluded(text()), "False SubjectExcluded"),
            (
                Outcome::Taken {
                    workload: text(),
                    by: text(),
                },
                "False SubjectTaken",
            ),
            (Outcome::Immutable(text()), "False SubjectImmutable"),
            (Outcome::Failed(text()), "False BindingFailed"),
        ] {
            let told = told(&status(&observed(outcome)));
            for type_ in [AVAILABLE, READY] {
                assert!(told.contains(&format!("{type_} {expected}")), "{told:?}");
            }
        }
        let late = status(&observed(Outcome::Bound {
            too_late: vec![text()],
        }));
        assert!(told(&late).contains(&"SinkBindingAvailable True JobsNotBound".to_owned()));
        assert!(late.is_ready(Some(3)));
    }

    #[test]
    fn without_a_sink_nothing_is_available() {
        let status = status(&Observed {
            sink: Err(ResolveError::Nothing),
            ..observed(Outcome::SinkUnknown)
        });
        let told = told(&status);
        for expected in [
            "Ready False NoAddressable",
            "SinkBindingAvailable False NoAddressable",
            "SinkProvided False NotFound",
        ] {
            assert!(told.contains(&expected.to_owned()), "{told:?}");
        }
        assert_eq!(status.sink_uri, None);
    }

    #[test]
    fn a_missing_token_is_not_hidden() {
        let mut observed = observed(Outcome::Bound { too_late: Vec::new() });
        observed.identity = Identity::Account("a".to_owned());
        assert!(
            told(&status(&observed))
                .contains(&"OIDCTokenSecretCreated True Sink has no audience defined".to_owned())
        );
        if let Ok(sink) = &mut observed.sink {
            sink.audience = Some("audience".to_owned());
        }
        assert!(told(&status(&observed)).contains(&"OIDCTokenSecretCreated False TokenNotMade".to_owned()));
    }
}
