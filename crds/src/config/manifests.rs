//! The ConfigMaps that an install creates.
//!
//! Each holds only what differs from the defaults, and documents the rest under `_example`, where an edit would have no
//! effect; the checksum lets admission tell somebody who edits it there.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{
    Autoscaler, DEFAULT_REQUEST_LOG_TEMPLATE, Defaults, Deployment, Domain, Features, Gc, Network,
    Observability, Snapshot,
};
use crate::{annotations, labels, names};

/// Key under which a ConfigMap documents its other keys.
pub const EXAMPLE_KEY: &str = "_example";

/// What an install decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Install {
    /// Image of the sidecar.
    pub queue_sidecar_image: String,
    /// Domain of all routes; `None` keeps them inside the cluster.
    pub domain: Option<String>,
    /// Ingress class; Spindrift's own gateway by default.
    pub ingress_class: String,
}

impl Default for Install {
    fn default() -> Self {
        Self {
            queue_sidecar_image: "localhost:5000/spindrift/queue-proxy:latest".to_owned(),
            domain: None,
            ingress_class: names::SPINDRIFT_INGRESS_CLASS.to_owned(),
        }
    }
}

/// The ConfigMaps that an install creates in the system namespace.
pub fn defaults_manifests(install: &Install) -> Vec<ConfigMap> {
    let domain = install
        .domain
        .iter()
        .map(|domain| (domain.as_str(), ""))
        .collect::<Vec<_>>();
    let observability = OBSERVABILITY.replace("{default}", DEFAULT_REQUEST_LOG_TEMPLATE);
    vec![
        manifest(Autoscaler::NAME, AUTOSCALER, &[]),
        manifest(Defaults::NAME, DEFAULTS, &[]),
        manifest(
            Deployment::NAME,
            DEPLOYMENT,
            &[("queue-sidecar-image", &install.queue_sidecar_image)],
        ),
        manifest(Domain::NAME, DOMAIN, &domain),
        manifest(Features::NAME, FEATURES, &[]),
        manifest(Gc::NAME, GC, &[]),
        manifest(
            Network::NAME,
            NETWORK,
            &[("ingress-class", &install.ingress_class)],
        ),
        manifest(Observability::NAME, &observability, &[]),
    ]
}

/// The checksum of an `_example` text: CRC-32 in hexadecimal; blanks around the text do not count.
pub fn example_checksum(example: &str) -> String {
    format!("{:08x}", crc32fast::hash(example.trim().as_bytes()))
}

fn manifest(name: &str, example: &str, settings: &[(&str, &str)]) -> ConfigMap {
    manifest_in(
        names::SYSTEM_NAMESPACE,
        "knative-serving",
        name,
        example,
        settings,
    )
}

/// A ConfigMap of `namespace` with the standard label `app`.
pub(super) fn manifest_in(
    namespace: &str,
    app: &str,
    name: &str,
    example: &str,
    settings: &[(&str, &str)],
) -> ConfigMap {
    let mut data: BTreeMap<String, String> = settings
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    data.insert(EXAMPLE_KEY.to_owned(), example.to_owned());
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(namespace.to_owned()),
            labels: Some(BTreeMap::from([
                (labels::APP_NAME.to_owned(), app.to_owned()),
                (labels::PART_OF.to_owned(), "spindrift".to_owned()),
            ])),
            annotations: Some(BTreeMap::from([(
                annotations::EXAMPLE_CHECKSUM.to_owned(),
                example_checksum(example),
            )])),
            ..ObjectMeta::default()
        },
        data: Some(data),
        ..ConfigMap::default()
    }
}

const AUTOSCALER: &str = r#"# Settings and their defaults. Copy what you want to change to the level of `_example`.

