//! Annotation keys, grouped by the domain before the slash.
//!
//! Where a key has had several spellings there is a list of all of them, the present one first; [`first`] reads such a
//! list.

use std::collections::BTreeMap;

/// Who created the object; set by admission.
pub const CREATOR: &str = "serving.knative.dev/creator";
/// Who last changed the object's spec; set by admission.
pub const LAST_MODIFIER: &str = "serving.knative.dev/lastModifier";
/// On revisions and configurations: the routes that point at them, separated by commas.
pub const ROUTES: &str = "serving.knative.dev/routes";
/// On revisions: when the routing state last changed, RFC 3339 UTC.
pub const ROUTING_STATE_MODIFIED: &str = "serving.knative.dev/routingStateModified";
/// On revisions: an earlier way to say that a route points at them.
pub const LAST_PINNED: &str = "serving.knative.dev/lastPinned";
/// On revisions: `"true"` keeps the collector away.
pub const NO_GC: &str = "serving.knative.dev/no-gc";
/// On templates: how long a Deployment may take to make progress, a Go duration.
pub const PROGRESS_DEADLINE: &str = "serving.knative.dev/progress-deadline";
/// On Services and Routes: how long a gradual rollout takes, a Go duration.
pub const ROLLOUT_DURATION: &str = "serving.knative.dev/rollout-duration";
/// All spellings of [`ROLLOUT_DURATION`].
pub const ROLLOUT_DURATION_KEYS: &[&str] = &[ROLLOUT_DURATION, "serving.knative.dev/rolloutDuration"];

/// Prefix of the annotations that size queue-proxy.
pub const QUEUE_SIDECAR_PREFIX: &str = "queue.sidecar.serving.knative.dev/";
/// Size of queue-proxy relative to the user's container, percent; deprecated.
pub const QUEUE_SIDECAR_RESOURCE_PERCENTAGE_KEYS: &[&str] = &[
    "queue.sidecar.serving.knative.dev/resource-percentage",
    "queue.sidecar.serving.knative.dev/resourcePercentage",
];
/// queue-proxy's CPU request.
pub const QUEUE_SIDECAR_CPU_REQUEST_KEYS: &[&str] =
    &["queue.sidecar.serving.knative.dev/cpu-resource-request"];
/// queue-proxy's CPU limit.
pub const QUEUE_SIDECAR_CPU_LIMIT_KEYS: &[&str] = &["queue.sidecar.serving.knative.dev/cpu-resource-limit"];
/// queue-proxy's memory request.
pub const QUEUE_SIDECAR_MEMORY_REQUEST_KEYS: &[&str] =
    &["queue.sidecar.serving.knative.dev/memory-resource-request"];
/// queue-proxy's memory limit.
pub const QUEUE_SIDECAR_MEMORY_LIMIT_KEYS: &[&str] =
    &["queue.sidecar.serving.knative.dev/memory-resource-limit"];
/// queue-proxy's ephemeral storage request.
pub const QUEUE_SIDECAR_EPHEMERAL_STORAGE_REQUEST_KEYS: &[&str] =
    &["queue.sidecar.serving.knative.dev/ephemeral-storage-resource-request"];
/// queue-proxy's ephemeral storage limit.
pub const QUEUE_SIDECAR_EPHEMERAL_STORAGE_LIMIT_KEYS: &[&str] =
    &["queue.sidecar.serving.knative.dev/ephemeral-storage-resource-limit"];

