//! Counts requests by what they do to which resource.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use http::{Method, Request, Response};
use kube::Client;
use kube::client::Body;
use parking_lot::Mutex;

/// One sort of request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Operation {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `apply` or `delete`.
    pub verb: &'static str,
    /// Plural name and group, with the subresource behind a slash: `services.serving.knative.dev/status`.
    pub resource: String,
    /// Whether it was answered with an error, a conflict for example.
    pub failed: bool,
}

impl Operation {
    /// Whether it asks for a change.
    pub fn writes(&self) -> bool {
        !matches!(self.verb, "get" | "list" | "watch")
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failed = if self.failed { " (failed)" } else { "" };
        write!(f, "{} {}{failed}", self.verb, self.resource)
    }
}

/// How often each operation was asked for. All clones count together.
#[derive(Clone, Default)]
pub struct Requests {
    counts: Arc<Mutex<BTreeMap<Operation, usize>>>,
}

impl Requests {
    /// What was counted so far.
    pub fn counted(&self) -> BTreeMap<Operation, usize> {
        self.counts.lock().clone()
    }

    /// How many writes were asked for so far, failed ones included.
    pub fn writes(&self) -> usize {
        let counts = self.counts.lock();
        counts
            .iter()
            .filter(|(operation, _)| operation.writes())
            .map(|(_, count)| count)
            .sum()
    }

    /// A client like `client` whose requests are counted here.
    pub(crate) fn count(&self, client: Client) -> Client {
        let namespace = client.default_namespace().to_owned();
        let counts = self.counts.clone();
        let counted = tower::service_fn(move |request: Request<Body>| {
            let (client, counts) = (client.clone(), counts.clone());
            let (verb, resource) = classify(&request);
            async move {
                let response: Response<Body> = client.send(request).await?;
                let failed = !response.status().is_success();
                *counts
                    .lock()
                    .entry(Operation {
                        verb,
                        resource,
                        failed,
                    })
                    .or_default() += 1;
                Ok::<_, tower::BoxError>(response)
            }
        });
        Client::new(counted, namespace)
    }
}

fn classify<B>(request: &Request<B>) -> (&'static str, String) {
    let mut parts = request
        .uri()
        .path()
        .split('/')
        .filter(|part| !part.is_empty())
        .peekable();
    // `api/v1` or `apis/group/version`
    let group = (parts.next() == Some("apis")).then(|| parts.next()).flatten();
    parts.next();
    let mut rest: Vec<&str> = parts.collect();
    // `namespaces/default/pods`, but neither `namespaces/default` nor `namespaces/default/finalize`
    if rest.len() > 2
        && rest.first() == Some(&"namespaces")
        && !matches!(rest.get(2), Some(&"finalize" | &"status"))
    {
        rest.drain(..2);
    }
    let named = rest.len() > 1;
    let plural = match (rest.first(), group) {
        (Some(plural), Some(group)) => format!("{plural}.{group}"),
        (Some(plural), None) => (*plural).to_owned(),
        (None, _) => request.uri().path().to_owned(),
    };
    let resource = match rest.get(2) {
        Some(sub) => format!("{plural}/{sub}"),
        None => plural,
    };
    let query = request.uri().query().unwrap_or_default();
    let applied = request
        .headers()
        .get(http::header::CONTENT_TYPE)
        .is_some_and(|sort| sort.as_bytes().starts_with(b"application/apply-patch"));
    let verb = match *request.method() {
        Method::GET if query.split('&').any(|pair| pair == "watch=true") => "watch",
        Method::GET if named => "get",
        Method::GET => "list",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH if applied => "apply",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "other",
    };
    (verb, resource)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_apart() {
        let table = [
            ("GET", "/api/v1/namespaces/default/pods?limit=500", "list pods"),
            (
                "GET",
                "/apis/apps/v1/deployments?&watch=true&x=1",
                "watch deployments.apps",
            ),
            ("GET", "/api/v1/namespaces/default", "get namespaces"),
            (
                "PUT",
                "/api/v1/namespaces/default/finalize",
                "update namespaces/finalize",
            ),
            (
                "PUT",
                "/apis/serving.knative.dev/v1/namespaces/a/services/b/status",
                "update services.serving.knative.dev/status",
            ),
            (
                "POST",
                "/api/v1/namespaces/a/pods/p/binding",
                "create pods/binding",
            ),
            (
                "DELETE",
                "/apis/apps/v1/namespaces/a/deployments/d",
                "delete deployments.apps",
            ),
        ];
        for (method, path, expected) in table {
            let request = Request::builder().method(method).uri(path).body(()).unwrap();
            let (verb, resource) = classify(&request);
            assert_eq!(format!("{verb} {resource}"), expected);
        }
        let apply = Request::builder()
            .method("PATCH")
            .uri("/api/v1/namespaces/a/services/b");
        let apply = apply
            .header("content-type", "application/apply-patch+yaml")
            .body(())
            .unwrap();
        assert_eq!(classify(&apply), ("apply", "services".to_owned()));
    }
}
