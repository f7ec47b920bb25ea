//! The pod of a template.

use serde_json::Value;

use super::container::{self, Role};
use super::mask::{only, only_with};
use super::volume::Volumes;
use super::{FieldError, FieldErrors};
use crate::config::{Features, SecurePodDefaults};
use crate::dns;
use crate::resource::{field, get, integer, list, text};

const FREE: &[&str] = &[
    "serviceAccountName",
    "containers",
    "volumes",
    "imagePullSecrets",
    "enableServiceLinks",
];
/// Fields of a Revision that stand beside those of its pod.
pub(super) const REVISION_FIELDS: &[&str] = &[
    "containerConcurrency",
    "timeoutSeconds",
    "responseStartTimeoutSeconds",
    "idleTimeoutSeconds",
];

/// Checks the pod that is inline in `spec`; the paths begin below it.
pub(super) fn pod_spec(spec: &Value, features: &Features) -> FieldErrors {
    let mut errors = allowed_fields(spec, features);
    if let Some(context) = get(spec, "securityContext") {
        errors.also(security_context(context, features).via_field("securityContext"));
    }
    let (volumes, volume_errors) = Volumes::validate(spec, features);
    errors.also(volume_errors.via_field("volumes"));
    errors.also(init_containers(spec, &volumes, features));
    errors.also(containers(spec, &volumes, features));
    let account = text(spec, "serviceAccountName");
    if !account.is_empty() {
        for reason in dns::subdomain_1123(account) {
            errors.also(FieldError::invalid(account, "serviceAccountName").with_details(reason));
        }
    }
    errors
}

fn allowed_fields(spec: &Value, features: &Features) -> FieldErrors {
    let secure = features.secure_pod_defaults != SecurePodDefaults::Disabled;
    let free: Vec<&str> = FREE.iter().chain(REVISION_FIELDS).copied().collect();
    let f = features;
    only_with(
        spec,
        &free,
        &[
            ("affinity", f.pod_spec_affinity.is_allowed()),
            (
                "topologySpreadConstraints",
                f.pod_spec_topology_spread_constraints.is_allowed(),
            ),
            ("hostAliases", f.pod_spec_host_aliases.is_allowed()),
            ("nodeSelector", f.pod_spec_node_selector.is_allowed()),
            ("runtimeClassName", f.pod_spec_runtime_class_name.is_allowed()),
            ("tolerations", f.pod_spec_tolerations.is_allowed()),
            (
                "securityContext",
                f.pod_spec_security_context.is_allowed() || secure,
            ),
            (
                "shareProcessNamespace",
                f.pod_spec_share_process_namespace.is_allowed(),
            ),
            ("hostIPC", f.pod_spec_host_ipc.is_allowed()),
            ("hostPID", f.pod_spec_host_pid.is_allowed()),
            ("hostNetwork", f.pod_spec_host_network.is_allowed()),
            ("priorityClassName", f.pod_spec_priority_class_name.is_allowed()),
            ("schedulerName", f.pod_spec_scheduler_name.is_allowed()),
            ("dnsPolicy", f.pod_spec_dns_policy.is_allowed()),
            ("dnsConfig", f.pod_spec_dns_config.is_allowed()),
            // These have checks and words of their own; `automountServiceAccountToken` may only be false, which
            // counts as unset.
            ("initContainers", true),
        ],
    )
}

fn security_context(context: &Value, features: &Features) -> FieldErrors {
    let mut errors = if features.pod_spec_security_context.is_allowed() {
        let fields = [
            "runAsUser",
            "runAsGroup",
            "runAsNonRoot",
            "fsGroup",
            "supplementalGroups",
            "seccompProfile",
        ];
        only(context, &fields)
    } else if features.secure_pod_defaults != SecurePodDefaults::Disabled {
        only(context, &["seccompProfile"])
    } else {
        // The whole field has been refused.
        return FieldErrors::default();
    };
    for name in ["runAsUser", "runAsGroup", "fsGroup"] {
        errors.also(container::user_or_group(context, name));
    }
    for (index, group) in list(context, "supplementalGroups").iter().enumerate() {
        if let Some(id) = group
            .as_i64()
            .filter(|id| !(0..=i64::from(i32::MAX)).contains(id))
        {
            errors.also(
                FieldError::out_of_bounds(id, 0, i32::MAX, "")
                    .via_index(index)
                    .via_field("supplementalGroups"),
            );
        }
    }
    errors
}

