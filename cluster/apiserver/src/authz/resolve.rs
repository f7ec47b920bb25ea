//! The rules that a caller has, by the bindings that name it.

use cluster_machinery::selector::LabelSelector;
use serde_json::Value;

use super::rules::{Request, allows, texts};
use crate::meta;
use crate::registry::{Caller, Registry};

const GROUP: &str = "rbac.authorization.k8s.io";
/// The group that may do everything, whatever roles say.
const SUPERUSERS: &str = "system:masters";
/// Roles that aggregate roles that aggregate; upstream's own are two deep.
const MAX_DEPTH: usize = 4;

/// Whether a request is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Says by what.
    Allowed(String),
    Denied,
}

/// Rules that a caller has through one binding.
#[derive(Debug)]
pub(crate) struct Granted {
    pub(crate) rules: Vec<Value>,
    /// Such as `RBAC: allowed by RoleBinding "b/ns" of Role "r" to User "u"`.
    pub(crate) reason: String,
}

impl Registry {
    /// Decides whether a caller may do something.
    pub(crate) fn authorize(&self, caller: &Caller, request: &Request<'_>) -> Decision {
        if is_superuser(caller) {
            return Decision::Allowed(String::new());
        }
        self.granted(caller, request.namespace)
            .into_iter()
            .find(|granted| granted.rules.iter().any(|rule| allows(rule, request)))
            .map_or(Decision::Denied, |granted| Decision::Allowed(granted.reason))
    }

    /// Returns everything that a caller is granted: in the whole cluster, and in `namespace` if that is not empty.
    pub(crate) fn granted(&self, caller: &Caller, namespace: &str) -> Vec<Granted> {
        let mut granted = Vec::new();
        let mut prefixes = vec![(format!("{GROUP}/clusterrolebindings/"), "ClusterRoleBinding")];
        if !namespace.is_empty() {
            prefixes.push((format!("{GROUP}/rolebindings/{namespace}/"), "RoleBinding"));
        }
        for (prefix, kind) in prefixes {
            for (_, binding) in self.store.list(&prefix).1 {
                let binding = binding.value();
                let Some(subject) = matching_subject(&binding, caller) else {
                    continue;
                };
                let reference = &binding["roleRef"];
                let (role_kind, role) = (meta::text(reference, "/kind"), meta::text(reference, "/name"));
                let qualified = match meta::namespace(&binding) {
                    "" => meta::name(&binding).to_owned(),
                    namespace => format!("{}/{namespace}", meta::name(&binding)),
                };
                granted.push(Granted {
                    rules: self.role_rules(role_kind, role, namespace),
                    reason: format!(
                        "RBAC: allowed by {kind} \"{qualified}\" of {role_kind} \"{role}\" to {subject}"
                    ),
                });
            }
        }
        granted
    }

    /// Returns the rules of a role, those of aggregated ones included.
    pub(crate) fn role_rules(&self, kind: &str, name: &str, namespace: &str) -> Vec<Value> {
        if kind == "Role" {
            let role = self.store.get(&format!("{GROUP}/roles/{namespace}/{name}"));
            return role.map(|role| own_rules(&role.value())).unwrap_or_default();
        }
        let Some(role) = self.store.get(&format!("{GROUP}/clusterroles//{name}")) else {
            return Vec::new();
        };
        let role = role.value();
        // Each request asks this: all roles are read for those alone that take others in.
        if role["aggregationRule"].is_null() {
            return own_rules(&role);
        }
        let (_, all) = self.store.list(&format!("{GROUP}/clusterroles/"));
        let all: Vec<Value> = all.iter().map(|(_, role)| role.value()).collect();
        aggregated(&role, &all, MAX_DEPTH)
    }
}

pub(super) fn is_superuser(caller: &Caller) -> bool {
    caller.groups.iter().any(|group| group == SUPERUSERS)
}

fn own_rules(role: &Value) -> Vec<Value> {
    role["rules"].as_array().cloned().unwrap_or_default()
}

