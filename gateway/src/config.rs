//! What a gateway is started with.

use std::time::Duration;

use prometheus::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::progress::Progress;

/// Settings of one gateway.
pub struct Config {
    pub client: kube::Client,
    /// Only ingresses with this class annotation are served; the status of others is not touched.
    pub ingress_class: String,
    /// Requests from outside: hosts that are local to the cluster do not exist here.
    pub external: Vec<TcpListener>,
    /// Requests from inside the cluster.
    pub internal: Vec<TcpListener>,
    /// Where the activator answers for revisions without pods (8012, 8013 in a cluster); may be empty.
    pub activator_listeners: Vec<TcpListener>,
    /// Names written to the status of ingresses: where the outside, and the inside, finds this gateway.
    pub external_domain: String,
    pub internal_domain: String,
    /// The embedded activator.
    pub activator: activator::Config,
    /// Takes X-Forwarded-For and -Proto over from outside clients: only behind a proxy that sets them.
    pub trust_forwarded: bool,
    /// Logs each request.
    pub access_log: bool,
    /// Metrics are registered here.
    pub registry: Registry,
    /// How long requests in flight may go on after `shutdown`.
    pub grace: Duration,
    pub shutdown: CancellationToken,
    /// Tells whoever keeps a clone what the gateway does not know yet.
    pub progress: Progress,
}

impl Config {
    /// The usual settings of an install in `knative-serving`, without listeners.
    pub fn new(client: kube::Client) -> Self {
        Self {
            client,
            ingress_class: "spindrift.ingress.networking.knative.dev".into(),
            external: Vec::new(),
            internal: Vec::new(),
            activator_listeners: Vec::new(),
            external_domain: "gateway.knative-serving.svc.cluster.local".into(),
            internal_domain: "gateway-internal.knative-serving.svc.cluster.local".into(),
            activator: activator::Config::default(),
            trust_forwarded: false,
            access_log: false,
            registry: Registry::new(),
            grace: Duration::from_secs(300),
            shutdown: CancellationToken::new(),
            progress: Progress::default(),
        }
    }
}
