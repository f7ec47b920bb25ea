//! HTTP header names, and some of their values, that the data plane's processes use among themselves.

/// Names the revision that a request is for; set by the ingress, removed before the application.
pub const REVISION: &str = "Knative-Serving-Revision";
/// Namespace of the revision that a request is for; set by the ingress, removed before the application.
pub const NAMESPACE: &str = "Knative-Serving-Namespace";
/// Chooses a tag of a Route, where tag headers are enabled; set by the ingress on hosts of tags.
pub const TAG: &str = "Knative-Serving-Tag";
/// Set to `true` by the ingress on the default path while tag headers are enabled.
pub const DEFAULT_ROUTE: &str = "Knative-Serving-Default-Route";
/// Set to `activator` on requests that came through an activator.
pub const PROXY_REQUEST: &str = "K-Proxy-Request";
/// Value of [`PROXY_REQUEST`].
pub const PROXY_REQUEST_ACTIVATOR: &str = "activator";
/// The Host header as the client sent it.
pub const ORIGINAL_HOST: &str = "K-Original-Host";
/// Asks a mesh to deliver to exactly the addressed pod.
pub const PASSTHROUGH_LB: &str = "K-Passthrough-Lb";
/// Marks a probe of the platform; the value names who is expected to answer.
pub const PROBE: &str = "K-Network-Probe";
/// Value of [`PROBE`]: an ingress asks whether it serves a new configuration.
pub const PROBE_INGRESS: &str = "probe";
/// Value of [`PROBE`]: is an activator in the path?
pub const PROBE_ACTIVATOR: &str = "activator";
/// Value of [`PROBE`]: is a queue-proxy ready?
pub const PROBE_QUEUE: &str = "queue";
/// Version of an ingress configuration, echoed to its prober.
pub const HASH: &str = "K-Network-Hash";
/// Value of [`HASH`] that asks the ingress to put in its own.
pub const HASH_OVERRIDE: &str = "override";
/// Marks a probe of the kubelet.
pub const KUBELET_PROBE: &str = "K-Kubelet-Probe";

/// User-Agent of an ingress' prober.
pub const USER_AGENT_INGRESS_PROBE: &str = "Knative-Ingress-Probe";
/// User-Agent of an activator's prober.
pub const USER_AGENT_ACTIVATOR_PROBE: &str = "Knative-Activator-Probe";
/// User-Agent of the autoscaler's prober.
pub const USER_AGENT_AUTOSCALER_PROBE: &str = "Knative-Autoscaling-Probe";
/// How the User-Agent of a kubelet's prober begins.
pub const USER_AGENT_KUBELET_PREFIX: &str = "kube-probe/";
/// Path that the probes of the platform ask for.
pub const PROBE_PATH: &str = "/healthz";
