//! The way of a request through the gateway.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use activator::{Activator, Phases, RevisionKey, ServiceKey, Slot};
use http::header::{HOST, HeaderName, HeaderValue, LOCATION};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use proxy::forward::{Forwarded, Outgoing, Splice};
use proxy::headers::{K_NETWORK_HASH, X_FORWARDED_FOR, X_FORWARDED_PROTO, strip_internal};
use proxy::network_probe::{NetworkProbe, network_probe};
use proxy::{Body, Failure, Handler};
use tokio_util::task::TaskTracker;

use crate::backend::Backends;
use crate::metrics::Metrics;
use crate::route::{Backend, Route, ServicePort, Split};
use crate::table::Table;

/// How long a request waits for a revision or Service that its route names but no watch has told yet.
const UNKNOWN_PATIENCE: Duration = Duration::from_secs(5);
/// Asks for a `Server-Timing` header that says where the time of a wake went.
const TRACE: HeaderName = HeaderName::from_static("spindrift-trace");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// What both listeners share.
pub(crate) struct Gateway {
    pub(crate) table: Arc<Table>,
    pub(crate) backends: Arc<Backends>,
    pub(crate) activator: Arc<Activator>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) upgraded: TaskTracker,
    pub(crate) trust_forwarded: bool,
    pub(crate) access_log: bool,
}

/// One kind of listener.
pub(crate) struct Edge {
    pub(crate) gateway: Arc<Gateway>,
    /// Clients are outside the cluster.
    pub(crate) external: bool,
}

impl Handler for Edge {
    async fn handle(self: Arc<Self>, mut request: Request<Body>, peer: SocketAddr) -> Response<Body> {
        let mut phases = Phases::new();
        let traced = request
            .headers_mut()
            .remove(&TRACE)
            .is_some_and(|value| value == "1");
        let method = request.method().clone();
        let line = self
            .gateway
            .access_log
            .then(|| Line::new(&method, &request, peer));
        let mut response = match self.route(request, peer, &mut phases).await {
            Ok(response) => response,
            Err(failure) => failure.response(),
        };
        if let (true, Some(timing)) = (traced, phases.server_timing()) {
            response.headers_mut().insert(SERVER_TIMING, timing);
        }
        let took = phases.arrived.elapsed();
        self.gateway.metrics.answered(&method, response.status(), took);
        if let Some(line) = line {
            line.write(response.status(), took);
        }
        response
    }
}

impl Edge {
    async fn route(
        &self,
        mut request: Request<Body>,
        peer: SocketAddr,
        phases: &mut Phases,
    ) -> Result<Response<Body>, Failure> {
        let probe = network_probe(request.headers()) == Some(NetworkProbe::Ingress);
        // Before anything reads them: clients must not pass for one of us.
        strip_internal(request.headers_mut());
        let host =
            requested_host(&request).ok_or_else(|| Failure::BadRequest("the Host is not readable".into()))?;
        let path = request.uri().path().to_owned();
        let table = &self.gateway.table;
        let mut route = table
            .find(&host, &path, request.headers(), self.external)
            .ok_or_else(|| {
                Failure::NotFound(format!(
                    "no service answers to {host}{path}; check the host name and the Route's status"
                ))
            })?;
        if probe {
            return Ok(echo(&route));
        }
        if route.redirect && self.external {
            return redirect(&host, &request);
        }
        self.forwarded_headers(request.headers_mut(), peer);
        set_all(request.headers_mut(), &route.append);
        if let Some(rewritten) = route.rewrite_host.clone() {
            // A mapped domain names another of our hosts: go there directly instead of through its Service.
            let next = rewritten
                .to_str()
                .ok()
                .and_then(|host| table.find(host, &path, request.headers(), false));
            request.headers_mut().insert(HOST, rewritten);
            if let Some(next) = next.filter(|next| next.rewrite_host.is_none()) {
                // What the split says of the request, such as its original host, goes along.
                set_all(request.headers_mut(), &pick(&route, &host)?.append);
                set_all(request.headers_mut(), &next.append);
                route = next;
            }
        }
        let split = pick(&route, &host)?;
        set_all(request.headers_mut(), &split.append);
        match &split.backend {
            Backend::Revision(key) => self.gateway.to_revision(key, request, phases).await,
            Backend::Service(key, port) => self.gateway.to_service(key, port, request, phases).await,
        }
    }

    fn forwarded_headers(&self, headers: &mut HeaderMap, peer: SocketAddr) {
        let trusted = self.gateway.trust_forwarded || !self.external;
        let client = peer.ip().to_canonical().to_string();
        let chain = match headers
            .get(&X_FORWARDED_FOR)
            .and_then(|value| value.to_str().ok())
        {
            Some(before) if !before.is_empty() => format!("{before}, {client}"),
            _ => client,
        };
        if let Ok(chain) = HeaderValue::try_from(chain) {
            headers.insert(X_FORWARDED_FOR, chain);
        }
        if !trusted || !headers.contains_key(&X_FORWARDED_PROTO) {
            headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("http"));
        }
    }
}

