use std::sync::Arc;

use crds::annotations;
use crds::autoscaling::Reachability;
use crds::serving::{ContainerStatus, Revision, RevisionStatus};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus};
use k8s_openapi::api::core::v1::{
    Container, ExecAction, GRPCAction, HTTPGetAction, Probe, ResourceRequirements, TCPSocketAction,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::revision::settings::Settings;
use crate::revision::*;
use crate::test_support::{configuration, map, port, revision};

fn example() -> Revision {
    let mut revision = (*revision(&configuration("svc", 1), "svc-00001", 1, None)).clone();
    revision.metadata.annotations = Some(map([
        (annotations::MIN_SCALE, "2"),
        (annotations::ROUTING_STATE_MODIFIED, "2026-01-01T00:00:00Z"),
        (annotations::ROUTES, "svc"),
        (annotations::CREATOR, "alice"),
    ]));
    revision.spec.pod_spec.containers[0].readiness_probe = Some(Probe {
        tcp_socket: Some(TCPSocketAction::default()),
        success_threshold: Some(1),
        ..Probe::default()
    });
    revision.status = Some(RevisionStatus {
        container_statuses: vec![ContainerStatus {
            name: "user-container".to_owned(),
            image_digest: Some("example.com/app@sha256:abc".to_owned()),
        }],
        ..RevisionStatus::default()
    });
    revision
}

fn env<'a>(container: &'a Container, name: &str) -> Option<&'a str> {
    container
        .env
        .iter()
        .flatten()
        .find(|variable| variable.name == name)
        .and_then(|v| v.value.as_deref())
}

#[test]
fn deployment_is_as_recorded() {
    let deployment = deployment::deployment(&example(), &Settings::example());
    insta::assert_json_snapshot!("deployment", deployment);
}

#[test]
fn deployment_is_left_alone_until_what_the_revision_decides_changes() {
    let settings = Settings::example();
    let mut live = deployment::deployment(&example(), &settings);
    live.metadata.resource_version = Some("7".to_owned());
    live.spec.replicas = Some(9);
    live.metadata
        .annotations
        .get_or_insert_default()
        .insert("foreign".to_owned(), "x".to_owned());
    let mut scaled = example();
    scaled
        .metadata
        .annotations
        .as_mut()
        .unwrap()
        .insert(annotations::MIN_SCALE.to_owned(), "5".to_owned());
    assert_eq!(
        deployment::update(&live, deployment::deployment(&scaled, &settings)),
        None
    );

    let mut changed = Settings::example();
    Arc::make_mut(&mut changed.deployment).queue_sidecar_image = "other".to_owned();
    let update = deployment::update(&live, deployment::deployment(&example(), &changed)).unwrap();
    assert_eq!(
        (update.spec.replicas, update.metadata.resource_version.as_deref()),
        (Some(9), Some("7"))
    );
}

#[test]
fn initial_scale_and_deadline_come_from_annotations_where_valid() {
    let table: &[(&str, bool, i32)] = &[
        ("3", false, 3),
        ("0", false, 1),
        ("0", true, 0),
        ("many", true, 1),
    ];
    for (text, allow_zero, replicas) in table {
        let mut settings = Settings::example();
        Arc::make_mut(&mut settings.autoscaler).allow_zero_initial_scale = *allow_zero;
        let mut revision = example();
        revision.metadata.annotations = Some(map([
            (annotations::INITIAL_SCALE, text),
            (annotations::PROGRESS_DEADLINE, "2m"),
        ]));
        let deployment = deployment::deployment(&revision, &settings);
        assert_eq!(deployment.spec.replicas, Some(*replicas), "{text}");
        assert_eq!(deployment.spec.progress_deadline_seconds, Some(120));
    }
}

