//! One path of an ingress, ready to match and to split.

use std::sync::Arc;

use activator::{ObjectKey, RevisionKey, ServiceKey};
use crds::headers::{NAMESPACE, REVISION};
use crds::networking::{HttpIngressPath, HttpOption, Ingress, IngressBackendSplit, IngressVisibility};
use http::{HeaderMap, HeaderName, HeaderValue};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::hash::ingress_hash;

/// A path under one host.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) visibility: IngressVisibility,
    /// Literal prefix: `/foo` matches `/foobar`.
    prefix: String,
    /// Headers that must have exactly these values.
    headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) rewrite_host: Option<HeaderValue>,
    pub(crate) append: Vec<(HeaderName, HeaderValue)>,
    pub(crate) splits: Vec<Split>,
    /// Plain requests are sent to https.
    pub(crate) redirect: bool,
    /// Version of the ingress, for probes.
    pub(crate) hash: Arc<str>,
}

/// A weighted target.
#[derive(Debug)]
pub(crate) struct Split {
    percent: u32,
    pub(crate) backend: Backend,
    pub(crate) append: Vec<(HeaderName, HeaderValue)>,
}

/// Where a split sends requests.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Backend {
    Revision(RevisionKey),
    Service(ServiceKey, ServicePort),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum ServicePort {
    Number(u16),
    Name(String),
}

/// The routes of an ingress by host, lower case.
pub(crate) fn compile(ingress: &Ingress) -> Vec<(Arc<str>, Arc<Route>)> {
    let hash: Arc<str> = ingress_hash(ingress).into();
    let redirected = ingress.spec.http_option == Some(HttpOption::Redirected);
    let mut routes = Vec::new();
    for rule in &ingress.spec.rules {
        let visibility = rule.visibility.unwrap_or_default();
        let redirect = redirected && visibility == IngressVisibility::ExternalIP;
        for path in rule.http.iter().flat_map(|http| &http.paths) {
            let route = Arc::new(Route::new(path, visibility, redirect, hash.clone()));
            for host in &rule.hosts {
                routes.push((Arc::from(host.to_ascii_lowercase()), route.clone()));
            }
        }
    }
    routes
}

impl Route {
    fn new(path: &HttpIngressPath, visibility: IngressVisibility, redirect: bool, hash: Arc<str>) -> Self {
        let prefix = path
            .path
            .clone()
            .filter(|path| !path.is_empty())
            .unwrap_or_else(|| "/".into());
        let headers = path
            .headers
            .iter()
            .filter_map(|(name, value)| header(name, &value.exact))
            .collect();
        let alone = path.splits.len() == 1;
        Self {
            visibility,
            // An HTTP-01 challenge is asked over plain HTTP.
            redirect: redirect && !prefix.starts_with("/.well-known/acme-challenge/"),
            prefix,
            headers,
            rewrite_host: path
                .rewrite_host
                .as_deref()
                .and_then(|host| HeaderValue::from_str(host).ok()),
            append: path
                .append_headers
                .iter()
                .filter_map(|(name, value)| header(name, value))
                .collect(),
            splits: path.splits.iter().map(|split| Split::new(split, alone)).collect(),
            hash,
        }
    }

    /// More specific first: header matches before plain paths, longer prefixes before shorter.
    pub(crate) fn precedence(&self) -> impl Ord + use<> {
        std::cmp::Reverse((self.headers.len(), self.prefix.len()))
    }

    pub(crate) fn matches(&self, path: &str, headers: &HeaderMap) -> bool {
        path.starts_with(&self.prefix)
            && self
                .headers
                .iter()
                .all(|(name, value)| headers.get(name).is_some_and(|got| got == value))
    }

    /// The split that `random(total)` (below `total`) falls into.
    pub(crate) fn split(&self, random: impl FnOnce(u32) -> u32) -> Option<&Split> {
        let total: u32 = self.splits.iter().map(|split| split.percent).sum();
        if total == 0 {
            return None;
        }
        let mut left = if self.splits.len() == 1 { 0 } else { random(total) };
        self.splits.iter().find(|split| {
            let here = left < split.percent;
            left = left.saturating_sub(split.percent);
            here
        })
    }
}

