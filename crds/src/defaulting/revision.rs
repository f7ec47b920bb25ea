//! Defaults of a Revision's spec, or of a template's.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize as _;
use serde_json::{Map, Value, json};

use super::{has_ports, is_absent, list_in, map_in, set_number, set_text, writable_volumes};
use crate::config::{ContainerResources, Defaults, SecurePodDefaults};
use crate::names;
use crate::resource::{Context, field, get, integer, is_unset, text};

/// Times that Kubernetes gives a probe with a period.
const FAILURE_THRESHOLD: i64 = 3;
const PROBE_TIMEOUT_SECONDS: i64 = 1;
/// Ports below this need a capability.
const FIRST_UNPRIVILEGED_PORT: i64 = 1024;

/// Fills in the defaults of a spec below an object with metadata `parent`.
pub(super) fn spec(spec: &mut Map<String, Value>, parent: &Value, context: &Context<'_>) {
    let defaults = &context.configs.defaults;
    limits(spec, defaults);
    if is_absent(spec, "enableServiceLinks")
        && context.old.is_none()
        && let Some(links) = defaults.enable_service_links
    {
        spec.insert("enableServiceLinks".to_owned(), json!(links));
    }
    container_names(spec, parent, defaults);
    let writable = writable_volumes(spec);
    let pod_context = spec.get("securityContext").cloned().unwrap_or(Value::Null);
    let secure = context.configs.features.secure_pod_defaults;
    let alone = list_in(spec, "containers").len() == 1;
    for name in ["initContainers", "containers"] {
        for container in list_in(spec, name) {
            let serving = name == "containers" && (alone || has_ports(container));
            let Some(container) = container.as_object_mut() else {
                continue;
            };
            security_context(container, &pod_context, secure);
            if name == "containers" {
                resources(container, &defaults.resources);
                if serving {
                    probes(container);
                }
            }
            mounts(container, &writable);
        }
    }
}

fn limits(spec: &mut Map<String, Value>, defaults: &Defaults) {
    set_number(spec, "timeoutSeconds", defaults.revision_timeout_seconds);
    let timeout = spec
        .get("timeoutSeconds")
        .and_then(Value::as_i64)
        .unwrap_or_default();
    for (name, seconds) in [
        (
            "responseStartTimeoutSeconds",
            defaults.revision_response_start_timeout_seconds,
        ),
        ("idleTimeoutSeconds", defaults.revision_idle_timeout_seconds),
    ] {
        // One that is not shorter than the whole would never fire.
        if is_absent(spec, name) && seconds != 0 && seconds < timeout {
            spec.insert(name.to_owned(), json!(seconds));
        }
    }
    if is_absent(spec, "containerConcurrency") {
        spec.insert(
            "containerConcurrency".to_owned(),
            json!(defaults.container_concurrency),
        );
    }
}

/// Names unnamed containers, with a number where there are several or the name is taken.
fn container_names(spec: &mut Map<String, Value>, parent: &Value, defaults: &Defaults) {
    let parent = ObjectMeta::deserialize(parent).unwrap_or_default();
    let mut taken: BTreeSet<String> = BTreeSet::new();
    for name in ["initContainers", "containers"] {
        let containers = list_in(spec, name).iter();
        taken.extend(
            containers
                .map(|container| text(container, "name").to_owned())
                .filter(|name| !name.is_empty()),
        );
    }
    for (name, default) in [
        ("initContainers", defaults.init_container_name(&parent)),
        ("containers", defaults.container_name(&parent)),
    ] {
        let containers = list_in(spec, name);
        let several = containers.len() > 1;
        let mut suffix = 0u32;
        for container in containers {
            let Some(container) = container.as_object_mut() else {
                continue;
            };
            if !container.get("name").is_none_or(is_unset) {
                continue;
            }
            let mut chosen = default.clone();
            if several || taken.contains(&chosen) {
                loop {
                    chosen = names::child_name(&default, &format!("-{suffix}"));
                    suffix = suffix.saturating_add(1);
                    if !taken.contains(&chosen) {
                        break;
                    }
                }
            }
            container.insert("name".to_owned(), json!(chosen));
        }
    }
}

