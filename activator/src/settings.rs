//! What the data path needs to know of a Revision.

use std::num::NonZeroUsize;
use std::time::Duration;

use crds::serving::Revision;
use proxy::{Protocol, Timeouts};

/// The part of a Revision's spec that decides how its requests are treated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionSettings {
    /// Requests that a pod may run at once; `None` is no limit.
    pub concurrency: Option<NonZeroUsize>,
    pub timeouts: Timeouts,
    /// Protocol towards the queue-proxy and the container.
    pub protocol: Protocol,
    /// Whether a pod that answers our probe may be used before Kubernetes calls it ready. Not so if only the kubelet
    /// can tell: an exec readiness probe, or any startup probe.
    pub trust_own_probe: bool,
}

impl From<&Revision> for RevisionSettings {
    fn from(revision: &Revision) -> Self {
        let spec = &revision.spec;
        let seconds = |value: Option<i64>| {
            value
                .and_then(|value| u64::try_from(value).ok())
                .filter(|value| *value > 0)
        };
        let containers = &spec.pod_spec.containers;
        // The serving container is the one with a port, or the only one.
        let serving = containers
            .iter()
            .find(|container| container.ports.as_ref().is_some_and(|ports| !ports.is_empty()))
            .or_else(|| containers.first());
        let port_name = serving
            .and_then(|container| container.ports.as_ref()?.first()?.name.as_deref())
            .unwrap_or_default();
        let exec = serving
            .and_then(|container| container.readiness_probe.as_ref()?.exec.as_ref())
            .is_some();
        let startup = containers
            .iter()
            .any(|container| container.startup_probe.is_some());
        Self {
            concurrency: spec
                .container_concurrency
                .and_then(|value| usize::try_from(value).ok())
                .and_then(NonZeroUsize::new),
            timeouts: Timeouts {
                total: seconds(spec.timeout_seconds).map(Duration::from_secs),
                response_start: seconds(spec.response_start_timeout_seconds).map(Duration::from_secs),
                idle: seconds(spec.idle_timeout_seconds).map(Duration::from_secs),
            },
            protocol: if port_name == "h2c" {
                Protocol::H2c
            } else {
                Protocol::Http1
            },
            trust_own_probe: !exec && !startup,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings(spec: serde_json::Value) -> RevisionSettings {
        let revision: Revision = serde_json::from_value(json!({
            "apiVersion": "serving.knative.dev/v1", "kind": "Revision", "metadata": {"name": "r"}, "spec": spec,
        }))
        .unwrap();
        RevisionSettings::from(&revision)
    }

    #[test]
    fn settings_follow_the_spec() {
        let plain = settings(json!({"containers": [{"name": "c", "image": "i"}], "timeoutSeconds": 9}));
        assert_eq!(
            plain,
            RevisionSettings {
                concurrency: None,
                timeouts: Timeouts::from_seconds(9, 0, 0),
                protocol: Protocol::Http1,
                trust_own_probe: true,
            }
        );
        let other = settings(json!({
            "containerConcurrency": 3,
            "containers": [
                {"name": "sidecar", "image": "i"},
                {"name": "c", "image": "i", "ports": [{"name": "h2c", "containerPort": 80}],
                 "readinessProbe": {"exec": {"command": ["true"]}}},
            ],
        }));
        assert_eq!(other.concurrency.unwrap().get(), 3);
        assert_eq!(other.protocol, Protocol::H2c);
        assert!(!other.trust_own_probe);
        let startup =
            json!({"containers": [{"name": "c", "image": "i", "startupProbe": {"tcpSocket": {"port": 1}}}]});
        assert!(!settings(startup).trust_own_probe);
    }
}