/// Domain of the autoscaling annotations, with the slash.
pub const AUTOSCALING_PREFIX: &str = "autoscaling.knative.dev/";
/// Who scales the revision.
pub const CLASS: &str = "autoscaling.knative.dev/class";
/// Value of [`CLASS`]: the autoscaler of the platform.
pub const CLASS_KPA: &str = "kpa.autoscaling.knative.dev";
/// Value of [`CLASS`]: a HorizontalPodAutoscaler.
pub const CLASS_HPA: &str = "hpa.autoscaling.knative.dev";
/// What the load is measured by.
pub const METRIC: &str = "autoscaling.knative.dev/metric";
/// Value of [`METRIC`]: requests at once.
pub const METRIC_CONCURRENCY: &str = "concurrency";
/// Value of [`METRIC`]: requests per second.
pub const METRIC_RPS: &str = "rps";
/// Value of [`METRIC`], HPA class only.
pub const METRIC_CPU: &str = "cpu";
/// Value of [`METRIC`], HPA class only.
pub const METRIC_MEMORY: &str = "memory";
/// Load per pod that is aimed at.
pub const TARGET: &str = "autoscaling.knative.dev/target";
/// Fewest pods; all spellings.
pub const MIN_SCALE_KEYS: &[&str] = &[MIN_SCALE, "autoscaling.knative.dev/minScale"];
/// Fewest pods.
pub const MIN_SCALE: &str = "autoscaling.knative.dev/min-scale";
/// Most pods; all spellings.
pub const MAX_SCALE_KEYS: &[&str] = &[MAX_SCALE, "autoscaling.knative.dev/maxScale"];
/// Most pods.
pub const MAX_SCALE: &str = "autoscaling.knative.dev/max-scale";
/// Pods that a new revision starts with; all spellings.
pub const INITIAL_SCALE_KEYS: &[&str] = &[INITIAL_SCALE, "autoscaling.knative.dev/initialScale"];
/// Pods that a new revision starts with.
pub const INITIAL_SCALE: &str = "autoscaling.knative.dev/initial-scale";
/// Fewest pods while there is any load at all.
pub const ACTIVATION_SCALE: &str = "autoscaling.knative.dev/activation-scale";
/// How long a lower wish must last before it is followed; all spellings.
pub const SCALE_DOWN_DELAY_KEYS: &[&str] = &[SCALE_DOWN_DELAY, "autoscaling.knative.dev/scaleDownDelay"];
/// How long a lower wish must last before it is followed.
pub const SCALE_DOWN_DELAY: &str = "autoscaling.knative.dev/scale-down-delay";
/// How long the last pod stays; all spellings.
pub const SCALE_TO_ZERO_POD_RETENTION_PERIOD_KEYS: &[&str] = &[
    SCALE_TO_ZERO_POD_RETENTION_PERIOD,
    "autoscaling.knative.dev/scaleToZeroPodRetentionPeriod",
];
/// How long the last pod stays.
pub const SCALE_TO_ZERO_POD_RETENTION_PERIOD: &str =
    "autoscaling.knative.dev/scale-to-zero-pod-retention-period";
/// Length of the stable window.
pub const WINDOW: &str = "autoscaling.knative.dev/window";
/// How values within the window are combined; all spellings.
pub const METRIC_AGGREGATION_ALGORITHM_KEYS: &[&str] = &[
    METRIC_AGGREGATION_ALGORITHM,
    "autoscaling.knative.dev/metricAggregationAlgorithm",
];
/// How values within the window are combined.
pub const METRIC_AGGREGATION_ALGORITHM: &str = "autoscaling.knative.dev/metric-aggregation-algorithm";
/// Length of the panic window, percent of the stable window; all spellings.
pub const PANIC_WINDOW_PERCENTAGE_KEYS: &[&str] = &[
    PANIC_WINDOW_PERCENTAGE,
    "autoscaling.knative.dev/panicWindowPercentage",
];
/// Length of the panic window, percent of the stable window.
pub const PANIC_WINDOW_PERCENTAGE: &str = "autoscaling.knative.dev/panic-window-percentage";
/// Load that starts a panic, percent of the capacity; all spellings.
pub const PANIC_THRESHOLD_PERCENTAGE_KEYS: &[&str] = &[
    PANIC_THRESHOLD_PERCENTAGE,
    "autoscaling.knative.dev/panicThresholdPercentage",
];
/// Load that starts a panic, percent of the capacity.
pub const PANIC_THRESHOLD_PERCENTAGE: &str = "autoscaling.knative.dev/panic-threshold-percentage";
/// Share of the target that is aimed at, percent; all spellings.
pub const TARGET_UTILIZATION_PERCENTAGE_KEYS: &[&str] = &[
    TARGET_UTILIZATION_PERCENTAGE,
    "autoscaling.knative.dev/targetUtilizationPercentage",
];
/// Share of the target that is aimed at, percent.
pub const TARGET_UTILIZATION_PERCENTAGE: &str = "autoscaling.knative.dev/target-utilization-percentage";
/// Burst that must fit without an activator; all spellings.
pub const TARGET_BURST_CAPACITY_KEYS: &[&str] = &[
    TARGET_BURST_CAPACITY,
    "autoscaling.knative.dev/targetBurstCapacity",
];
/// Burst that must fit without an activator.
pub const TARGET_BURST_CAPACITY: &str = "autoscaling.knative.dev/target-burst-capacity";

