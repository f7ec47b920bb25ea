//! Single rules (`k8s.io/kubernetes/pkg/apis/rbac/v1/evaluation_helpers.go`).

use serde_json::Value;

/// What somebody wants to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Request<'a> {
    pub(crate) verb: &'a str,
    pub(crate) group: &'a str,
    /// Empty for a path that is no resource.
    pub(crate) resource: &'a str,
    pub(crate) subresource: &'a str,
    /// Empty for requests about the whole cluster.
    pub(crate) namespace: &'a str,
    /// Empty for all objects.
    pub(crate) name: &'a str,
    /// The path, if there is no resource.
    pub(crate) path: &'a str,
}

impl Request<'_> {
    /// Returns the resource with its subresource, as rules name it.
    pub(crate) fn qualified(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.to_owned()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        }
    }
}

/// Returns whether a `PolicyRule` allows a request.
pub(crate) fn allows(rule: &Value, request: &Request<'_>) -> bool {
    if !has(&rule["verbs"], request.verb) {
        return false;
    }
    if request.resource.is_empty() {
        let mut patterns = texts(&rule["nonResourceURLs"]);
        return patterns.any(|pattern| path_matches(pattern, request.path));
    }
    let mut names = texts(&rule["resourceNames"]).peekable();
    has(&rule["apiGroups"], request.group)
        && texts(&rule["resources"]).any(|pattern| resource_matches(pattern, request))
        && (names.peek().is_none() || (!request.name.is_empty() && names.any(|name| name == request.name)))
}

fn resource_matches(pattern: &str, request: &Request<'_>) -> bool {
    if pattern == "*" || pattern == request.qualified() {
        return true;
    }
    !request.subresource.is_empty() && pattern.strip_prefix("*/") == Some(request.subresource)
}

fn path_matches(pattern: &str, path: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix),
        None => pattern == path,
    }
}

fn has(list: &Value, wanted: &str) -> bool {
    texts(list).any(|item| item == "*" || item == wanted)
}

pub(super) fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rules_allow_by_verb_group_resource_and_name() {
        let pods = Request {
            verb: "get",
            resource: "pods",
            namespace: "default",
            name: "a",
            ..Request::default()
        };
        let log = Request {
            subresource: "log",
            ..pods
        };
        let rule = |verbs: &[&str], groups: &[&str], resources: &[&str], names: &[&str]| json!({"verbs": verbs, "apiGroups": groups, "resources": resources, "resourceNames": names});
        let table = [
            (rule(&["get"], &[""], &["pods"], &[]), pods, true),
            (rule(&["*"], &["*"], &["*"], &[]), pods, true),
            (rule(&["*"], &["*"], &["*"], &[]), log, true),
            (rule(&["list"], &[""], &["pods"], &[]), pods, false),
            (rule(&["get"], &["apps"], &["pods"], &[]), pods, false),
            (rule(&["get"], &[""], &["pods"], &["a", "b"]), pods, true),
            (rule(&["get"], &[""], &["pods"], &["b"]), pods, false),
            (
                rule(&["get"], &[""], &["pods"], &["b"]),
                Request { name: "", ..pods },
                false,
            ),
            (rule(&["get"], &[""], &["pods"], &[]), log, false),
            (rule(&["get"], &[""], &["pods/log"], &[]), log, true),
            (rule(&["get"], &[""], &["*/log"], &[]), log, true),
            (rule(&["get"], &[""], &["*/log"], &[]), pods, false),
        ];
        for (rule, request, expected) in table {
            assert_eq!(allows(&rule, &request), expected, "{rule} {request:?}");
        }
        let at = |path| Request {
            verb: "get",
            path,
            ..Request::default()
        };
        let paths = json!({"verbs": ["get"], "nonResourceURLs": ["/apis", "/apis/*", "/healthz"]});
        for (path, expected) in [
            ("/apis", true),
            ("/apis/x", true),
            ("/healthz/ping", false),
            ("/metrics", false),
        ] {
            assert_eq!(allows(&paths, &at(path)), expected, "{path}");
        }
    }
}
