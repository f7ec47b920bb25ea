//! Which webhooks a request concerns (`k8s.io/apiserver/pkg/admission/plugin/webhook/{rules,predicates}`).

use serde_json::Value;

use super::Operation;
use super::webhook::{RuleScope, ScopedRule, Webhook};
use crate::resource::ResourceRef;

/// What of a request decides about its webhooks.
#[derive(Clone, Copy)]
pub(crate) struct Attributes<'a> {
    pub(crate) operation: Operation,
    pub(crate) resource: &'a ResourceRef,
    pub(crate) subresource: &'a str,
    /// Empty for objects of the whole cluster.
    pub(crate) namespace: &'a str,
    pub(crate) object: Option<&'a Value>,
    pub(crate) old: Option<&'a Value>,
}

impl Attributes<'_> {
    fn is_namespace(&self) -> bool {
        self.resource.is("", "namespaces")
    }

    /// Returns the resource with its subresource, as rules name it.
    pub(crate) fn resource_name(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.plural.clone()
        } else {
            format!("{}/{}", self.resource.plural, self.subresource)
        }
    }

    /// Webhooks about webhook configurations could lock everybody out, so there are none.
    pub(crate) fn exempt(&self) -> bool {
        self.resource.group == "admissionregistration.k8s.io"
    }
}

/// Returns the version of the resource in which the webhook wants to see the request; `None` if the rules do not match.
/// `versions` are all that the resource is served in.
pub(crate) fn by_rules(
    webhook: &Webhook,
    request: &Attributes<'_>,
    versions: &[ResourceRef],
) -> Option<ResourceRef> {
    let name = request.resource_name();
    let matches = |resource: &ResourceRef| {
        webhook.rules.iter().any(|ScopedRule { rule, scope }| {
            in_scope(*scope, request)
                && rule.matches(
                    request.operation.name(),
                    &resource.group,
                    &resource.version,
                    &name,
                )
        })
    };
    if matches(request.resource) {
        return Some(request.resource.clone());
    }
    if !webhook.equivalent {
        return None;
    }
    versions.iter().find(|version| matches(version)).cloned()
}

fn in_scope(scope: RuleScope, request: &Attributes<'_>) -> bool {
    // A namespace itself belongs to the cluster, although requests about it carry its name as their namespace.
    let cluster = request.is_namespace() || request.namespace.is_empty();
    match scope {
        RuleScope::All => true,
        RuleScope::Cluster => cluster,
        RuleScope::Namespaced => !cluster,
    }
}

/// Returns whether the selectors match. `namespace` is the stored namespace of the object, if it has one.
pub(crate) fn by_selectors(webhook: &Webhook, request: &Attributes<'_>, namespace: Option<&Value>) -> bool {
    namespace_matches(webhook, request, namespace) && object_matches(webhook, request)
}

fn namespace_matches(webhook: &Webhook, request: &Attributes<'_>, stored: Option<&Value>) -> bool {
    let selector = &webhook.namespace_selector;
    if request.is_namespace() && request.subresource.is_empty() && request.operation != Operation::Delete {
        // The labels that it is about to have.
        return request
            .object
            .is_some_and(|object| selector.matches_object(object));
    }
    match stored {
        Some(namespace) => selector.matches_object(namespace),
        None => true,
    }
}

