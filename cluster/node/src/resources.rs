//! Resource amounts of containers: limits for the control group, values for the downward API, the pod's QoS class.

use formats::quantity::Quantity;
use k8s_openapi::api::core::v1::{Container, PodSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;

use crate::cgroup::Limits;

/// Processes and threads of one container (OpenShift's default); a fork bomb must not take the machine with it, and
/// small machines have no more than 32 768 of them (`kernel.pid_max`).
const MAX_PIDS: u64 = 4_096;

/// What the node has, for containers that ask for their limit but have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeCapacity {
    /// Thousandths of a cpu.
    pub cpu_milli: u64,
    /// Bytes.
    pub memory_bytes: u64,
    /// Bytes of disk for pods.
    pub disk_bytes: u64,
}

/// An amount as it was written, `None` when it is absent or unreadable (the API server refuses the latter).
fn amount(resources: Option<&ResourceRequirements>, kind: Kind, name: &str) -> Option<Quantity> {
    let resources = resources?;
    let list = match kind {
        Kind::Limit => resources.limits.as_ref(),
        Kind::Request => resources.requests.as_ref(),
    };
    list?.get(name)?.0.parse().ok()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Limit,
    Request,
}

/// Bytes of disk that the containers of a pod ask for.
pub fn disk_request(spec: &PodSpec) -> u64 {
    let of = |container: &Container| amount(container.resources.as_ref(), Kind::Request, "ephemeral-storage");
    let asked = spec.containers.iter().filter_map(of);
    asked.fold(0, |sum: u64, quantity| sum.saturating_add(whole(&quantity)))
}

/// Thousandths, never negative.
pub fn milli(quantity: &Quantity) -> u64 {
    u64::try_from(quantity.milli()).unwrap_or(0)
}

/// Whole units, never negative.
pub fn whole(quantity: &Quantity) -> u64 {
    u64::try_from(quantity.value()).unwrap_or(0)
}

/// Reads the text of an API object.
pub fn parse(text: &Text) -> Option<Quantity> {
    text.0.parse().ok()
}

/// The control group limits of a container. A request that is absent follows the limit, as in kubelet.
pub fn limits(container: &Container, privileged: bool) -> Limits {
    let resources = container.resources.as_ref();
    let cpu_limit = amount(resources, Kind::Limit, "cpu").map(|quantity| milli(&quantity));
    let cpu_request = amount(resources, Kind::Request, "cpu")
        .map(|quantity| milli(&quantity))
        .or(cpu_limit);
    Limits {
        memory_bytes: amount(resources, Kind::Limit, "memory")
            .map(|quantity| whole(&quantity))
            .filter(|&n| n > 0),
        cpu_limit_milli: cpu_limit.filter(|&n| n > 0),
        cpu_request_milli: Some(cpu_request.unwrap_or(0)),
        pids: Some(MAX_PIDS),
        all_devices: privileged,
    }
}

/// The value of a `resourceFieldRef` such as `limits.memory`, in units of the divisor, rounded up.
pub fn field(
    container: &Container,
    resource: &str,
    divisor: Option<&Text>,
    node: NodeCapacity,
) -> Option<String> {
    let (kind, name) = resource.split_once('.')?;
    let kind = match kind {
        "limits" => Kind::Limit,
        "requests" => Kind::Request,
        _ => return None,
    };
    let resources = container.resources.as_ref();
    let given = amount(resources, kind, name).or_else(|| match kind {
        Kind::Request => amount(resources, Kind::Limit, name),
        Kind::Limit => None,
    });
    let divisor = divisor.and_then(parse).filter(|quantity| !quantity.is_zero());
    // Milli-units for cpu, whole units for the rest: a memory amount in milli-bytes would not fit everywhere.
    let (value, unit) = if name == "cpu" {
        let value = given.map_or(if kind == Kind::Limit { node.cpu_milli } else { 0 }, |quantity| {
            milli(&quantity)
        });
        (value, divisor.map_or(1000, |quantity| milli(&quantity)))
    } else {
        let of_node = match name {
            "memory" => node.memory_bytes,
            "ephemeral-storage" => node.disk_bytes,
            _ => 0,
        };
        let value = given.map_or(if kind == Kind::Limit { of_node } else { 0 }, |quantity| {
            whole(&quantity)
        });
        (value, divisor.map_or(1, |quantity| whole(&quantity)))
    };
    Some(value.div_ceil(unit.max(1)).to_string())
}

