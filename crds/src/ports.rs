//! Ports of the data plane and of the components.

/// Clear HTTP/1.1 port of queue-proxy and activator.
pub const BACKEND_HTTP: u16 = 8012;
/// Clear HTTP/2 port of queue-proxy and activator.
pub const BACKEND_HTTP2: u16 = 8013;
/// TLS port of queue-proxy and activator.
pub const BACKEND_HTTPS: u16 = 8112;
/// Administrative port of queue-proxy (`/wait-for-drain`).
pub const QUEUE_ADMIN: u16 = 8022;
/// Where queue-proxy tells the autoscaler about its load; components serve Prometheus metrics on the same number.
pub const AUTOSCALING_METRICS: u16 = 9090;
/// Where queue-proxy serves its own Prometheus metrics.
pub const USER_METRICS: u16 = 9091;
/// Profiling, if enabled.
pub const PROFILING: u16 = 8008;
/// Where the autoscaler receives stats, and where components answer health and readiness probes.
pub const AUTOSCALER: u16 = 8080;
/// Where the data plane of events accepts them.
pub const BROKER_INGRESS: u16 = 8082;
/// Where the webhooks of GitHub arrive.
pub const GIT_HUB_SOURCE: u16 = 8083;
/// Where job sinks take events.
pub const JOB_SINK: u16 = 8084;
/// Where the webhooks of Repositories arrive.
pub const PUSH: u16 = 8085;
/// Where RequestReplies take requests.
pub const REQUEST_REPLY: u16 = 8087;
/// Where the data plane of events accepts them over TLS.
pub const BROKER_INGRESS_TLS: u16 = 8445;
/// Where job sinks take events over TLS.
pub const JOB_SINK_TLS: u16 = 8446;
/// Where RequestReplies take requests over TLS.
pub const REQUEST_REPLY_TLS: u16 = 8447;
/// Where the admission webhook listens.
pub const WEBHOOK: u16 = 8443;
/// The port that an application listens on unless it says otherwise.
pub const USER_DEFAULT: u16 = 8080;

/// Port of public and private Services for HTTP/1.1.
pub const SERVICE_HTTP: u16 = 80;
/// Port of public Services for clear HTTP/2.
pub const SERVICE_HTTP2: u16 = 81;
/// Port of public and private Services for TLS.
pub const SERVICE_HTTPS: u16 = 443;

/// Name of the HTTP/1.1 Service port.
pub const NAME_HTTP: &str = "http";
/// Name of the clear HTTP/2 Service port; ingresses choose the protocol by it.
pub const NAME_HTTP2: &str = "http2";
/// Name of the TLS Service port.
pub const NAME_HTTPS: &str = "https";
/// Name of the private Service's port for the autoscaler, and of queue-proxy's container port behind it.
pub const NAME_AUTOSCALING_METRICS: &str = "http-autometric";
/// Name of the private Service's port for user metrics, and of queue-proxy's container port behind it.
pub const NAME_USER_METRICS: &str = "http-usermetric";
/// Name of queue-proxy's container port for requests.
pub const NAME_QUEUE: &str = "queue-port";
/// Name of queue-proxy's container port for TLS requests.
pub const NAME_QUEUE_HTTPS: &str = "https-port";
/// Name of queue-proxy's container port for profiling.
pub const NAME_PROFILING: &str = "profiling-port";
/// Name that the serving port of the user's container gets in the pod.
pub const NAME_USER: &str = "user-port";

/// Ports that no application may claim. 8112 is missing on purpose: peers let it through, and so do existing manifests.
pub const RESERVED: [u16; 6] = [
    PROFILING,
    BACKEND_HTTP,
    BACKEND_HTTP2,
    QUEUE_ADMIN,
    AUTOSCALING_METRICS,
    USER_METRICS,
];