# Share of a pod's concurrency that is aimed at, percent.
container-concurrency-target-percentage: "70"
# Requests at once per pod that are aimed at when a revision sets no limit.
container-concurrency-target-default: "100"
# Requests per second per pod that are aimed at under metric rps.
requests-per-second-target-default: "200"
# Burst that must fit without an activator. -1 keeps an activator in the path, 0 only at zero scale.
target-burst-capacity: "211"
# Window over which load is averaged, 6s to 1h.
stable-window: "60s"
# Length of the panic window, percent of the stable window.
panic-window-percentage: "10.0"
# Load that starts a panic, percent of the capacity.
panic-threshold-percentage: "200.0"
# Largest factors by which one decision may raise and lower the number of pods.
max-scale-up-rate: "1000.0"
max-scale-down-rate: "2.0"
# Whether a revision may have no pods at all, and how its last pod goes.
enable-scale-to-zero: "true"
scale-to-zero-grace-period: "30s"
scale-to-zero-pod-retention-period: "0s"
# How long a lower wish must last before it is followed.
scale-down-delay: "0s"
# Who scales: kpa.autoscaling.knative.dev or hpa.autoscaling.knative.dev.
pod-autoscaler-class: "kpa.autoscaling.knative.dev"
# Requests at once that one activator is good for.
activator-capacity: "100.0"
# Pods of a new revision, and whether that may be none.
initial-scale: "1"
allow-zero-initial-scale: "false"
# Fewest and most pods, and the most that a revision may ask for; 0 is no limit.
min-scale: "0"
max-scale: "0"
max-scale-limit: "0"
"#;

const DEFAULTS: &str = r#"# Settings and their defaults. Copy what you want to change to the level of `_example`.

# Seconds that a request may take, and the most that a revision may ask for.
revision-timeout-seconds: "300"
max-revision-timeout-seconds: "600"
# Seconds to the first byte of a response; the same as revision-timeout-seconds unless it is set.
revision-response-start-timeout-seconds: "300"
# Seconds without a byte of the response; 0 is no limit.
revision-idle-timeout-seconds: "0"
# Requests that one pod may work on at once; 0 is no limit.
container-concurrency: "0"
container-concurrency-max-limit: "1000"
allow-container-concurrency-zero: "true"
# Resources of containers that ask for none; not set by default.
revision-cpu-request: "400m"
revision-memory-request: "100M"
revision-ephemeral-storage-request: "500M"
revision-cpu-limit: "1000m"
revision-memory-limit: "200M"
revision-ephemeral-storage-limit: "750M"
# Names of unnamed containers: Go templates over the metadata of what holds them.
container-name-template: "user-container"
init-container-name-template: "init-container"
# Environment variables for every Service of the namespace: true, false, or default for Kubernetes' own choice.
enable-service-links: "false"
"#;

const DEPLOYMENT: &str = r#"# Settings and their defaults. Copy what you want to change to the level of `_example`.

# Registries whose tags stay tags.
registries-skipping-tag-resolving: "kind.local,ko.local,dev.local"
# How long all images of a revision may take to be resolved.
digest-resolution-timeout: "10s"
# How long a Deployment may make no progress.
progress-deadline: "600s"
# Resources of the sidecar; only the CPU request is set by default.
queue-sidecar-cpu-request: "25m"
queue-sidecar-cpu-limit: "1000m"
queue-sidecar-memory-request: "400Mi"
queue-sidecar-memory-limit: "800Mi"
queue-sidecar-ephemeral-storage-request: "512Mi"
queue-sidecar-ephemeral-storage-limit: "1024Mi"
# Audiences of the tokens that the sidecar gets.
queue-sidecar-token-audiences: ""
# Affinity of pods that have none: prefer-spread-revision-over-nodes or none.
default-affinity-type: "prefer-spread-revision-over-nodes"
# Runtime classes, and the labels of the revisions that they are for.
runtime-class-name: |
  kata:
    selector:
      use-kata: "please"
# Takes every pod for scheduled, for clusters that grow when one is not.
pod-is-always-schedulable: "false"
"#;

const DOMAIN: &str = r#"# A key is a domain, its value says for which routes. Copy what you need to the level of `_example`.

# For all routes that no other entry is for.
example.com: |
# For routes with this label.
example.org: |
  selector:
    app: nonprofit
# For routes that are reachable inside the cluster only.
svc.cluster.local: |
  selector:
    app: secret
"#;

const FEATURES: &str = r#"# Settings and their defaults: Enabled, Allowed (for who asks) or Disabled.
# Copy what you want to change to the level of `_example`.