fn resources(container: &mut Map<String, Value>, defaults: &ContainerResources) {
    let requests = [
        &defaults.cpu_request,
        &defaults.memory_request,
        &defaults.ephemeral_storage_request,
    ];
    let limits = [
        &defaults.cpu_limit,
        &defaults.memory_limit,
        &defaults.ephemeral_storage_limit,
    ];
    for (kind, amounts) in [("requests", requests), ("limits", limits)] {
        for (resource, amount) in ["cpu", "memory", "ephemeral-storage"].into_iter().zip(amounts) {
            let Some(Quantity(amount)) = amount else { continue };
            let Some(of_kind) = map_in(container, "resources").and_then(|all| map_in(all, kind)) else {
                return;
            };
            if is_absent(of_kind, resource) {
                of_kind.insert(resource.to_owned(), json!(amount));
            }
        }
    }
}

fn probes(container: &mut Map<String, Value>) {
    for name in ["livenessProbe", "startupProbe"] {
        if let Some(probe) = container.get_mut(name).and_then(Value::as_object_mut) {
            grpc_service(probe);
        }
    }
    let Some(probe) = map_in(container, "readinessProbe") else {
        return;
    };
    if ["tcpSocket", "httpGet", "exec", "grpc"]
        .iter()
        .all(|handler| is_absent(probe, handler))
    {
        probe.insert("tcpSocket".to_owned(), json!({"port": 0}));
    }
    grpc_service(probe);
    set_number(probe, "successThreshold", 1);
    if probe
        .get("periodSeconds")
        .and_then(Value::as_i64)
        .is_some_and(|period| period > 0)
    {
        set_number(probe, "failureThreshold", FAILURE_THRESHOLD);
        set_number(probe, "timeoutSeconds", PROBE_TIMEOUT_SECONDS);
    }
}

fn grpc_service(probe: &mut Map<String, Value>) {
    if let Some(grpc) = probe.get_mut("grpc").and_then(Value::as_object_mut)
        && is_absent(grpc, "service")
    {
        grpc.insert("service".to_owned(), json!(""));
    }
}

fn mounts(container: &mut Map<String, Value>, writable: &[String]) {
    for mount in list_in(container, "volumeMounts") {
        let writable = writable.iter().any(|name| name == text(mount, "name"));
        if let Some(mount) = mount.as_object_mut()
            && !writable
        {
            mount.insert("readOnly".to_owned(), json!(true));
        }
    }
}

/// Makes a container safe where neither it nor its pod says otherwise.
fn security_context(container: &mut Map<String, Value>, pod: &Value, level: SecurePodDefaults) {
    if level == SecurePodDefaults::Disabled {
        return;
    }
    let ports = container
        .get("ports")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let low = ports
        .iter()
        .filter_map(|port| integer(port, "containerPort"))
        .any(|p| p < FIRST_UNPRIVILEGED_PORT);
    let Some(context) = map_in(container, "securityContext") else {
        return;
    };
    if is_absent(context, "allowPrivilegeEscalation") {
        context.insert("allowPrivilegeEscalation".to_owned(), json!(false));
    }
    if text(field(pod, "seccompProfile"), "type").is_empty() {
        set_text(map_in(context, "seccompProfile"), "type", "RuntimeDefault");
    }
    if is_absent(context, "capabilities") {
        let capabilities = if low {
            json!({"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]})
        } else {
            json!({"drop": ["ALL"]})
        };
        context.insert("capabilities".to_owned(), capabilities);
    }
    let decided = get(pod, "runAsNonRoot").is_some();
    if level == SecurePodDefaults::Enabled && !decided && is_absent(context, "runAsNonRoot") {
        context.insert("runAsNonRoot".to_owned(), json!(true));
    }
}