fn aggregated(role: &Value, all: &[Value], depth: usize) -> Vec<Value> {
    let mut rules = own_rules(role);
    let selectors = role["aggregationRule"]["clusterRoleSelectors"].as_array();
    for selector in selectors.into_iter().flatten() {
        let Ok(selector) = LabelSelector::from_json(selector) else {
            continue;
        };
        if depth == 0 {
            break;
        }
        let others = all
            .iter()
            .filter(|other| meta::name(other) != meta::name(role) && selector.matches_object(other));
        rules.extend(others.flat_map(|other| aggregated(other, all, depth - 1)));
    }
    rules
}

/// Returns the subject of a binding that is the caller, as reasons show it.
fn matching_subject(binding: &Value, caller: &Caller) -> Option<String> {
    let subjects = binding["subjects"].as_array().into_iter().flatten();
    for subject in subjects {
        let name = meta::text(subject, "/name");
        let matches = match meta::text(subject, "/kind") {
            "User" => caller.name == name,
            "Group" => caller.groups.iter().any(|group| group == name),
            "ServiceAccount" => {
                let namespace = match meta::text(subject, "/namespace") {
                    "" => meta::namespace(binding),
                    namespace => namespace,
                };
                caller.name == format!("system:serviceaccount:{namespace}:{name}")
            }
            _ => false,
        };
        if matches {
            return Some(format!("{} \"{name}\"", meta::text(subject, "/kind")));
        }
    }
    None
}

/// Returns the rules of all grants as `SelfSubjectRulesReview` lists them: of resources, and of paths.
pub(crate) fn listed(granted: &[Granted]) -> (Vec<Value>, Vec<Value>) {
    let rules = granted.iter().flat_map(|granted| granted.rules.iter().cloned());
    rules.partition(|rule| texts(&rule["nonResourceURLs"]).next().is_none())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn subjects_are_users_groups_and_service_accounts() {
        let caller = Caller {
            name: "system:serviceaccount:ns:bot".into(),
            groups: vec!["system:serviceaccounts".into()],
            ..Caller::default()
        };
        let binding = |subject: Value| json!({"metadata": {"namespace": "ns"}, "subjects": [subject]});
        let table = [
            (
                json!({"kind": "User", "name": "system:serviceaccount:ns:bot"}),
                true,
            ),
            (json!({"kind": "User", "name": "bot"}), false),
            (json!({"kind": "Group", "name": "system:serviceaccounts"}), true),
            (json!({"kind": "Group", "name": "system:masters"}), false),
            (json!({"kind": "ServiceAccount", "name": "bot"}), true),
            (
                json!({"kind": "ServiceAccount", "name": "bot", "namespace": "other"}),
                false,
            ),
        ];
        for (subject, expected) in table {
            assert_eq!(
                matching_subject(&binding(subject.clone()), &caller).is_some(),
                expected,
                "{subject}"
            );
        }
    }

    #[test]
    fn roles_aggregate_by_labels_and_never_for_ever() {
        let role = |name: &str, label: &str, selects: &str, verb: &str| {
            json!({
                "metadata": {"name": name, "labels": {label: "true"}},
                "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {selects: "true"}}]},
                "rules": [{"verbs": [verb]}],
            })
        };
        let all = [
            role("edit", "to-admin", "to-edit", "a"),
            role("view", "to-edit", "to-view", "b"),
            role("plugin", "to-view", "nothing", "c"),
        ];
        let verbs = |rules: Vec<Value>| -> Vec<String> {
            rules
                .iter()
                .map(|rule| rule["verbs"][0].as_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(verbs(aggregated(&all[0], &all, MAX_DEPTH)), ["a", "b", "c"]);
        let circle = [role("a", "x", "y", "1"), role("b", "y", "x", "2")];
        assert!(aggregated(&circle[0], &circle, MAX_DEPTH).len() <= MAX_DEPTH + 1);
    }
}