/// The new or the old object has to match: removing a label does not get an object past a webhook.
fn object_matches(webhook: &Webhook, request: &Attributes<'_>) -> bool {
    let selector = &webhook.object_selector;
    let present = [request.object, request.old];
    let mut present = present.into_iter().flatten().peekable();
    present.peek().is_none() || present.any(|object| selector.matches_object(object))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resource::ResourceTable;

    fn webhook(fields: Value) -> Webhook {
        let mut webhook = json!({"name": "a.b.c", "clientConfig": {"url": "https://x/"}});
        for (key, value) in fields.as_object().unwrap() {
            webhook[key] = value.clone();
        }
        Webhook::all_of(&json!({"webhooks": [webhook]})).remove(0)
    }

    fn resource(group: &str, version: &str, plural: &str) -> ResourceRef {
        ResourceTable::new([])
            .get(group, version, plural)
            .unwrap()
            .clone()
    }

    #[test]
    fn rules_match_by_operation_group_version_resource_and_scope() {
        let rule = |operation: &str, group: &str, version: &str, resource: &str, scope: &str| {
            json!({"operations": [operation], "apiGroups": [group], "apiVersions": [version],
                   "resources": [resource], "scope": scope})
        };
        let table = [
            (rule("CREATE", "", "v1", "pods", "*"), true),
            (rule("*", "*", "*", "*", "*"), true),
            (rule("*", "*", "*", "*/*", "*"), true),
            (rule("UPDATE", "", "v1", "pods", "*"), false),
            (rule("CREATE", "apps", "v1", "pods", "*"), false),
            (rule("CREATE", "", "v2", "pods", "*"), false),
            (rule("CREATE", "", "v1", "pods/status", "*"), false),
            (rule("CREATE", "", "v1", "pods", "Namespaced"), true),
            (rule("CREATE", "", "v1", "pods", "Cluster"), false),
        ];
        let pods = resource("", "v1", "pods");
        let request = Attributes {
            operation: Operation::Create,
            resource: &pods,
            subresource: "",
            namespace: "default",
            object: None,
            old: None,
        };
        for (rule, expected) in table {
            let webhook = webhook(json!({"rules": [rule]}));
            assert_eq!(
                by_rules(&webhook, &request, &[]).is_some(),
                expected,
                "{:?}",
                webhook.rules
            );
        }
        let namespaces = resource("", "v1", "namespaces");
        let request = Attributes {
            resource: &namespaces,
            namespace: "made",
            ..request
        };
        for (scope, expected) in [("Cluster", true), ("Namespaced", false), ("*", true)] {
            let webhook = webhook(json!({"rules": [rule("*", "*", "*", "*", scope)]}));
            assert_eq!(by_rules(&webhook, &request, &[]).is_some(), expected, "{scope}");
        }
    }

    #[test]
    fn another_version_of_the_resource_matches_unless_the_policy_is_exact() {
        let (v1, v2) = (
            resource("autoscaling", "v1", "horizontalpodautoscalers"),
            resource("autoscaling", "v2", "horizontalpodautoscalers"),
        );
        let versions = [v1.clone(), v2.clone()];
        let request = Attributes {
            operation: Operation::Update,
            resource: &v1,
            subresource: "",
            namespace: "default",
            object: None,
            old: None,
        };
        let rules = json!([{"operations": ["UPDATE"], "apiGroups": ["autoscaling"], "apiVersions": ["v2"],
                            "resources": ["horizontalpodautoscalers"]}]);
        let equivalent = webhook(json!({"rules": rules}));
        assert_eq!(by_rules(&equivalent, &request, &versions).unwrap().version, "v2");
        let exact = webhook(json!({"rules": rules, "matchPolicy": "Exact"}));
        assert!(by_rules(&exact, &request, &versions).is_none());
    }

    #[test]
    fn selectors_look_at_the_namespace_and_at_the_new_or_the_old_object() {
        let labelled = |key: &str| json!({"metadata": {"labels": {key: "yes"}}});
        let pods = resource("", "v1", "pods");
        let (plain, hooked) = (json!({"metadata": {}}), labelled("hook"));
        let request = |object, old| Attributes {
            operation: Operation::Update,
            resource: &pods,
            subresource: "",
            namespace: "default",
            object,
            old,
        };
        let objects = webhook(json!({"objectSelector": {"matchLabels": {"hook": "yes"}}}));
        assert!(by_selectors(
            &objects,
            &request(Some(&hooked), Some(&plain)),
            None
        ));
        assert!(by_selectors(
            &objects,
            &request(Some(&plain), Some(&hooked)),
            None
        ));
        assert!(!by_selectors(
            &objects,
            &request(Some(&plain), Some(&plain)),
            None
        ));

        let namespaces = webhook(json!({"namespaceSelector": {"matchLabels": {"hook": "yes"}}}));
        assert!(by_selectors(
            &namespaces,
            &request(Some(&plain), None),
            Some(&hooked)
        ));
        assert!(!by_selectors(
            &namespaces,
            &request(Some(&hooked), None),
            Some(&plain)
        ));
        // Objects of the whole cluster have no namespace whose labels could keep them out.
        assert!(by_selectors(&namespaces, &request(Some(&plain), None), None));
        // A namespace is judged by the labels that it will have.
        let resource = resource("", "v1", "namespaces");
        let about = |object| Attributes {
            resource: &resource,
            ..request(object, None)
        };
        assert!(by_selectors(&namespaces, &about(Some(&hooked)), Some(&plain)));
        assert!(!by_selectors(&namespaces, &about(Some(&plain)), Some(&hooked)));
    }
}
