//! The user's containers as they run in the pod.

use crds::ports;
use crds::serving::{ContainerStatus, Revision};
use k8s_openapi::api::core::v1::{
    Container, ContainerPort, EnvVar, EnvVarSource, HTTPGetAction, Lifecycle, LifecycleHandler,
    ObjectFieldSelector, Probe, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::metadata::{is_serving, user_port};
use super::settings::Settings;
use crate::shared::{label, name_of};

/// Volume for `/var/log`, if logs are collected from there.
pub(super) const VAR_LOG_VOLUME: &str = "knative-var-log";

pub(super) fn user_containers(revision: &Revision, settings: &Settings) -> Vec<Container> {
    let statuses = revision
        .status
        .as_ref()
        .map(|status| status.container_statuses.as_slice())
        .unwrap_or_default();
    let containers = revision.spec.pod_spec.containers.iter().map(|container| {
        let mut shaped = resolved(container.clone(), statuses);
        let serving = is_serving(revision, container);
        if serving {
            let port = user_port(revision);
            shaped.ports = Some(vec![ContainerPort {
                name: Some(ports::NAME_USER.to_owned()),
                container_port: port,
                protocol: Some("TCP".to_owned()),
                ..ContainerPort::default()
            }]);
            env(&mut shaped, "PORT", &port.to_string());
        }
        shape(&mut shaped, revision);
        shaped.lifecycle = Some(wait_for_drain());
        move_readiness_probe(
            &mut shaped,
            serving || settings.features.multi_container_probing.is_enabled(),
        );
        if serving {
            for probe in [&mut shaped.liveness_probe, &mut shaped.startup_probe] {
                aim_at_user_port(
                    probe.as_mut(),
                    user_port(revision),
                    settings.features.multi_container_probing.is_enabled(),
                );
            }
        }
        if settings.observability.enable_var_log_collection {
            mount_var_log(&mut shaped);
        }
        shaped
    });
    containers.collect()
}

pub(super) fn init_containers(revision: &Revision) -> Option<Vec<Container>> {
    let statuses = revision
        .status
        .as_ref()
        .map(|status| status.init_container_statuses.as_slice())
        .unwrap_or_default();
    let containers = revision
        .spec
        .pod_spec
        .init_containers
        .as_ref()?
        .iter()
        .map(|container| {
            let mut shaped = resolved(container.clone(), statuses);
            shape(&mut shaped, revision);
            shaped
        });
    Some(containers.collect())
}

/// The container with its image pinned to the digest that was found for it.
fn resolved(mut container: Container, statuses: &[ContainerStatus]) -> Container {
    let digest = statuses
        .iter()
        .find(|status| status.name == container.name)
        .and_then(|s| s.image_digest.clone());
    if let Some(digest) = digest.filter(|digest| !digest.is_empty()) {
        container.image = Some(digest);
    }
    container
}

fn shape(container: &mut Container, revision: &Revision) {
    let meta = &revision.metadata;
    env(container, "K_REVISION", name_of(meta));
    env(
        container,
        "K_CONFIGURATION",
        label(meta, crds::labels::CONFIGURATION).unwrap_or_default(),
    );
    env(
        container,
        "K_SERVICE",
        label(meta, crds::labels::SERVICE).unwrap_or_default(),
    );
    container.stdin = Some(false);
    container.tty = Some(false);
    container
        .termination_message_policy
        .get_or_insert_with(|| "FallbackToLogsOnError".to_owned());
}

fn env(container: &mut Container, name: &str, value: &str) {
    let variable = EnvVar {
        name: name.to_owned(),
        value: Some(value.to_owned()),
        value_from: None,
    };
    container.env.get_or_insert_default().push(variable);
}

/// Kubernetes sends SIGTERM only after this answered, which is when queue-proxy has no requests left.
fn wait_for_drain() -> Lifecycle {
    Lifecycle {
        pre_stop: Some(LifecycleHandler {
            http_get: Some(HTTPGetAction {
                path: Some("/wait-for-drain".to_owned()),
                port: IntOrString::Int(i32::from(ports::QUEUE_ADMIN)),
                ..HTTPGetAction::default()
            }),
            ..LifecycleHandler::default()
        }),
        ..Lifecycle::default()
    }
}

/// Readiness is asked of queue-proxy, which asks the application. Only a command has to run where the files are.
fn move_readiness_probe(container: &mut Container, queue_proxy_asks: bool) {
    if queue_proxy_asks
        && container
            .readiness_probe
            .as_ref()
            .is_some_and(|probe| probe.exec.is_none())
    {
        container.readiness_probe = None;
    }
}

/// `keep` leaves a port alone that the user gave.
fn aim_at_user_port(probe: Option<&mut Probe>, port: i32, keep: bool) {
    let Some(probe) = probe else { return };
    let set = |given: &mut IntOrString| {
        if !keep
            || matches!(given, IntOrString::Int(0))
            || matches!(given, IntOrString::String(name) if name.is_empty())
        {
            *given = IntOrString::Int(port);
        }
    };
    if let Some(http) = probe.http_get.as_mut() {
        set(&mut http.port);
    } else if let Some(tcp) = probe.tcp_socket.as_mut() {
        set(&mut tcp.port);
    } else if let Some(grpc) = probe.grpc.as_mut()
        && (!keep || grpc.port == 0)
    {
        grpc.port = port;
    }
}

fn mount_var_log(container: &mut Container) {
    let name = container.name.clone();
    for (variable, path) in [
        ("K_INTERNAL_POD_NAME", "metadata.name"),
        ("K_INTERNAL_POD_NAMESPACE", "metadata.namespace"),
    ] {
        container
            .env
            .get_or_insert_default()
            .push(from_field(variable, path));
    }
    container.volume_mounts.get_or_insert_default().push(VolumeMount {
        name: VAR_LOG_VOLUME.to_owned(),
        mount_path: "/var/log".to_owned(),
        sub_path_expr: Some(format!(
            "$(K_INTERNAL_POD_NAMESPACE)_$(K_INTERNAL_POD_NAME)_{name}"
        )),
        ..VolumeMount::default()
    });
}

/// A variable that takes its value from the pod.
pub(super) fn from_field(name: &str, path: &str) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value: None,
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                field_path: path.to_owned(),
                ..ObjectFieldSelector::default()
            }),
            ..EnvVarSource::default()
        }),
    }
}