impl Gateway {
    async fn to_revision(
        &self,
        key: &RevisionKey,
        request: Request<Body>,
        phases: &mut Phases,
    ) -> Result<Response<Body>, Failure> {
        let revision = match self.activator.model().revision(key) {
            Some(revision) => revision,
            None => self
                .activator
                .model()
                .revision_within(key, UNKNOWN_PATIENCE)
                .await
                .ok_or_else(|| Failure::NotFound(format!("revision {key} does not exist")))?,
        };
        let mut outgoing = Outgoing::new(request, revision.settings().protocol);
        // Straight to a pod only if one has a free slot: otherwise the request waits here, not behind a busy pod.
        while self.backends.serves(key) {
            let Some(slot) = revision.throttler().try_acquire() else {
                break;
            };
            phases.assigned = Some(phases.arrived.elapsed());
            match outgoing.send(slot.upstream()).await {
                Ok(forwarded) => {
                    phases.first_byte = Some(phases.arrived.elapsed());
                    return Ok(self.deliver(forwarded, Some(slot)));
                }
                Err(failed) => {
                    tracing::debug!(error = &failed.error as &dyn std::error::Error, revision = %key, "Pod did not answer");
                    let failure = Failure::from(&failed.error);
                    // Nothing was sent: another pod, or the activator, may have the request.
                    outgoing = *failed.unsent.ok_or(failure)?;
                    slot.suspect();
                }
            }
        }
        Ok(self.activator.forward_outgoing(&revision, outgoing, phases).await)
    }

    async fn to_service(
        &self,
        key: &ServiceKey,
        port: &ServicePort,
        request: Request<Body>,
        phases: &mut Phases,
    ) -> Result<Response<Body>, Failure> {
        let resolved = self
            .backends
            .resolve(key, port)
            .await
            .ok_or_else(|| Failure::NotFound(format!("service {key} or its port does not exist")))?;
        let mut outgoing = Outgoing::new(request, resolved.protocol);
        let mut last = Failure::NoEndpoints;
        for upstream in resolved.in_turn() {
            phases.assigned = Some(phases.arrived.elapsed());
            match outgoing.send(upstream).await {
                Ok(forwarded) => {
                    phases.first_byte = Some(phases.arrived.elapsed());
                    return Ok(self.deliver(forwarded, None));
                }
                Err(failed) => {
                    tracing::debug!(error = &failed.error as &dyn std::error::Error, service = %key, "Backend did not answer");
                    last = Failure::from(&failed.error);
                    match failed.unsent {
                        Some(unsent) => outgoing = *unsent,
                        None => break,
                    }
                }
            }
        }
        Err(last)
    }

    fn deliver(&self, forwarded: Forwarded, slot: Option<Slot>) -> Response<Body> {
        let Forwarded { response, splice } = forwarded;
        match (splice, slot) {
            (Some(splice), slot) => {
                self.upgraded.spawn(run_splice(splice, slot));
                response
            }
            (None, Some(slot)) => response.map(|body| body.observed(Some(slot))),
            (None, None) => response,
        }
    }
}

async fn run_splice(splice: Splice, _slot: Option<Slot>) {
    if let Err(error) = splice.run().await {
        tracing::debug!(%error, "Upgraded connection ended");
    }
}

/// The host without its port, lower case.
fn requested_host(request: &Request<Body>) -> Option<String> {
    let header = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let host = header.or_else(|| request.uri().authority().map(|authority| authority.as_str()))?;
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    Some(name.trim_end_matches('.').to_ascii_lowercase())
}

/// The share of the route that this request falls into.
fn pick<'a>(route: &'a Route, host: &str) -> Result<&'a Split, Failure> {
    route
        .split(|total| rand::random_range(0..total))
        .ok_or_else(|| Failure::NotFound(format!("{host} has no backend")))
}

/// Appended headers overwrite what the client sent.
fn set_all(headers: &mut HeaderMap, append: &[(HeaderName, HeaderValue)]) {
    for (name, value) in append {
        headers.insert(name.clone(), value.clone());
    }
}

fn echo(route: &Route) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    if let Ok(hash) = HeaderValue::from_str(&route.hash) {
        response.headers_mut().insert(K_NETWORK_HASH, hash);
    }
    response
}

fn redirect(host: &str, request: &Request<Body>) -> Result<Response<Body>, Failure> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let location = HeaderValue::try_from(format!("https://{host}{path}"))
        .map_err(|_| Failure::BadRequest("the address cannot be redirected".into()))?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}

/// A line of the access log.
struct Line {
    method: Method,
    host: String,
    path: String,
    peer: SocketAddr,
}

impl Line {
    fn new(method: &Method, request: &Request<Body>, peer: SocketAddr) -> Self {
        let host = requested_host(request).unwrap_or_default();
        Self {
            method: method.clone(),
            host,
            path: request.uri().path().to_owned(),
            peer,
        }
    }

    fn write(self, status: StatusCode, took: Duration) {
        tracing::info!(
            target: "access",
            method = %self.method,
            host = %self.host,
            path = %self.path,
            client.addr = %self.peer,
            status = status.as_u16(),
            seconds = took.as_secs_f64(),
            "Request"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_compared_without_port_and_case() {
        for (uri, host, expected) in [
            ("/", Some("A.Example:8080"), "a.example"),
            ("http://b.example/", None, "b.example"),
            ("/", Some("c.example."), "c.example"),
            ("/", Some("[::1]:80"), "[::1]"),
        ] {
            let mut request = Request::builder().uri(uri).body(Body::empty()).unwrap();
            if let Some(host) = host {
                request.headers_mut().insert(HOST, HeaderValue::from_static(host));
            }
            assert_eq!(requested_host(&request).as_deref(), Some(expected));
        }
    }
}