/// Which ingress implementation acts on a KIngress.
pub const INGRESS_CLASS: &str = "networking.knative.dev/ingress.class";
/// All spellings of [`INGRESS_CLASS`].
pub const INGRESS_CLASS_KEYS: &[&str] = &[INGRESS_CLASS, "networking.knative.dev/ingress-class"];
/// Which provider acts on a Certificate.
pub const CERTIFICATE_CLASS: &str = "networking.knative.dev/certificate.class";
/// All spellings of [`CERTIFICATE_CLASS`].
pub const CERTIFICATE_CLASS_KEYS: &[&str] = &[CERTIFICATE_CLASS, "networking.knative.dev/certificate-class"];
/// Opts a Route out of certificates for outside hosts.
pub const DISABLE_EXTERNAL_DOMAIN_TLS: &str = "networking.knative.dev/disable-external-domain-tls";
/// All spellings of [`DISABLE_EXTERNAL_DOMAIN_TLS`].
pub const DISABLE_EXTERNAL_DOMAIN_TLS_KEYS: &[&str] = &[
    DISABLE_EXTERNAL_DOMAIN_TLS,
    "networking.knative.dev/disable-auto-tls",
    "networking.knative.dev/disableAutoTLS",
];
/// What becomes of clear-text requests to a Route.
pub const HTTP_PROTOCOL: &str = "networking.knative.dev/http-protocol";
/// All spellings of [`HTTP_PROTOCOL`].
pub const HTTP_PROTOCOL_KEYS: &[&str] = &[HTTP_PROTOCOL, "networking.knative.dev/httpOption"];
/// Domain of the public networking annotations, with the slash.
pub const NETWORKING_PREFIX: &str = "networking.knative.dev/";
/// On a KIngress: state of gradual rollouts, JSON.
pub const ROLLOUT: &str = "networking.internal.knative.dev/rollout";
/// On a KIngress: hosts by tag, JSON.
pub const TAG_TO_HOST: &str = "networking.internal.knative.dev/tag-to-host";

/// Per revision: mount the pod's annotations into queue-proxy.
pub const QUEUE_PROXY_POD_INFO: &str = "features.knative.dev/queueproxy-podinfo";
/// Per revision: allow HTTP/1 responses to begin before the request has been read.
pub const HTTP_FULL_DUPLEX: &str = "features.knative.dev/http-full-duplex";

/// Which implementation acts on a Broker.
pub const BROKER_CLASS: &str = "eventing.knative.dev/broker.class";
/// Value of [`BROKER_CLASS`]: the broker that ships with the platform.
pub const BROKER_CLASS_MT_CHANNEL_BASED: &str = "MTChannelBasedBroker";
/// Value of [`BROKER_CLASS`]: the broker whose events are in NATS JetStream.
pub const BROKER_CLASS_NATS_JET_STREAM: &str = "NatsJetStreamBroker";
/// On triggers: `enabled` makes the broker `default` if it is missing.
pub const BROKER_INJECTION: &str = "eventing.knative.dev/injection";
/// Value of [`BROKER_INJECTION`].
pub const BROKER_INJECTION_ENABLED: &str = "enabled";
/// Value of [`BROKER_INJECTION`].
pub const BROKER_INJECTION_DISABLED: &str = "disabled";
/// On channels and brokers: `cluster` or `namespace`, who shares the dispatcher.
pub const SCOPE: &str = "eventing.knative.dev/scope";
/// On triggers: an object that has to be ready first, a JSON ObjectReference.
pub const DEPENDENCY: &str = "knative.dev/dependency";
/// On triggers: where it begins, `earliest`, `latest` or a time in RFC 3339; Spindrift's own.
pub const START: &str = "eventing.spindrift.dev/start";
/// On workloads: name of the SinkBinding that their pods were bound by; Spindrift's own.
pub const SINK_BINDING: &str = "eventing.spindrift.dev/sink-binding";
/// In the status of a SinkBinding: the kinds of which it may have bound workloads; Spindrift's own.
pub const BOUND_KINDS: &str = "eventing.spindrift.dev/bound-kinds";
/// On InMemoryChannels: answer before the subscribers have.
pub const ASYNC_HANDLER: &str = "messaging.knative.dev/async-handler";
/// On channel objects: the version of the duck type that can be subscribed to.
pub const SUBSCRIBABLE: &str = "messaging.knative.dev/subscribable";
/// Value of [`SUBSCRIBABLE`].
pub const SUBSCRIBABLE_V1: &str = "v1";
/// Domain of the annotations that channels are steered by, without the slash.
pub const MESSAGING_PREFIX: &str = "messaging.knative.dev";
/// On triggers of the Kafka broker: `ordered` or `unordered`.
pub const KAFKA_DELIVERY_ORDER: &str = "kafka.eventing.knative.dev/delivery.order";
/// On triggers of the RabbitMQ broker: requests at once.
pub const RABBITMQ_PARALLELISM: &str = "rabbitmq.eventing.knative.dev/parallelism";
/// On ApiServerSources: do not ask whether the ServiceAccount may watch.
pub const SKIP_PERMISSIONS_CHECK: &str = "features.knative.dev/apiserversource-skip-permissions-check";
/// On CRDs of sources: the events that they send, a JSON list.
pub const EVENT_TYPES: &str = "registry.knative.dev/eventTypes";

