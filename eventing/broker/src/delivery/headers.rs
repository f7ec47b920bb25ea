//! Headers that travel beside an event.

use http::header::{HeaderMap, HeaderName, HeaderValue};

/// Asks the subscriber to answer with an event if it has one.
pub const PREFER: HeaderName = HeaderName::from_static("prefer");
pub const PREFER_REPLY: HeaderValue = HeaderValue::from_static("reply");
/// The namespace of the trigger or subscription.
pub const KN_NAMESPACE: HeaderName = HeaderName::from_static("kn-namespace");

/// Whether a header of the producer's request (or of a response that is a reply) goes on to the next receiver: the
/// ones upstream passes, and the trace context of the hop.
pub fn passes(name: &HeaderName) -> bool {
    let name = name.as_str();
    matches!(
        name,
        "x-request-id" | "retry-after" | "traceparent" | "tracestate"
    ) || name.starts_with("knative-")
        || name.starts_with("x-b3-")
}

/// The headers that go on.
pub fn passed(headers: &HeaderMap) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
    headers.iter().filter(|(name, _)| passes(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_listed_headers_pass() {
        for name in [
            "x-request-id",
            "retry-after",
            "knative-foo",
            "x-b3-traceid",
            "traceparent",
        ] {
            assert!(passes(&HeaderName::from_static(name)), "{name}");
        }
        for name in [
            "ce-id",
            "authorization",
            "cookie",
            "host",
            "kn-namespace",
            "x-forwarded-for",
            "x-b3",
            "b3",
        ] {
            assert!(!passes(&HeaderName::from_static(name)), "{name}");
        }
    }
}
