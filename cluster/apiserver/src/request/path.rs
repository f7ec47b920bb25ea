//! Paths of the API, as `k8s.io/apiserver/pkg/endpoints/request/requestinfo.go` reads them.

use percent_encoding::percent_decode_str;

/// A parsed path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ApiPath {
    /// `/api`
    CoreVersions,
    /// `/apis`
    Groups,
    /// `/apis/{group}`
    Group(String),
    /// `/api/v1` and `/apis/{group}/{version}`
    Resources { group: String, version: String },
    /// Everything below.
    Resource(ResourcePath),
    /// `/version`, `/healthz`, `/openapi/v3`, …: anything that is not about API objects.
    Other,
}

/// The path of a collection, an object or a subresource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ResourcePath {
    pub(crate) group: String,
    pub(crate) version: String,
    /// Empty for all namespaces, and for objects of the whole cluster.
    pub(crate) namespace: String,
    pub(crate) resource: String,
    pub(crate) name: Option<String>,
    pub(crate) subresource: Option<String>,
    /// Whatever follows the subresource (`…/proxy/some/path`).
    pub(crate) rest: Vec<String>,
    /// The old `/watch/` prefix.
    pub(crate) watch: bool,
}

/// Parses a path; percent-encoding is undone segment by segment.
pub(crate) fn parse_path(path: &str) -> ApiPath {
    let segments: Vec<String> = path
        .split('/')
        .filter(|segment| !segment.is_empty())
        .map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned())
        .collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match segments.as_slice() {
        ["api"] => ApiPath::CoreVersions,
        ["api", version] => ApiPath::Resources {
            group: String::new(),
            version: (*version).into(),
        },
        ["api", version, rest @ ..] => resource("", version, rest),
        ["apis"] => ApiPath::Groups,
        ["apis", group] => ApiPath::Group((*group).into()),
        ["apis", group, version] => ApiPath::Resources {
            group: (*group).into(),
            version: (*version).into(),
        },
        ["apis", group, version, rest @ ..] => resource(group, version, rest),
        _ => ApiPath::Other,
    }
}

fn resource(group: &str, version: &str, segments: &[&str]) -> ApiPath {
    let mut path = ResourcePath {
        group: group.into(),
        version: version.into(),
        ..ResourcePath::default()
    };
    let mut segments = segments;
    if let ["watch", rest @ ..] = segments
        && !rest.is_empty()
    {
        path.watch = true;
        segments = rest;
    }
    // `namespaces/x/status` and `namespaces/x/finalize` are about the namespace itself.
    if let ["namespaces", namespace, rest @ ..] = segments
        && !rest.is_empty()
        && !matches!(rest, ["status" | "finalize"])
    {
        path.namespace = (*namespace).into();
        segments = rest;
    }
    let mut segments = segments.iter().map(|segment| (*segment).to_owned());
    path.resource = segments.next().unwrap_or_default();
    path.name = segments.next();
    path.subresource = segments.next();
    path.rest = segments.collect();
    ApiPath::Resource(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(path: &str) -> String {
        match parse_path(path) {
            ApiPath::Resource(p) => format!(
                "{}/{} ns={} {} name={} sub={}{}",
                p.group,
                p.version,
                p.namespace,
                p.resource,
                p.name.as_deref().unwrap_or("-"),
                p.subresource.as_deref().unwrap_or("-"),
                if p.watch { " watch" } else { "" }
            ),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn paths_are_read_as_upstream_reads_them() {
        let table = [
            ("/api", "CoreVersions"),
            ("/apis", "Groups"),
            ("/apis/apps", "Group(\"apps\")"),
            ("/api/v1", "Resources { group: \"\", version: \"v1\" }"),
            ("/api/v1/pods", "/v1 ns= pods name=- sub=-"),
            ("/api/v1/namespaces", "/v1 ns= namespaces name=- sub=-"),
            ("/api/v1/namespaces/a", "/v1 ns= namespaces name=a sub=-"),
            (
                "/api/v1/namespaces/a/status",
                "/v1 ns= namespaces name=a sub=status",
            ),
            (
                "/api/v1/namespaces/a/finalize",
                "/v1 ns= namespaces name=a sub=finalize",
            ),
            ("/api/v1/namespaces/a/pods", "/v1 ns=a pods name=- sub=-"),
            ("/api/v1/namespaces/a/pods/b/log", "/v1 ns=a pods name=b sub=log"),
            ("/api/v1/namespaces/a/pods/b%2Fc", "/v1 ns=a pods name=b/c sub=-"),
            (
                "/apis/apps/v1/namespaces/a/deployments/b/scale",
                "apps/v1 ns=a deployments name=b sub=scale",
            ),
            (
                "/api/v1/watch/namespaces/a/pods",
                "/v1 ns=a pods name=- sub=- watch",
            ),
            ("/version", "Other"),
            ("/", "Other"),
        ];
        for (path, expected) in table {
            assert_eq!(shown(path), expected, "{path}");
        }
    }
}