/// In the status of a broker: URL of its channel.
pub const CHANNEL_ADDRESS: &str = "knative.dev/channelAddress";
/// In the status of a broker: certificate authorities of its channel.
pub const CHANNEL_CA_CERTS: &str = "knative.dev/channelCACerts";
/// In the status of a broker: OIDC audience of its channel.
pub const CHANNEL_AUDIENCE: &str = "knative.dev/channelAudience";
/// In the status of a broker: API version of its channel.
pub const CHANNEL_API_VERSION: &str = "knative.dev/channelAPIVersion";
/// In the status of a broker: kind of its channel.
pub const CHANNEL_KIND: &str = "knative.dev/channelKind";
/// In the status of a broker: name of its channel.
pub const CHANNEL_NAME: &str = "knative.dev/channelName";

/// On the Service in front of the receiver of webhooks: the URL under which it is reached from outside.
pub const EXTERNAL_URL: &str = "eventing.spindrift.dev/external-url";
/// In the status of an ApiServerSource: what its sender may not watch, though the source's account may.
pub const REFUSED: &str = "sources.spindrift.dev/refused";
/// In the status of a GitHubSource: the URL that its webhook calls.
pub const WEBHOOK_URL: &str = "eventing.spindrift.dev/webhook-url";
/// In the status of a GitHubSource: what its webhook was last set up with.
pub const WEBHOOK: &str = "eventing.spindrift.dev/webhook";

/// Checksum of `_example` in a ConfigMap.
pub const EXAMPLE_CHECKSUM: &str = "knative.dev/example-checksum";
/// Domain of the command line's own annotations, with the slash; they are passed through untouched.
pub const CLIENT_PREFIX: &str = "client.knative.dev/";
/// What client-side `kubectl apply` remembers.
pub const KUBECTL_LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// The container that `kubectl logs` and `exec` take if none is named.
pub const KUBECTL_DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// Reads the first of several spellings that is set: its key and its value.
pub fn first<'a>(
    annotations: &'a BTreeMap<String, String>,
    keys: &[&'static str],
) -> Option<(&'static str, &'a str)> {
    keys.iter()
        .find_map(|key| annotations.get(*key).map(|value| (*key, value.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_present_spelling_wins_over_the_older_one() {
        let old = ("autoscaling.knative.dev/minScale".to_owned(), "1".to_owned());
        let new = (MIN_SCALE.to_owned(), "2".to_owned());
        assert_eq!(
            first(&BTreeMap::from([old.clone()]), MIN_SCALE_KEYS),
            Some(("autoscaling.knative.dev/minScale", "1"))
        );
        assert_eq!(
            first(&BTreeMap::from([old, new]), MIN_SCALE_KEYS),
            Some((MIN_SCALE, "2"))
        );
        assert_eq!(first(&BTreeMap::new(), MIN_SCALE_KEYS), None);
    }
}
