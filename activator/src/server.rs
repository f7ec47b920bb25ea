//! The activator as a server of its own, behind ingresses that send it the requests of sleeping revisions.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::header::HOST;
use http::{HeaderMap, Request, Response, StatusCode};
use proxy::error::text;
use proxy::headers::{K_NETWORK_HASH, NAMESPACE, REVISION};
use proxy::network_probe::{
    ACTIVATOR, NetworkProbe, echo_hash, is_kubelet_probe, network_probe, unexpected_probe,
};
use proxy::{Body, Failure, Handler, Server, ServerConfig};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::forward::Activator;
use crate::phases::Phases;
use crate::revision::RevisionKey;

/// How long a request waits for a revision that is not known (yet).
const UNKNOWN_PATIENCE: Duration = Duration::from_secs(1);

/// Handlers of the standalone server.
struct Front {
    activator: Arc<Activator>,
    stopping: AtomicBool,
}

impl Activator {
    /// Serves on `listeners` until `shutdown`: probes fail for the drain period, then listeners close, then requests
    /// finish within the grace period.
    pub async fn serve(self: Arc<Self>, listeners: Vec<TcpListener>, shutdown: CancellationToken) {
        let config = self.config().clone();
        let front = Arc::new(Front {
            activator: self.clone(),
            stopping: AtomicBool::new(false),
        });
        let server = Server::new(front.clone(), ServerConfig::default());
        let stop = CancellationToken::new();
        let serving: Vec<_> = listeners
            .into_iter()
            .map(|listener| tokio::spawn(server.clone().run(listener, stop.clone(), config.grace)))
            .collect();
        shutdown.cancelled().await;
        front.stopping.store(true, Ordering::Release);
        tokio::time::sleep(config.drain).await;
        stop.cancel();
        for task in serving {
            let _ = task.await;
        }
        self.upgraded_done(config.grace).await;
    }
}

impl Handler for Front {
    async fn handle(self: Arc<Self>, mut request: Request<Body>, _peer: SocketAddr) -> Response<Body> {
        let headers = request.headers();
        let probe = network_probe(headers);
        if is_kubelet_probe(headers) && probe.is_none() {
            return self.health();
        }
        match probe {
            Some(NetworkProbe::Ingress) => return echo_hash(headers),
            Some(NetworkProbe::Part(part)) if part == ACTIVATOR => return text(StatusCode::OK, ACTIVATOR),
            Some(NetworkProbe::Part(other)) => return unexpected_probe(&other),
            None => {}
        }
        let Some(key) = revision_key(
            request.headers(),
            request.uri().authority().map(|authority| authority.as_str()),
        ) else {
            return Failure::BadRequest("neither headers nor host name a revision".into()).response();
        };
        let Some(revision) = self
            .activator
            .model()
            .revision_within(&key, UNKNOWN_PATIENCE)
            .await
        else {
            let name = &key.name;
            return Failure::NotFound(format!(
                "Error getting active endpoint: revision.serving.knative.dev {name:?} not found"
            ))
            .response();
        };
        request.headers_mut().remove(&K_NETWORK_HASH);
        self.activator
            .forward(&revision, request, &mut Phases::new())
            .await
    }
}

impl Front {
    fn health(&self) -> Response<Body> {
        if self.stopping.load(Ordering::Acquire) {
            return Failure::Internal("the activator is shutting down".into()).response();
        }
        if !self.activator.reports() {
            return Failure::Internal("the autoscaler cannot be reached".into()).response();
        }
        text(StatusCode::OK, "")
    }
}

/// The revision by the headers that ingresses set, else by a host `<revision>.<namespace>.svc…[:port]`.
fn revision_key(headers: &HeaderMap, authority: Option<&str>) -> Option<RevisionKey> {
    let value = |name| {
        headers
            .get(name)
            .and_then(|value: &http::HeaderValue| value.to_str().ok())
    };
    if let (Some(name), Some(namespace)) = (value(REVISION), value(NAMESPACE)) {
        return Some(RevisionKey::new(namespace, name));
    }
    let host = value(HOST).or(authority)?;
    let host = host.split(':').next()?;
    let mut labels = host.split('.');
    let (name, namespace, service) = (labels.next()?, labels.next()?, labels.next()?);
    (service == "svc" && !name.is_empty() && !namespace.is_empty()).then(|| RevisionKey::new(namespace, name))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn revisions_are_found_by_headers_first_then_by_host() {
        let cases = [
            (Some(("r", "n")), "x.y.svc", Some(("n", "r"))),
            (None, "rev.ns.svc.cluster.local:80", Some(("ns", "rev"))),
            (None, "rev.ns.svc", Some(("ns", "rev"))),
            (None, "rev.ns.example.com", None),
            (None, "rev", None),
        ];
        for (named, host, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static(host));
            if let Some((name, namespace)) = named {
                headers.insert(REVISION, HeaderValue::from_static(name));
                headers.insert(NAMESPACE, HeaderValue::from_static(namespace));
            }
            let expected = expected.map(|(namespace, name)| RevisionKey::new(namespace, name));
            assert_eq!(revision_key(&headers, None), expected, "{host}");
        }
    }
}
