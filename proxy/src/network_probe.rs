//! The probes that parts of the system send each other through the same ports as the requests.

use http::header::USER_AGENT;
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use crate::body::Body;
use crate::error::text;
use crate::headers::{K_KUBELET_PROBE, K_NETWORK_HASH, K_NETWORK_PROBE};

/// Path of health probes between parts of the system.
pub const HEALTH_PATH: &str = "/healthz";
/// Value of `K-Network-Probe` by which an ingress probe asks for its hash back.
pub const INGRESS_PROBE: &str = "probe";
/// Value of `K-Network-Probe` that only a queue-proxy answers, and its answer.
pub const QUEUE: &str = "queue";
/// Value of `K-Network-Probe` that only an activator answers, and its answer.
pub const ACTIVATOR: &str = "activator";

pub const ACTIVATOR_USER_AGENT: &str = "Knative-Activator-Probe";
pub const AUTOSCALER_USER_AGENT: &str = "Knative-Autoscaling-Probe";
pub const INGRESS_USER_AGENT: &str = "Knative-Ingress-Probe";
const KUBELET_USER_AGENT: &str = "kube-probe/";

/// What `K-Network-Probe` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkProbe {
    /// Echo the hash.
    Ingress,
    /// Answer if you are the part of this name.
    Part(HeaderValue),
}

/// The network probe that a request is, if it is one.
pub fn network_probe(headers: &HeaderMap) -> Option<NetworkProbe> {
    let value = headers.get(&K_NETWORK_PROBE).filter(|value| !value.is_empty())?;
    Some(if value == INGRESS_PROBE {
        NetworkProbe::Ingress
    } else {
        NetworkProbe::Part(value.clone())
    })
}

/// Whether kubelet sent the request, by its user agent or by the header that stands in for it.
pub fn is_kubelet_probe(headers: &HeaderMap) -> bool {
    headers.contains_key(&K_KUBELET_PROBE)
        || headers
            .get(USER_AGENT)
            .is_some_and(|agent| agent.as_bytes().starts_with(KUBELET_USER_AGENT.as_bytes()))
}

/// Whether the user agent is one of ours.
pub fn is_part_probe(headers: &HeaderMap) -> bool {
    headers.get(USER_AGENT).is_some_and(|agent| {
        [ACTIVATOR_USER_AGENT, AUTOSCALER_USER_AGENT]
            .iter()
            .any(|ours| agent.as_bytes().starts_with(ours.as_bytes()))
    })
}

/// Answers [`NetworkProbe::Ingress`] with the hash it came with.
pub fn echo_hash(headers: &HeaderMap) -> Response<Body> {
    let Some(hash) = headers.get(&K_NETWORK_HASH).filter(|hash| !hash.is_empty()) else {
        return text(
            StatusCode::BAD_REQUEST,
            "a probe request must contain a non-empty \"K-Network-Hash\" header\n",
        );
    };
    let mut response = Response::new(Body::empty());
    response.headers_mut().insert(K_NETWORK_HASH, hash.clone());
    response
}

/// Answers [`NetworkProbe::Part`] when the value is not ours.
pub fn unexpected_probe(value: &HeaderValue) -> Response<Body> {
    let mut response = text(StatusCode::BAD_REQUEST, "");
    let value = String::from_utf8_lossy(value.as_bytes());
    *response.body_mut() = Body::full(format!("unexpected probe header value: {value}\n"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_are_told_apart() {
        let mut headers = HeaderMap::new();
        assert_eq!(network_probe(&headers), None);
        assert!(!is_kubelet_probe(&headers));
        headers.insert(K_NETWORK_PROBE, HeaderValue::from_static("probe"));
        assert_eq!(network_probe(&headers), Some(NetworkProbe::Ingress));
        headers.insert(K_NETWORK_PROBE, HeaderValue::from_static("queue"));
        assert_eq!(
            network_probe(&headers),
            Some(NetworkProbe::Part(HeaderValue::from_static("queue")))
        );
        headers.insert(USER_AGENT, HeaderValue::from_static("kube-probe/1.37"));
        assert!(is_kubelet_probe(&headers));
        headers.insert(USER_AGENT, HeaderValue::from_static("Knative-Activator-Probe"));
        assert!(is_part_probe(&headers));
    }

    #[test]
    fn a_hash_is_echoed_and_its_absence_refused() {
        let mut headers = HeaderMap::new();
        assert_eq!(echo_hash(&headers).status(), 400);
        headers.insert(K_NETWORK_HASH, HeaderValue::from_static("abc"));
        let response = echo_hash(&headers);
        assert_eq!(
            (response.status().as_u16(), &response.headers()[K_NETWORK_HASH]),
            (200, &HeaderValue::from_static("abc"))
        );
    }
}
