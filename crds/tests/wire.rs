//! The typed resources read and write what is on the wire.

use crds::{autoscaling, networking, serving};
use serde_json::{Value, json};

#[expect(clippy::unwrap_used, reason = "a helper of tests")]
fn round_trip<T: serde::de::DeserializeOwned + serde::Serialize>(wire: Value) {
    let typed: T = serde_json::from_value(wire.clone()).unwrap();
    assert_eq!(serde_json::to_value(typed).unwrap(), wire);
}

#[test]
fn a_service_keeps_its_pod_inline() {
    round_trip::<serving::Service>(json!({
        "apiVersion": "serving.knative.dev/v1", "kind": "Service",
        "metadata": {"name": "hello"},
        "spec": {
            "template": {
                "metadata": {"annotations": {"autoscaling.knative.dev/min-scale": "1"}},
                "spec": {
                    "containerConcurrency": 0, "timeoutSeconds": 300, "enableServiceLinks": false,
                    "containers": [{"name": "user-container", "image": "hello", "ports": [{"containerPort": 80}]}],
                },
            },
            "traffic": [{"latestRevision": true, "percent": 100}],
        },
        "status": {
            "url": "http://hello.default.example.com",
            "address": {"url": "http://hello.default.svc.cluster.local", "CACerts": "pem"},
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-02T03:04:05Z"}],
            "observedGeneration": 3,
        },
    }));
}

#[test]
fn fields_of_a_status_that_nobody_knows_are_tolerated() {
    let revision: serving::Revision = serde_json::from_value(json!({
        "apiVersion": "serving.knative.dev/v1", "kind": "Revision", "metadata": {"name": "r"},
        "spec": {"containers": []}, "status": {"serviceName": "gone", "desiredReplicas": 2},
    }))
    .unwrap();
    assert_eq!(revision.status.unwrap().desired_replicas, Some(2));
}

#[test]
fn an_ingress_keeps_its_maps_and_ports() {
    round_trip::<networking::Ingress>(json!({
        "apiVersion": "networking.internal.knative.dev/v1alpha1", "kind": "Ingress", "metadata": {"name": "i"},
        "spec": {
            "httpOption": "Redirected",
            "rules": [{"hosts": ["a.b"], "visibility": "ClusterLocal", "http": {"paths": [{
                "headers": {"Knative-Serving-Tag": {"exact": "t"}},
                "splits": [{"serviceNamespace": "ns", "serviceName": "r", "servicePort": 80, "percent": 100,
                            "appendHeaders": {"Knative-Serving-Revision": "r"}}],
            }]}}],
        },
    }));
}

#[test]
fn a_pod_autoscaler_may_say_nothing_about_reachability() {
    let wire = json!({
        "apiVersion": "autoscaling.internal.knative.dev/v1alpha1", "kind": "PodAutoscaler", "metadata": {"name": "r"},
        "spec": {"scaleTargetRef": {"kind": "Deployment"}, "protocolType": "h2c"},
    });
    let scaler: autoscaling::PodAutoscaler = serde_json::from_value(wire).unwrap();
    assert_eq!(scaler.spec.reachability, autoscaling::Reachability::Unknown);
    assert_eq!(scaler.spec.protocol_type, networking::ProtocolType::H2c);
    assert_eq!(
        serde_json::to_value(&scaler).unwrap()["spec"].get("reachability"),
        None
    );
}

#[test]
fn http01_challenges_keep_their_unusual_spelling() {
    let certificate: networking::Certificate = serde_json::from_value(json!({
        "apiVersion": "networking.internal.knative.dev/v1alpha1", "kind": "Certificate", "metadata": {},
        "spec": {"dnsNames": ["a.b"], "secretName": "s"},
        "status": {"http01Challenges": [{"serviceName": "s", "serviceNamespace": "n", "servicePort": "http"}]},
    }))
    .unwrap();
    assert_eq!(certificate.status.unwrap().http01_challenges.len(), 1);
}
