//! The queue-proxy container of a revision's pods.

use crds::networking::ProtocolType;
use crds::serving::Revision;
use crds::{annotations, headers, labels, names, ports};
use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, EnvVar, HTTPGetAction, HTTPHeader, Probe, SeccompProfile,
    SecurityContext, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::metadata::{protocol, serving_container, user_port};
use super::probe::encoded_probes;
use super::resources::queue_resources;
use super::settings::Settings;
use super::user_containers::from_field;
use crate::shared::{annotation, label, name_of, namespace_of};

/// Volume with the pod's annotations, and where it is mounted.
pub(super) const POD_INFO: (&str, &str) = ("pod-info", "/etc/podinfo");
/// Volume with tokens for token audiences, and where it is mounted.
pub(super) const TOKENS: (&str, &str) = ("knative-token-volume", "/var/run/secrets/tokens");
/// Volume with the serving certificate, and where it is mounted.
pub(super) const CERTIFICATES: (&str, &str) = ("server-certs", "/var/lib/knative/certs");

pub(super) fn queue_container(revision: &Revision, settings: &Settings) -> Container {
    let serving_port = serving_port(revision);
    Container {
        name: names::QUEUE_PROXY_CONTAINER.to_owned(),
        image: Some(settings.deployment.queue_sidecar_image.clone()),
        resources: Some(queue_resources(revision, settings)),
        ports: Some(container_ports(serving_port, settings)),
        readiness_probe: readiness_probe(revision, serving_port),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            run_as_non_root: Some(true),
            capabilities: Some(Capabilities {
                drop: Some(vec!["ALL".to_owned()]),
                add: None,
            }),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                localhost_profile: None,
            }),
            ..SecurityContext::default()
        }),
        env: Some(environment(revision, settings, serving_port)),
        volume_mounts: volume_mounts(revision, settings),
        ..Container::default()
    }
}

/// Whether the annotations of the pod are mounted into queue-proxy.
pub(super) fn wants_pod_info(revision: &Revision, settings: &Settings) -> bool {
    let asked = annotation(&revision.metadata, annotations::QUEUE_PROXY_POD_INFO)
        .is_some_and(|value| value.eq_ignore_ascii_case("enabled"));
    let flag = settings.features.queue_proxy_mount_pod_info;
    flag.is_enabled() || (flag.is_allowed() && asked)
}

fn serving_port(revision: &Revision) -> u16 {
    match protocol(revision) {
        ProtocolType::H2c => ports::BACKEND_HTTP2,
        ProtocolType::Http1 => ports::BACKEND_HTTP,
    }
}

fn container_ports(serving: u16, settings: &Settings) -> Vec<ContainerPort> {
    let mut all = vec![
        (ports::NAME_AUTOSCALING_METRICS, ports::AUTOSCALING_METRICS),
        (ports::NAME_USER_METRICS, ports::USER_METRICS),
    ];
    if settings.observability.runtime_profiling {
        all.push((ports::NAME_PROFILING, ports::PROFILING));
    }
    all.push((ports::NAME_QUEUE, serving));
    all.push((ports::NAME_QUEUE_HTTPS, ports::BACKEND_HTTPS));
    let port = |(name, number): (&str, u16)| ContainerPort {
        name: Some(name.to_owned()),
        container_port: i32::from(number),
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    };
    all.into_iter().map(port).collect()
}

/// Kubernetes asks queue-proxy with the user's timings; queue-proxy asks the application.
fn readiness_probe(revision: &Revision, serving_port: u16) -> Option<Probe> {
    let user = serving_container(revision)?.readiness_probe.as_ref()?;
    Some(Probe {
        http_get: Some(HTTPGetAction {
            port: IntOrString::Int(i32::from(serving_port)),
            http_headers: Some(vec![HTTPHeader {
                name: headers::PROBE.to_owned(),
                value: headers::PROBE_QUEUE.to_owned(),
            }]),
            ..HTTPGetAction::default()
        }),
        exec: None,
        tcp_socket: None,
        grpc: None,
        // Zero asks queue-proxy to probe as fast as it can; the shortest period Kubernetes knows is one second.
        period_seconds: Some(user.period_seconds.filter(|seconds| *seconds > 0).unwrap_or(1)),
        ..user.clone()
    })
}