impl Split {
    fn new(split: &IngressBackendSplit, alone: bool) -> Self {
        let percent = match split.percent {
            Some(percent) => u32::try_from(percent).unwrap_or(0).min(100),
            None if alone => 100,
            None => 0,
        };
        Self {
            percent,
            backend: backend(split),
            append: split
                .append_headers
                .iter()
                .filter_map(|(name, value)| header(name, value))
                .collect(),
        }
    }
}

/// A split that names its own Service as the revision is a revision; a name from another namespace is not believed.
fn backend(split: &IngressBackendSplit) -> Backend {
    let named = |header: &str| {
        split
            .append_headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(header))
            .map(|(_, value)| value.as_str())
    };
    let service = ObjectKey::new(split.service_namespace.clone(), split.service_name.clone());
    if named(REVISION) == Some(split.service_name.as_str())
        && named(NAMESPACE) == Some(split.service_namespace.as_str())
    {
        return Backend::Revision(service);
    }
    let port = match &split.service_port {
        IntOrString::Int(number) => ServicePort::Number(u16::try_from(*number).unwrap_or(80)),
        IntOrString::String(name) => name
            .parse()
            .map_or_else(|_| ServicePort::Name(name.clone()), ServicePort::Number),
    };
    Backend::Service(service, port)
}

fn header(name: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    Some((
        HeaderName::from_bytes(name.as_bytes()).ok()?,
        HeaderValue::from_str(value).ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn path(path: serde_json::Value) -> Route {
        let path: HttpIngressPath = serde_json::from_value(path).unwrap();
        Route::new(&path, IngressVisibility::ExternalIP, true, "h".into())
    }

    #[test]
    fn prefixes_are_literal_and_headers_exact() {
        let route = path(json!({"path": "/foo", "headers": {"Knative-Serving-Tag": {"exact": "t"}}}));
        let mut headers = HeaderMap::new();
        assert!(!route.matches("/foobar", &headers));
        headers.insert("knative-serving-tag", HeaderValue::from_static("t"));
        assert!(route.matches("/foobar", &headers) && route.matches("/foo", &headers));
        assert!(!route.matches("/fo", &headers));
        assert!(path(json!({})).matches("/anything", &HeaderMap::new()));
        assert!(path(json!({})).redirect);
        assert!(!path(json!({"path": "/.well-known/acme-challenge/x"})).redirect);
    }

    #[test]
    fn splits_are_weighted() {
        let split = |name: &str, percent: Option<i64>| json!({"serviceNamespace": "n", "serviceName": name, "servicePort": 80, "percent": percent});
        let route =
            path(json!({"splits": [split("a", Some(20)), split("b", Some(0)), split("c", Some(80))]}));
        let name = |draw: u32| match &route
            .split(|total| {
                assert_eq!(total, 100);
                draw
            })
            .unwrap()
            .backend
        {
            Backend::Service(key, _) | Backend::Revision(key) => key.name.clone(),
        };
        assert_eq!([name(0), name(19), name(20), name(99)], ["a", "a", "c", "c"]);
        assert!(path(json!({"splits": [split("a", None)]})).split(|_| 0).is_some());
        assert!(path(json!({})).split(|_| 0).is_none());
    }

    #[test]
    fn only_a_split_that_names_its_own_service_is_a_revision() {
        let split = |namespace: &str, name: &str| {
            let split = json!({
                "serviceNamespace": "n", "serviceName": "r", "servicePort": "http",
                "appendHeaders": {"knative-serving-revision": name, "Knative-Serving-Namespace": namespace},
            });
            backend(&serde_json::from_value(split).unwrap())
        };
        assert_eq!(split("n", "r"), Backend::Revision(RevisionKey::new("n", "r")));
        let service = Backend::Service(ServiceKey::new("n", "r"), ServicePort::Name("http".into()));
        assert_eq!(split("other", "r"), service);
        assert_eq!(split("n", "other"), service);
    }
}
