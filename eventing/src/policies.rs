//! Which EventPolicies speak of an object, and the condition that tells about them.

use std::sync::Arc;

use crds::conditions::ConditionedStatus;
use crds::config::events::{AuthorizationMode, Features};
use crds::duck::PolicyReference;
use crds::eventing::{EventPolicy, EventPolicySelector, EventPolicyTarget};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use reconciler::{Cache, Conditions, Key, Object};

use crate::selector;
use crate::shared::{Shared, name_of, namespace_of};

/// The condition.
pub(crate) const EVENT_POLICIES_READY: &str = "EventPoliciesReady";

/// What the policies mean for an object.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Policies {
    /// Senders have no identities: policies are not looked at.
    Disabled,
    /// No policy speaks of the object.
    Default(AuthorizationMode),
    Some {
        ready: Vec<PolicyReference>,
        unready: Vec<String>,
    },
}

/// Which of the `objects` a policy may speak of: those of its namespace.
pub(crate) fn spoken_of<K: Object>(objects: &Cache<K>) -> impl Fn(&EventPolicy) -> Vec<Key> + use<K> {
    let objects = objects.clone();
    move |policy| {
        let mut keys = objects.keys();
        keys.retain(|key| key.namespace == namespace_of(&policy.metadata));
        keys
    }
}

impl Policies {
    /// What the policies of an install mean for `object`.
    pub(crate) fn of<K: Resource<DynamicType = ()>>(shared: &Shared, object: &K) -> Self {
        let (group, kind) = (K::group(&()), K::kind(&()));
        judge(
            &shared.features(),
            &shared.policies.list(),
            &group,
            &kind,
            object.meta(),
        )
    }

    pub(crate) fn mark(&self, conditions: &mut Conditions<'_>) {
        match self {
            Self::Disabled => conditions.mark_true_with(
                EVENT_POLICIES_READY,
                "OIDCDisabled",
                "Feature \"authentication-oidc\" must be enabled to support Authorization",
            ),
            Self::Default(mode) => conditions.mark_true_with(
                EVENT_POLICIES_READY,
                "DefaultAuthorizationMode",
                &format!("Default authz mode is {:?}", mode.as_str()),
            ),
            Self::Some { unready, .. } if !unready.is_empty() => conditions.mark_false(
                EVENT_POLICIES_READY,
                "EventPoliciesNotReady",
                &format!("event policies {} are not ready", unready.join(", ")),
            ),
            Self::Some { .. } => conditions.mark_true(EVENT_POLICIES_READY),
        }
    }

    /// The policies that hold, for the status.
    pub(crate) fn references(&self) -> Vec<PolicyReference> {
        match self {
            Self::Disabled | Self::Default(_) => Vec::new(),
            Self::Some { ready, .. } => ready.clone(),
        }
    }
}

fn judge(
    features: &Features,
    policies: &[Arc<EventPolicy>],
    group: &str,
    kind: &str,
    object: &ObjectMeta,
) -> Policies {
    if !features.authentication_oidc.is_enabled() {
        return Policies::Disabled;
    }
    let (mut ready, mut unready) = (Vec::new(), Vec::new());
    for policy in policies
        .iter()
        .filter(|policy| speaks_of(policy, group, kind, object))
    {
        let holds = policy
            .status
            .as_ref()
            .is_some_and(|status| status.is_ready(policy.metadata.generation));
        let name = name_of(&policy.metadata).to_owned();
        if holds {
            let api_version = EventPolicy::api_version(&()).into_owned();
            ready.push(PolicyReference { api_version, name });
        } else {
            unready.push(name);
        }
    }
    if ready.is_empty() && unready.is_empty() {
        return Policies::Default(features.default_authorization_mode);
    }
    Policies::Some { ready, unready }
}

/// Whether a policy names the object, its kind and labels, or nobody, which means everybody of its namespace.
pub(crate) fn speaks_of(policy: &EventPolicy, group: &str, kind: &str, object: &ObjectMeta) -> bool {
    namespace_of(&policy.metadata) == namespace_of(object)
        && (policy.spec.to.is_empty() || policy.spec.to.iter().any(|to| names(to, group, kind, object)))
}

fn names(to: &EventPolicyTarget, group: &str, kind: &str, object: &ObjectMeta) -> bool {
    let by_name = to.reference.as_ref().is_some_and(|reference| {
        same_kind(&reference.api_version, &reference.kind, group, kind) && reference.name == name_of(object)
    });
    let by_labels = to.selector.as_ref().is_some_and(
        |EventPolicySelector {
             api_version,
             kind: selected,
             labels,
         }| {
            same_kind(api_version, selected, group, kind) && selector::matches(labels, object.labels.as_ref())
        },
    );
    by_name || by_labels
}

/// Versions of a group are the same objects.
fn same_kind(api_version: &str, named: &str, group: &str, kind: &str) -> bool {
    api_version.split_once('/').map_or("", |(group, _)| group) == group && named == kind
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn policy(name: &str, to: serde_json::Value, ready: &str) -> Arc<EventPolicy> {
        let policy = json!({
            "metadata": {"name": name, "namespace": "ns", "generation": 1}, "spec": {"to": to},
            "status": {"observedGeneration": 1, "conditions": [{"type": "Ready", "status": ready}]},
        });
        Arc::new(serde_json::from_value(policy).unwrap())
    }

    fn on() -> Features {
        Features {
            authentication_oidc: crds::config::Flag::Enabled,
            ..Features::default()
        }
    }

    fn judged(features: &Features, policies: &[Arc<EventPolicy>]) -> Policies {
        let object =
            serde_json::from_value(json!({"name": "b", "namespace": "ns", "labels": {"a": "1"}})).unwrap();
        judge(features, policies, "eventing.knative.dev", "Broker", &object)
    }

    #[test]
    fn only_policies_that_speak_of_the_object_count() {
        let api_version = "eventing.knative.dev/v1";
        let by_name =
            |name: &str| json!([{"ref": {"apiVersion": api_version, "kind": "Broker", "name": name}}]);
        let by_label = |value: &str| json!([{"selector": {"apiVersion": api_version, "kind": "Broker", "matchLabels": {"a": value}}}]);
        assert_eq!(
            judged(&Features::default(), &[policy("p", json!([]), "True")]),
            Policies::Disabled
        );
        assert_eq!(
            judged(
                &on(),
                &[
                    policy("p", by_name("other"), "False"),
                    policy("q", by_label("2"), "False")
                ]
            ),
            Policies::Default(AuthorizationMode::AllowSameNamespace)
        );
        let all = [
            policy("all", json!([]), "True"),
            policy("named", by_name("b"), "Unknown"),
            policy("labelled", by_label("1"), "True"),
        ];
        let Policies::Some { ready, unready } = judged(&on(), &all) else {
            panic!("there are policies")
        };
        let names: Vec<&str> = ready.iter().map(|policy| policy.name.as_str()).collect();
        assert_eq!(
            (names, unready),
            (vec!["all", "labelled"], vec!["named".to_owned()])
        );
    }
}
