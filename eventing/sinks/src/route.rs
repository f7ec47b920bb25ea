//! What a request asks for.

use crds::dns::{label_1123, subdomain_1123};
use http::Method;
use percent_encoding::percent_decode_str;

use crate::names::Address;
use crate::refusal::Refusal;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// An event for a sink.
    Event { namespace: String, sink: String },
    /// How the Job of an event goes.
    Status(Address),
}

/// By method and path.
pub(crate) fn route(method: &Method, path: &str) -> Result<Route, Refusal> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let segments: Option<Vec<String>> = path.split('/').map(decoded).collect();
    let segments = segments.ok_or(Refusal::Path)?;
    match (method, segments.as_slice()) {
        (&Method::POST, [namespace, sink]) if are_names(namespace, sink) => Ok(Route::Event {
            namespace: namespace.clone(),
            sink: sink.clone(),
        }),
        (&Method::POST, _) => Err(Refusal::Path),
        (&Method::GET, [a, namespace, b, sink, c, source, d, id])
            if [a, b, c, d] == ["namespaces", "name", "sources", "ids"] && are_names(namespace, sink) =>
        {
            Ok(Route::Status(Address {
                namespace: namespace.clone(),
                sink: sink.clone(),
                source: source.clone(),
                id: id.clone(),
            }))
        }
        (&Method::GET, _) => Err(Refusal::StatusPath),
        _ => Err(Refusal::Method),
    }
}

/// Whether these may name objects. They become part of paths at the API server, where anything else may mean something.
fn are_names(namespace: &str, sink: &str) -> bool {
    label_1123(namespace).is_empty() && subdomain_1123(sink).is_empty()
}

/// A segment, which must not be empty.
fn decoded(segment: &str) -> Option<String> {
    let text = percent_decode_str(segment).decode_utf8().ok()?;
    (!text.is_empty()).then(|| text.into_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn requests_are_events_or_questions() {
        let event = Route::Event {
            namespace: "ns".into(),
            sink: "s".into(),
        };
        for (method, path, expected) in [
            (Method::POST, "/ns/s", Ok(event)),
            (Method::POST, "/", Err(Refusal::Path)),
            (Method::POST, "/ns/s/more", Err(Refusal::Path)),
            (Method::POST, "/ns/", Err(Refusal::Path)),
            (Method::POST, "/ns/%ff", Err(Refusal::Path)),
            (Method::POST, "/ns%2F..%2Fother/s", Err(Refusal::Path)),
            (Method::POST, "/ns/s%3Fdry", Err(Refusal::Path)),
            (
                Method::GET,
                "/namespaces/..%2Fns/name/s/sources/a/ids/1",
                Err(Refusal::StatusPath),
            ),
            (Method::GET, "/ns/s", Err(Refusal::StatusPath)),
            (
                Method::GET,
                "/namespaces/ns/name/s/sources/a/id/1",
                Err(Refusal::StatusPath),
            ),
            (Method::PUT, "/ns/s", Err(Refusal::Method)),
        ] {
            assert_eq!(route(&method, path), expected, "{method} {path}");
        }
    }

    proptest! {
        #[test]
        fn what_an_answer_names_is_found(source in "\\PC{1,20}", id in "\\PC{1,20}") {
            let address = Address { namespace: "ns".into(), sink: "s".into(), source, id };
            let path = address.location();
            prop_assert!(path.parse::<http::Uri>().is_ok(), "{}", path);
            prop_assert_eq!(route(&Method::GET, &path), Ok(Route::Status(address)));
        }
    }
}