multi-container: "enabled"
multi-container-probing: "disabled"
secure-pod-defaults: "disabled"
tag-header-based-routing: "disabled"
autodetect-http2: "disabled"
queueproxy.mount-podinfo: "disabled"
queueproxy.resource-defaults: "disabled"
kubernetes.containerspec-addcapabilities: "disabled"
kubernetes.podspec-affinity: "disabled"
kubernetes.podspec-topologyspreadconstraints: "disabled"
kubernetes.podspec-hostaliases: "disabled"
kubernetes.podspec-nodeselector: "disabled"
kubernetes.podspec-tolerations: "disabled"
kubernetes.podspec-fieldref: "disabled"
kubernetes.podspec-runtimeclassname: "disabled"
kubernetes.podspec-dnspolicy: "disabled"
kubernetes.podspec-dnsconfig: "disabled"
kubernetes.podspec-securitycontext: "disabled"
kubernetes.podspec-shareprocessnamespace: "disabled"
kubernetes.podspec-hostipc: "disabled"
kubernetes.podspec-hostpid: "disabled"
kubernetes.podspec-hostnetwork: "disabled"
kubernetes.podspec-priorityclassname: "disabled"
kubernetes.podspec-schedulername: "disabled"
kubernetes.podspec-init-containers: "disabled"
kubernetes.podspec-persistent-volume-claim: "disabled"
kubernetes.podspec-persistent-volume-write: "disabled"
kubernetes.podspec-volumes-emptydir: "enabled"
kubernetes.podspec-volumes-hostpath: "disabled"
kubernetes.podspec-volumes-csi: "disabled"
kubernetes.podspec-volumes-ephemeral: "disabled"
kubernetes.podspec-volumes-image: "disabled"
kubernetes.podspec-volumes-mount-propagation: "disabled"
"#;

const GC: &str = r#"# Settings and their defaults. Copy what you want to change to the level of `_example`.

# How long a revision is kept after its creation, and after a route last pointed at it; disabled is for ever.
retain-since-create-time: "48h"
retain-since-last-active-time: "15h"
# How many are kept anyway, and how many at most; disabled is no limit.
min-non-active-revisions: "20"
max-non-active-revisions: "1000"
"#;

const NETWORK: &str = r#"# Settings and their defaults. Copy what you want to change to the level of `_example`.

# Who acts on routes and certificates.
ingress-class: "spindrift.ingress.networking.knative.dev"
certificate-class: "cert-manager.certificate.networking.knative.dev"
# Hosts of routes: Go template over Name, Namespace, Domain, Annotations, Labels.
domain-template: "{{.Name}}.{{.Namespace}}.{{.Domain}}"
# Names that tags get in hosts: Go template over Name, Tag.
tag-template: "{{.Tag}}-{{.Name}}"
# Certificates for hosts outside, hosts inside, and between the platform's own parts.
external-domain-tls: "Disabled"
cluster-local-domain-tls: "Disabled"
system-internal-tls: "Disabled"
# What becomes of clear-text requests from outside: Enabled or Redirected.
http-protocol: "Enabled"
# Scheme of URLs whose host has no certificate.
default-external-scheme: "http"
# Seconds that a new revision takes to get all requests; 0 is at once.
rollout-duration: "0"
# Whether any namespace may claim any free domain.
autocreate-cluster-domain-claims: "false"
# Namespaces that get a wildcard certificate: a label selector.
namespace-wildcard-cert-selector: ""
# Whether pods can be addressed directly in a mesh, and whether there is one: auto, enabled, disabled.
enable-mesh-pod-addressability: "false"
mesh-compatibility-mode: "auto"
"#;

const OBSERVABILITY: &str = r#"# Settings and their defaults. Copy what you want to change to the level of `_example`.

# Collects /var/log of the containers.
logging.enable-var-log-collection: "false"
# Where the logs of a revision can be read; ${REVISION_UID} is replaced.
logging.revision-url-template: ""
# The request log: its line as a Go template, and what is logged.
logging.request-log-template: '{default}'
logging.enable-request-log: "false"
logging.enable-probe-request-log: "false"
# Metrics of components, and of queue-proxies: none, prometheus, grpc or http/protobuf.
metrics-protocol: "none"
metrics-endpoint: ""
metrics-export-interval: ""
request-metrics-protocol: "none"
request-metrics-endpoint: ""
request-metrics-export-interval: ""
# Traces: none, grpc, http/protobuf or stdout.
tracing-protocol: "none"
tracing-endpoint: ""
tracing-sampling-rate: "0"
# Profiles on port 8008: enabled or disabled.
runtime-profiling: "disabled"
# How often a process reports about itself.
runtime-export-interval: "15s"
"#;