fn init_containers(spec: &Value, volumes: &Volumes<'_>, features: &Features) -> FieldErrors {
    let inits = list(spec, "initContainers");
    let mut errors = FieldErrors::default();
    if inits.is_empty() {
        return errors;
    }
    if !features.pod_spec_init_containers.is_enabled() {
        let count = inits.len();
        errors.also(FieldError::without_path(format!(
            "pod spec support for init-containers is off, but found {count} init containers"
        )));
        return errors;
    }
    for (index, init) in inits.iter().enumerate() {
        let mut found = container::container(init, Role::Init, volumes, features);
        let name = text(init, "name");
        let earlier = inits.iter().take(index);
        if !name.is_empty()
            && earlier
                .chain(list(spec, "containers"))
                .any(|other| text(other, "name") == name)
        {
            found.also(duplicate(name));
        }
        // The path says `containers` for init containers too: clients know it so.
        errors.also(found.via_field_index("containers", index));
    }
    errors
}

fn containers(spec: &Value, volumes: &Volumes<'_>, features: &Features) -> FieldErrors {
    let containers = list(spec, "containers");
    let mut errors = FieldErrors::default();
    errors.also(FieldErrors::from(ports(containers)).via_field("containers[*].ports"));
    match containers {
        [] => errors.also(FieldError::missing("containers")),
        [only] => {
            errors.also(
                container::container(only, Role::Serving, volumes, features).via_field_index("containers", 0),
            );
        }
        several if !features.multi_container.is_enabled() => {
            let count = several.len();
            let message = format!("multi-container is off, but found {count} containers");
            errors.also(FieldError::without_path(message));
        }
        several => {
            for (index, container) in several.iter().enumerate() {
                let role = if list(container, "ports").is_empty() {
                    Role::Sidecar
                } else {
                    Role::Serving
                };
                let mut found = container::container(container, role, volumes, features);
                let name = text(container, "name");
                if !name.is_empty()
                    && several
                        .iter()
                        .take(index)
                        .any(|other| text(other, "name") == name)
                {
                    found.also(duplicate(name));
                }
                errors.also(found.via_field_index("containers", index));
            }
        }
    }
    errors
}

fn duplicate(name: &str) -> FieldError {
    FieldError::new(format!("duplicate container name {name:?}"), "name")
}

/// Exactly one port among several containers, at most one in a single one.
fn ports(containers: &[Value]) -> Option<FieldError> {
    let count: usize = containers
        .iter()
        .map(|container| list(container, "ports").len())
        .sum();
    match count {
        0 if containers.len() > 1 => Some(FieldError::missing("")),
        0 | 1 => None,
        _ => Some(
            FieldError::new("more than one container port is set", "")
                .with_details("Only a single port is allowed across all containers"),
        ),
    }
}

/// What a pod may be told about defaults of Kubernetes that are not safe; the paths begin below the template's spec.
pub(super) fn security_warnings(spec: &Value) -> FieldErrors {
    let pod = field(spec, "securityContext");
    let mut warnings = FieldErrors::default();
    for (index, container) in list(spec, "containers").iter().enumerate() {
        let context = field(container, "securityContext");
        let mut found = FieldErrors::default();
        let mut insecure = |path: &str| {
            let message = "Kubernetes default value is insecure, Knative may default this to secure in a future release";
            found.also(FieldError::new(message, path).as_warning());
        };
        if get(context, "allowPrivilegeEscalation").is_none() {
            insecure("allowPrivilegeEscalation");
        }
        for name in ["runAsNonRoot", "seccompProfile"] {
            if get(context, name).is_none() && get(pod, name).is_none() {
                insecure(name);
            }
        }
        match get(context, "capabilities") {
            None => insecure("capabilities"),
            Some(capabilities) => {
                let drop = list(capabilities, "drop");
                if drop.is_empty() {
                    insecure("capabilities.drop");
                }
                if drop.iter().any(|dropped| dropped.as_str() == Some("all")) {
                    let warning = FieldError::new(
                        "Must be spelled as \"ALL\" to have an effect",
                        "capabilities.drop",
                    );
                    found.also(warning.as_warning());
                }
            }
        }
        warnings.also(
            found
                .via_field("securityContext")
                .via_field_index("containers", index),
        );
    }
    warnings
}

/// Checks how many requests at once and for how long; the paths begin below the template's spec.
pub(super) fn request_limits(spec: &Value, defaults: &crate::config::Defaults) -> FieldErrors {
    let mut errors = FieldErrors::default();
    let max = defaults.max_revision_timeout_seconds;
    if let Some(seconds) = integer(spec, "timeoutSeconds").filter(|seconds| !(0..=max).contains(seconds)) {
        errors.also(FieldError::out_of_bounds(seconds, 0, max, "timeoutSeconds"));
    }
    let min = if defaults.allow_container_concurrency_zero {
        0
    } else {
        1
    };
    let max = defaults.container_concurrency_max_limit;
    if let Some(limit) = integer(spec, "containerConcurrency").filter(|limit| !(min..=max).contains(limit)) {
        errors.also(FieldError::out_of_bounds(limit, min, max, "containerConcurrency"));
    }
    errors
}