#[test]
fn probes_go_to_queue_proxy_except_commands() {
    let mut revision = example();
    let http = HTTPGetAction {
        path: Some("/ready".to_owned()),
        port: IntOrString::Int(9999),
        ..HTTPGetAction::default()
    };
    revision.spec.pod_spec.containers[0].readiness_probe = Some(Probe {
        http_get: Some(http.clone()),
        period_seconds: Some(5),
        ..Probe::default()
    });
    revision.spec.pod_spec.containers[0].liveness_probe = Some(Probe {
        http_get: Some(http),
        ..Probe::default()
    });
    let spec = pod::pod_spec(&revision, &Settings::example());
    let (user, queue) = (&spec.containers[0], &spec.containers[1]);
    assert_eq!(user.readiness_probe, None);
    let liveness = user.liveness_probe.as_ref().unwrap().http_get.as_ref().unwrap();
    assert_eq!(liveness.port, IntOrString::Int(8080));
    let encoded: Probe = serde_json::from_str(env(queue, "SERVING_READINESS_PROBE").unwrap()).unwrap();
    let asked = encoded.http_get.unwrap();
    assert_eq!(
        (asked.host.as_deref(), asked.port, asked.scheme.as_deref()),
        (Some("127.0.0.1"), IntOrString::Int(9999), Some("HTTP")),
        "the port that the probe names, though the application serves at 8080"
    );
    assert_eq!(encoded.timeout_seconds, Some(1));
    let probe = queue.readiness_probe.as_ref().unwrap();
    assert_eq!((probe.period_seconds, probe.http_get.is_some()), (Some(5), true));

    revision.spec.pod_spec.containers[0].readiness_probe = Some(Probe {
        exec: Some(ExecAction {
            command: Some(vec!["true".to_owned()]),
        }),
        ..Probe::default()
    });
    let spec = pod::pod_spec(&revision, &Settings::example());
    assert!(
        spec.containers[0]
            .readiness_probe
            .as_ref()
            .unwrap()
            .exec
            .is_some(),
        "a command stays where it can run"
    );
    let encoded: Probe =
        serde_json::from_str(env(&spec.containers[1], "SERVING_READINESS_PROBE").unwrap()).unwrap();
    assert!(encoded.exec.is_none() && encoded.tcp_socket.is_some());
}

#[test]
fn a_readiness_probe_keeps_its_port() {
    type Shape = fn(i32) -> Probe;
    let http: Shape = |port| Probe {
        http_get: Some(HTTPGetAction {
            port: IntOrString::Int(port),
            ..HTTPGetAction::default()
        }),
        ..Probe::default()
    };
    let tcp: Shape = |port| Probe {
        tcp_socket: Some(TCPSocketAction {
            port: IntOrString::Int(port),
            ..TCPSocketAction::default()
        }),
        ..Probe::default()
    };
    let grpc: Shape = |port| Probe {
        grpc: Some(GRPCAction {
            port,
            ..GRPCAction::default()
        }),
        ..Probe::default()
    };
    for shape in [http, tcp, grpc] {
        for (given, expected) in [(0, 8080), (8080, 8080), (9999, 9999)] {
            let mut revision = example();
            revision.spec.pod_spec.containers[0].readiness_probe = Some(shape(given));
            let spec = pod::pod_spec(&revision, &Settings::example());
            let encoded: Probe =
                serde_json::from_str(env(&spec.containers[1], "SERVING_READINESS_PROBE").unwrap()).unwrap();
            let asked = match (encoded.http_get, encoded.tcp_socket, encoded.grpc) {
                (Some(http), None, None) => http.port,
                (None, Some(tcp), None) => tcp.port,
                (_, _, grpc) => IntOrString::Int(grpc.unwrap().port),
            };
            assert_eq!(asked, IntOrString::Int(expected), "port {given}");
        }
    }
}

