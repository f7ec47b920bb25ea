//! Webhook configurations as the dispatcher uses them.

use std::time::Duration;

use cluster_machinery::selector::LabelSelector;
use serde_json::Value;

use super::Rule;
use crate::webhook::Endpoint;

/// Time for one call unless the configuration says otherwise (upstream default).
const DEFAULT_TIMEOUT: u64 = 10;

/// One webhook of a stored `MutatingWebhookConfiguration` or `ValidatingWebhookConfiguration`.
#[derive(Debug)]
pub(crate) struct Webhook {
    pub(crate) name: String,
    pub(crate) rules: Vec<ScopedRule>,
    /// Of the namespace that the object is in.
    pub(crate) namespace_selector: LabelSelector,
    pub(crate) object_selector: LabelSelector,
    /// `matchPolicy: Equivalent`: a rule about another version of the same resource counts too.
    pub(crate) equivalent: bool,
    /// `failurePolicy: Ignore`: a webhook that cannot be asked lets everything through.
    pub(crate) ignore_failures: bool,
    /// `reinvocationPolicy: IfNeeded`: it is asked again after a later one changed the object.
    pub(crate) reinvoke: bool,
    /// Whether a request that must change nothing may be shown to it.
    pub(crate) dry_run: bool,
    /// Version of the review that is sent: `v1`, else `v1beta1`.
    pub(crate) review_version: &'static str,
    pub(crate) endpoint: Endpoint,
}

/// A rule with the `scope` that only stored configurations have.
#[derive(Debug)]
pub(crate) struct ScopedRule {
    pub(crate) rule: Rule,
    pub(crate) scope: RuleScope,
}

/// Which objects a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RuleScope {
    All,
    Cluster,
    Namespaced,
}

impl Webhook {
    /// Reads the webhooks of a stored configuration. What validation let through before it became stricter is read with
    /// the defaults.
    pub(crate) fn all_of(configuration: &Value) -> Vec<Self> {
        let webhooks = configuration["webhooks"].as_array();
        webhooks.into_iter().flatten().map(Self::of).collect()
    }

    fn of(webhook: &Value) -> Self {
        let text = |field: &str| webhook[field].as_str().unwrap_or_default();
        let selector = |field: &str| match &webhook[field] {
            Value::Null => LabelSelector::default(),
            given => LabelSelector::from_json(given).unwrap_or_default(),
        };
        let versions = texts(&webhook["admissionReviewVersions"]);
        let seconds = webhook["timeoutSeconds"].as_u64().unwrap_or(DEFAULT_TIMEOUT);
        Self {
            name: text("name").to_owned(),
            rules: webhook["rules"]
                .as_array()
                .into_iter()
                .flatten()
                .map(rule)
                .collect(),
            namespace_selector: selector("namespaceSelector"),
            object_selector: selector("objectSelector"),
            equivalent: text("matchPolicy") != "Exact",
            ignore_failures: text("failurePolicy") == "Ignore",
            reinvoke: text("reinvocationPolicy") == "IfNeeded",
            dry_run: matches!(text("sideEffects"), "None" | "NoneOnDryRun"),
            review_version: if versions.is_empty() || versions.iter().any(|version| version == "v1") {
                "v1"
            } else {
                "v1beta1"
            },
            endpoint: Endpoint::of(
                &webhook["clientConfig"],
                Duration::from_secs(seconds.clamp(1, 30)),
            ),
        }
    }
}

fn rule(rule: &Value) -> ScopedRule {
    ScopedRule {
        rule: Rule {
            operations: texts(&rule["operations"]),
            groups: texts(&rule["apiGroups"]),
            versions: texts(&rule["apiVersions"]),
            resources: texts(&rule["resources"]),
        },
        scope: match rule["scope"].as_str() {
            Some("Cluster") => RuleScope::Cluster,
            Some("Namespaced") => RuleScope::Namespaced,
            _ => RuleScope::All,
        },
    }
}

fn texts(list: &Value) -> Vec<String> {
    let items = list.as_array().into_iter().flatten();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn absent_fields_have_the_defaults_of_upstream() {
        let configuration = json!({"webhooks": [{
            "name": "a.b.c",
            "clientConfig": {"service": {"namespace": "n", "name": "s", "path": "x"}},
        }]});
        let webhook = Webhook::all_of(&configuration).remove(0);
        assert!(webhook.equivalent && !webhook.ignore_failures && !webhook.reinvoke && !webhook.dry_run);
        assert_eq!(webhook.endpoint.timeout, Duration::from_secs(10));
        assert_eq!(webhook.endpoint.target.url(), "https://s.n.svc/x");
        assert_eq!(webhook.endpoint.target.shown(), "https://s.n.svc:443/x");
        assert_eq!(webhook.review_version, "v1");
    }
}
