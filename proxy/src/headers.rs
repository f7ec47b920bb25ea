//! Header names of the data plane, and what a proxy removes or adds.

use http::header::{
    self, CONNECTION, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE,
};

/// Names the kind of network probe: `queue`, `activator` or `probe`.
pub const K_NETWORK_PROBE: HeaderName = HeaderName::from_static("k-network-probe");
/// Hash of the ingress version that an ingress probe expects back.
pub const K_NETWORK_HASH: HeaderName = HeaderName::from_static("k-network-hash");
/// Marks kubelet's probes where the user agent cannot.
pub const K_KUBELET_PROBE: HeaderName = HeaderName::from_static("k-kubelet-probe");
/// Says which hop forwarded: `activator`.
pub const K_PROXY_REQUEST: HeaderName = HeaderName::from_static("k-proxy-request");
/// The Host that the client asked for, while the hop itself uses another.
pub const K_ORIGINAL_HOST: HeaderName = HeaderName::from_static("k-original-host");
/// Asks a mesh to route to the pod named by the Host.
pub const K_PASSTHROUGH_LB: HeaderName = HeaderName::from_static("k-passthrough-lb");
/// Name of the revision that a split chose.
pub const REVISION: HeaderName = HeaderName::from_static("knative-serving-revision");
/// Namespace of the revision that a split chose.
pub const NAMESPACE: HeaderName = HeaderName::from_static("knative-serving-namespace");
/// Tag asked for by the client, or set on a tag's host.
pub const TAG: HeaderName = HeaderName::from_static("knative-serving-tag");
/// Set on the default path while tag headers are enabled.
pub const DEFAULT_ROUTE: HeaderName = HeaderName::from_static("knative-serving-default-route");

pub const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

/// Headers that only hops inside the system may set; an edge removes them from what clients send.
pub const INTERNAL: [HeaderName; 9] = [
    K_NETWORK_PROBE,
    K_NETWORK_HASH,
    K_KUBELET_PROBE,
    K_PROXY_REQUEST,
    K_ORIGINAL_HOST,
    K_PASSTHROUGH_LB,
    REVISION,
    NAMESPACE,
    DEFAULT_ROUTE,
];

/// Removes the internal headers from a request that came from outside.
pub fn strip_internal(headers: &mut HeaderMap) {
    for name in &INTERNAL {
        headers.remove(name);
    }
}

/// The protocol a request wants to switch to, if its `Connection` header asks for an upgrade too.
pub fn requested_upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let upgrade = headers.get(UPGRADE)?;
    connection_tokens(headers)
        .any(|token| token.eq_ignore_ascii_case("upgrade"))
        .then(|| upgrade.clone())
}

/// Removes what concerns one connection only (RFC 9110 §7.6.1), the headers listed in `Connection` included.
///
/// `TE: trailers` stays: gRPC demands it end to end.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let listed: Vec<HeaderName> = connection_tokens(headers)
            .filter_map(|token| token.parse().ok())
            .filter(|name| !is_end_to_end(name))
            .collect();
        for name in &listed {
            headers.remove(name);
        }
        headers.remove(CONNECTION);
    }
    headers.remove(&KEEP_ALIVE);
    headers.remove(&PROXY_CONNECTION);
    headers.remove(&HTTP2_SETTINGS);
    headers.remove(TRANSFER_ENCODING);
    headers.remove(UPGRADE);
    headers.remove(PROXY_AUTHENTICATE);
    if let Some(te) = headers.remove(TE)
        && te.to_str().is_ok_and(|te| {
            te.split(',')
                .any(|part| part.trim().eq_ignore_ascii_case("trailers"))
        })
    {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// Headers that a client must not be able to remove by listing them in `Connection`: doing so would let it hide who it
/// is or how its message is framed from the next hop.
fn is_end_to_end(name: &HeaderName) -> bool {
    [
        header::HOST,
        header::CONTENT_LENGTH,
        header::FORWARDED,
        header::AUTHORIZATION,
        header::COOKIE,
        TE,
        TRAILER,
    ]
    .contains(name)
        || [X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO].contains(name)
        || INTERNAL.contains(name)
        || *name == TAG
}

fn connection_tokens(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .fold(HeaderMap::new(), |mut map, (name, value)| {
                map.append(name, value);
                map
            })
    }

    #[test]
    fn hop_by_hop_headers_and_those_listed_are_removed() {
        let mut map = headers(&[
            ("connection", "close, X-Secret"),
            ("connection", "keep-alive"),
            ("keep-alive", "timeout=5"),
            ("x-secret", "1"),
            ("transfer-encoding", "chunked"),
            ("te", "gzip, trailers"),
            ("x-kept", "1"),
        ]);
        strip_hop_by_hop(&mut map);
        assert_eq!(map, headers(&[("x-kept", "1"), ("te", "trailers")]));
    }

    #[test]
    fn listing_a_header_cannot_remove_identity_or_framing() {
        let mut map = headers(&[
            ("connection", "x-forwarded-for, content-length, k-original-host"),
            ("x-forwarded-for", "1.2.3.4"),
            ("content-length", "3"),
            ("k-original-host", "h"),
        ]);
        strip_hop_by_hop(&mut map);
        assert_eq!(map.len(), 3);
    }

    #[test]
    fn upgrade_needs_both_headers() {
        for (map, expected) in [
            (
                headers(&[("upgrade", "websocket"), ("connection", "keep-alive, Upgrade")]),
                true,
            ),
            (headers(&[("upgrade", "websocket")]), false),
            (headers(&[("connection", "upgrade")]), false),
        ] {
            assert_eq!(requested_upgrade(&map).is_some(), expected, "{map:?}");
        }
    }
}
