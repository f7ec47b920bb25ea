//! Nobody gives what they do not have (`k8s.io/kubernetes/pkg/registry/rbac/…/policybased`): whoever writes a role must have
//! all its rules or the verb `escalate`, and whoever writes a binding all rules of its role or the verb `bind`.

use serde_json::{Value, json};

use super::resolve::{Decision, is_superuser};
use super::rules::{Request, allows, texts};
use crate::meta;
use crate::registry::{Call, Registry};
use crate::status::StatusError;

impl Registry {
    /// Refuses a role or binding with more rights than its writer has.
    pub(crate) fn check_escalation(&self, call: &Call, object: &Value) -> Result<(), StatusError> {
        if call.resource.group != "rbac.authorization.k8s.io" || is_superuser(&call.caller) {
            return Ok(());
        }
        let (verb, resource, name, wanted) = match call.resource.plural.as_str() {
            "roles" | "clusterroles" => {
                let rules = object["rules"].as_array().cloned().unwrap_or_default();
                // Whom such a role aggregates is decided later, by labels: that takes everything.
                let all = object
                    .get("aggregationRule")
                    .is_some_and(Value::is_object)
                    .then(everything);
                let wanted = rules.into_iter().chain(all).collect();
                (
                    "escalate",
                    call.resource.plural.as_str(),
                    call.name.as_str(),
                    wanted,
                )
            }
            "rolebindings" | "clusterrolebindings" => {
                let reference = &object["roleRef"];
                let (kind, name) = (meta::text(reference, "/kind"), meta::text(reference, "/name"));
                let resource = if kind == "Role" { "roles" } else { "clusterroles" };
                (
                    "bind",
                    resource,
                    name,
                    self.role_rules(kind, name, &call.namespace),
                )
            }
            _ => return Ok(()),
        };
        let request = Request {
            verb,
            group: "rbac.authorization.k8s.io",
            resource,
            namespace: &call.namespace,
            name,
            ..Request::default()
        };
        if self.authorize(&call.caller, &request) != Decision::Denied {
            return Ok(());
        }
        let granted = self.granted(&call.caller, &call.namespace);
        let held: Vec<&Value> = granted.iter().flat_map(|granted| &granted.rules).collect();
        match wanted.iter().find(|rule| !covered(rule, &held)) {
            None => Ok(()),
            Some(rule) => Err(StatusError::forbidden(
                call.resource.subject(),
                &call.name,
                format!(
                    "user \"{}\" (groups={:?}) is attempting to grant RBAC permissions not currently held: {rule}",
                    call.caller.name, call.caller.groups
                ),
            )),
        }
    }
}

fn everything() -> Value {
    json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]})
}

/// Returns whether each single permission of a rule is allowed by one that is held; `*` only by `*`.
fn covered(rule: &Value, held: &[&Value]) -> bool {
    let has = |request: Request<'_>| held.iter().any(|held| allows(held, &request));
    let names: Vec<&str> = match texts(&rule["resourceNames"]).collect::<Vec<_>>() {
        names if names.is_empty() => vec![""],
        names => names,
    };
    texts(&rule["verbs"]).all(|verb| {
        let paths = texts(&rule["nonResourceURLs"]).all(|path| {
            has(Request {
                verb,
                path,
                ..Request::default()
            })
        });
        paths
            && texts(&rule["apiGroups"]).all(|group| {
                texts(&rule["resources"]).all(|resource| {
                    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
                    names.iter().all(|name| {
                        has(Request {
                            verb,
                            group,
                            resource,
                            subresource,
                            name,
                            ..Request::default()
                        })
                    })
                })
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_covered_by_those_that_allow_all_of_it() {
        let rule = |verbs: &[&str], resources: &[&str], names: &[&str]| json!({"verbs": verbs, "apiGroups": [""], "resources": resources, "resourceNames": names});
        let held = [
            rule(&["get", "list"], &["pods"], &[]),
            rule(&["get"], &["secrets"], &["a"]),
        ];
        let held: Vec<&Value> = held.iter().collect();
        let table = [
            (rule(&["get"], &["pods"], &[]), true),
            (rule(&["get"], &["pods"], &["x"]), true),
            (rule(&["get", "delete"], &["pods"], &[]), false),
            (rule(&["*"], &["pods"], &[]), false),
            (rule(&["get"], &["*"], &[]), false),
            (rule(&["get"], &["pods/log"], &[]), false),
            (rule(&["get"], &["secrets"], &["a"]), true),
            (rule(&["get"], &["secrets"], &[]), false),
            (json!({"verbs": ["get"], "nonResourceURLs": ["/metrics"]}), false),
        ];
        for (rule, expected) in table {
            assert_eq!(covered(&rule, &held), expected, "{rule}");
        }
        let all = everything();
        assert!(covered(&rule(&["*"], &["*"], &[]), &[&all]));
    }
}
