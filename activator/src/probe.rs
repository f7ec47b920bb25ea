//! Asks a pod's queue-proxy whether the container is ready.

use std::sync::Arc;
use std::time::Duration;

use http::header::{HOST, HeaderValue, USER_AGENT};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use proxy::headers::K_NETWORK_PROBE;
use proxy::network_probe::{ACTIVATOR_USER_AGENT, HEALTH_PATH, QUEUE};
use proxy::{Body, Protocol, Upstream};

/// Pauses between attempts in milliseconds; the last one repeats.
const STEPS: [u64; 9] = [1, 1, 2, 2, 5, 5, 10, 10, 25];
/// Time for one attempt. Long, because a queue-proxy whose container just starts holds the probe and answers the moment
/// the container accepts; upstream's 300 ms would ask again and again.
const ATTEMPT: Duration = Duration::from_secs(3);
/// Bytes of an answer that are read: a pod is not trusted to be brief.
const MAX_ANSWER: usize = 1024;

/// The pauses between attempts.
pub(crate) fn pauses() -> impl Iterator<Item = Duration> {
    STEPS
        .into_iter()
        .chain(std::iter::repeat(25))
        .map(Duration::from_millis)
}

/// One attempt: whether the pod answered that it is ready.
pub(crate) async fn attempt(pod: &Arc<Upstream>, protocol: Protocol) -> bool {
    tokio::time::timeout(ATTEMPT, ask(pod, protocol))
        .await
        .is_ok_and(|answer| answer.is_some())
}

async fn ask(pod: &Arc<Upstream>, protocol: Protocol) -> Option<()> {
    let host = pod.addr().to_string();
    let uri = match protocol {
        Protocol::Http1 => HEALTH_PATH.to_owned(),
        Protocol::H2c => format!("http://{host}{HEALTH_PATH}"),
    };
    let mut request = Request::get(uri).body(Body::empty()).ok()?;
    let headers = request.headers_mut();
    if protocol == Protocol::Http1 {
        headers.insert(HOST, HeaderValue::try_from(host).ok()?);
    }
    headers.insert(USER_AGENT, HeaderValue::from_static(ACTIVATOR_USER_AGENT));
    headers.insert(K_NETWORK_PROBE, HeaderValue::from_static(QUEUE));
    let response = pod.send(request, protocol).await.ok()?;
    if response.status() != StatusCode::OK {
        return None;
    }
    let body = Limited::new(response.into_body(), MAX_ANSWER)
        .collect()
        .await
        .ok()?
        .to_bytes();
    (body == QUEUE).then_some(())
}