fn environment(revision: &Revision, settings: &Settings, serving_port: u16) -> Vec<EnvVar> {
    let meta = &revision.metadata;
    let spec = &revision.spec;
    let number = |value: Option<i64>| value.unwrap_or(0).to_string();
    let full_duplex = annotation(meta, annotations::HTTP_FULL_DUPLEX)
        .is_some_and(|value| value.eq_ignore_ascii_case("enabled"));
    let queue = &settings.deployment;
    let features = &settings.features;
    let value = |name: &str, value: String| EnvVar {
        name: name.to_owned(),
        value: Some(value),
        value_from: None,
    };
    let text = |name: &str, text: &str| value(name, text.to_owned());
    vec![
        text("SERVING_NAMESPACE", namespace_of(meta)),
        text(
            "SERVING_SERVICE",
            label(meta, labels::SERVICE).unwrap_or_default(),
        ),
        text(
            "SERVING_CONFIGURATION",
            label(meta, labels::CONFIGURATION).unwrap_or_default(),
        ),
        text("SERVING_REVISION", name_of(meta)),
        value("QUEUE_SERVING_PORT", serving_port.to_string()),
        value("QUEUE_SERVING_TLS_PORT", ports::BACKEND_HTTPS.to_string()),
        value("CONTAINER_CONCURRENCY", number(spec.container_concurrency)),
        value("REVISION_TIMEOUT_SECONDS", number(spec.timeout_seconds)),
        value(
            "REVISION_RESPONSE_START_TIMEOUT_SECONDS",
            number(spec.response_start_timeout_seconds),
        ),
        value("REVISION_IDLE_TIMEOUT_SECONDS", number(spec.idle_timeout_seconds)),
        from_field("SERVING_POD", "metadata.name"),
        from_field("SERVING_POD_IP", "status.podIP"),
        text("SERVING_LOGGING_CONFIG", &settings.logging_config),
        text("SERVING_LOGGING_LEVEL", &settings.logging_level),
        value("USER_PORT", user_port(revision).to_string()),
        text("SYSTEM_NAMESPACE", &settings.system_namespace),
        value(
            "SERVING_READINESS_PROBE",
            encoded_probes(revision, features.multi_container_probing.is_enabled()),
        ),
        value(
            "ENABLE_MULTI_CONTAINER_PROBES",
            features.multi_container_probing.is_enabled().to_string(),
        ),
        value(
            "ENABLE_HTTP2_AUTO_DETECTION",
            features.auto_detect_http2.is_enabled().to_string(),
        ),
        value("ENABLE_HTTP_FULL_DUPLEX", full_duplex.to_string()),
        from_field("HOST_IP", "status.hostIP"),
        text("ROOT_CA", &queue.queue_sidecar_rootca),
        text(
            "QUEUE_PROXY_TLS_MIN_VERSION",
            &queue.queue_sidecar_tls_min_version,
        ),
        text(
            "QUEUE_PROXY_TLS_MAX_VERSION",
            &queue.queue_sidecar_tls_max_version,
        ),
        text(
            "QUEUE_PROXY_TLS_CIPHER_SUITES",
            &queue.queue_sidecar_tls_cipher_suites,
        ),
        text(
            "QUEUE_PROXY_TLS_CURVE_PREFERENCES",
            &queue.queue_sidecar_tls_curve_preferences,
        ),
        text("OBSERVABILITY_CONFIG", &settings.observability_json),
    ]
}

fn volume_mounts(revision: &Revision, settings: &Settings) -> Option<Vec<VolumeMount>> {
    let mut mounts = Vec::new();
    let mut mount = |(name, path): (&str, &str)| {
        mounts.push(VolumeMount {
            name: name.to_owned(),
            mount_path: path.to_owned(),
            read_only: Some(true),
            ..VolumeMount::default()
        });
    };
    if !settings.deployment.queue_sidecar_token_audiences.is_empty() {
        mount(TOKENS);
    }
    if settings.network.system_internal_tls {
        mount(CERTIFICATES);
    }
    if wants_pod_info(revision, settings) {
        mount(POD_INFO);
    }
    (!mounts.is_empty()).then_some(mounts)
}