/// `Guaranteed`, `Burstable` or `BestEffort` (upstream: pkg/apis/core/v1/helper/qos).
pub fn qos_class(spec: &PodSpec) -> &'static str {
    let containers = || spec.init_containers.iter().flatten().chain(&spec.containers);
    let mut any = false;
    let mut guaranteed = true;
    for container in containers() {
        for name in ["cpu", "memory"] {
            let limit = amount(container.resources.as_ref(), Kind::Limit, name)
                .filter(|quantity| !quantity.is_zero());
            let request = amount(container.resources.as_ref(), Kind::Request, name)
                .filter(|quantity| !quantity.is_zero());
            any |= limit.is_some() || request.is_some();
            guaranteed &=
                limit.is_some() && request.is_none_or(|request| limit.is_some_and(|limit| limit == request));
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

/// How willingly the kernel may kill the container when memory runs out (upstream: pkg/kubelet/qos/policy.go).
pub fn oom_score_adjust(spec: &PodSpec, container: &Container, node: NodeCapacity) -> i32 {
    match qos_class(spec) {
        "Guaranteed" => -997,
        "BestEffort" => 1000,
        _ => {
            let request = amount(container.resources.as_ref(), Kind::Request, "memory")
                .or_else(|| amount(container.resources.as_ref(), Kind::Limit, "memory"));
            let request = request.map_or(0, |quantity| whole(&quantity));
            let share = 1000_u64.saturating_mul(request) / node.memory_bytes.max(1);
            i32::try_from(1000_u64.saturating_sub(share))
                .unwrap_or(1000)
                .clamp(3, 999)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NODE: NodeCapacity = NodeCapacity {
        cpu_milli: 2000,
        memory_bytes: 4 << 30,
        disk_bytes: 1 << 30,
    };

    fn container(resources: serde_json::Value) -> Container {
        serde_json::from_value(json!({"name": "c", "resources": resources})).unwrap()
    }

    #[test]
    fn limits_follow_the_resources() {
        let found = limits(
            &container(json!({"limits": {"cpu": "500m", "memory": "64Mi"}})),
            false,
        );
        assert_eq!(
            (found.memory_bytes, found.cpu_limit_milli, found.cpu_request_milli),
            (Some(64 << 20), Some(500), Some(500))
        );
        let found = limits(&container(json!({})), false);
        assert_eq!(
            (found.memory_bytes, found.cpu_limit_milli, found.cpu_request_milli),
            (None, None, Some(0))
        );
    }

    #[test]
    fn fields_are_divided_and_rounded_up() {
        let with =
            container(json!({"limits": {"cpu": "1500m", "memory": "100Mi"}, "requests": {"cpu": "250m"}}));
        let table = [
            (&with, "limits.cpu", None, Some("2")),
            (&with, "limits.cpu", Some("1m"), Some("1500")),
            (&with, "requests.cpu", Some("1m"), Some("250")),
            (&with, "limits.memory", Some("1Mi"), Some("100")),
            (&with, "requests.memory", None, Some("104857600")),
            (&with, "nonsense", None, None),
        ];
        for (container, resource, divisor, wanted) in table {
            let divisor = divisor.map(|text: &str| Text(text.to_owned()));
            assert_eq!(
                field(container, resource, divisor.as_ref(), NODE).as_deref(),
                wanted,
                "{resource}"
            );
        }
        let without = container(json!({}));
        assert_eq!(field(&without, "limits.cpu", None, NODE).as_deref(), Some("2"));
        assert_eq!(
            field(&without, "limits.memory", None, NODE).as_deref(),
            Some("4294967296")
        );
    }

    #[test]
    fn quality_of_service_follows_requests_and_limits() {
        let table = [
            (json!({}), "BestEffort"),
            (json!({"requests": {"cpu": "1"}}), "Burstable"),
            (json!({"limits": {"cpu": "1", "memory": "1Gi"}}), "Guaranteed"),
            (
                json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"memory": "1024Mi"}}),
                "Guaranteed",
            ),
            (
                json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"memory": "1Mi"}}),
                "Burstable",
            ),
        ];
        for (resources, wanted) in table {
            let spec = PodSpec {
                containers: vec![container(resources.clone())],
                ..PodSpec::default()
            };
            assert_eq!(qos_class(&spec), wanted, "{resources}");
        }
    }
}