#[test]
fn only_the_serving_container_gets_a_port_and_http2_is_seen_by_its_name() {
    let mut revision = example();
    revision.spec.pod_spec.containers[0].ports = Some(vec![port("h2c", 9000)]);
    let sidecar = Container {
        name: "side".to_owned(),
        image: Some("side".to_owned()),
        ..Container::default()
    };
    revision.spec.pod_spec.containers.push(sidecar);
    let spec = pod::pod_spec(&revision, &Settings::example());
    let [user, side, queue] = spec.containers.as_slice() else {
        panic!("{:?}", spec.containers)
    };
    assert_eq!((env(user, "PORT"), env(side, "PORT")), (Some("9000"), None));
    assert_eq!(
        (env(side, "K_REVISION"), env(side, "K_SERVICE")),
        (Some("svc-00001"), Some("svc"))
    );
    assert_eq!(user.ports.as_ref().unwrap()[0].name.as_deref(), Some("user-port"));
    assert_eq!(
        (env(queue, "USER_PORT"), env(queue, "QUEUE_SERVING_PORT")),
        (Some("9000"), Some("8013"))
    );
    assert_eq!(user.image.as_deref(), Some("example.com/app@sha256:abc"));
    assert_eq!(side.image.as_deref(), Some("side"), "not resolved, as written");
}

#[test]
fn queue_proxy_size_comes_from_configuration_share_and_annotations() {
    let quantity = |text: &str| Quantity(text.to_owned());
    let mut revision = example();
    revision.spec.pod_spec.containers[0].resources = Some(ResourceRequirements {
        requests: Some(
            [
                ("cpu".to_owned(), quantity("2")),
                ("memory".to_owned(), quantity("100Mi")),
            ]
            .into(),
        ),
        limits: Some([("memory".to_owned(), quantity("4Gi"))].into()),
        claims: None,
    });
    revision.metadata.annotations = Some(map([
        ("queue.sidecar.serving.knative.dev/resource-percentage", "10"),
        (
            "queue.sidecar.serving.knative.dev/memory-resource-request",
            "64Mi",
        ),
    ]));
    let found = resources::queue_resources(&revision, &Settings::example());
    assert_eq!(
        found.requests.unwrap(),
        [
            ("cpu".to_owned(), quantity("100m")),
            ("memory".to_owned(), quantity("64Mi"))
        ]
        .into()
    );
    assert_eq!(
        found.limits.unwrap(),
        [("memory".to_owned(), quantity("429496729"))].into()
    );
}

#[test]
fn reachability_follows_routes_unless_the_revision_cannot_start() {
    let failed = RevisionStatus {
        conditions: vec![crds::conditions::Condition::new(
            "ContainerHealthy",
            ConditionStatus::False,
        )],
        ..RevisionStatus::default()
    };
    let ready_pods = |ready: i32| Deployment {
        spec: k8s_openapi::api::apps::v1::DeploymentSpec {
            replicas: Some(1),
            ..Default::default()
        },
        status: Some(DeploymentStatus {
            ready_replicas: Some(ready),
            ..DeploymentStatus::default()
        }),
        ..Deployment::default()
    };
    let fine = RevisionStatus::default();
    let table = [
        ("active", &fine, 0, Reachability::Reachable),
        ("reserve", &fine, 1, Reachability::Unreachable),
        ("pending", &fine, 1, Reachability::Unknown),
        ("active", &failed, 0, Reachability::Unreachable),
        ("active", &failed, 1, Reachability::Reachable),
    ];
    for (state, status, ready, expected) in table {
        let mut revision = example();
        revision
            .metadata
            .labels
            .as_mut()
            .unwrap()
            .insert(labels::ROUTING_STATE.to_owned(), state.to_owned());
        let found = pod_autoscaler::pod_autoscaler(&revision, status, Some(&ready_pods(ready)));
        assert_eq!(found.spec.reachability, expected, "{state} {ready}");
        assert_eq!(
            found
                .metadata
                .annotations
                .unwrap()
                .get(annotations::MIN_SCALE)
                .map(String::as_str),
            Some("2")
        );
    }
}

#[test]
fn images_are_cached_by_digest() {
    let revision = example();
    let images = image::images(&revision, &revision.status.as_ref().unwrap().container_statuses);
    assert_eq!(images.len(), 1);
    assert_eq!(
        images[0].metadata.name.as_deref(),
        Some("svc-00001-cache-user-container")
    );
    assert_eq!(images[0].spec.image, "example.com/app@sha256:abc");
}
