use serde_json::{Value, json};

use super::*;

const NODE: NodeCapacity = NodeCapacity {
    cpu_milli: 2000,
    memory_bytes: 1 << 30,
    disk_bytes: 0,
};

fn pod(container: Value) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": "p", "namespace": "n", "labels": {"app": "web"}},
        "spec": {"enableServiceLinks": false, "containers": [container]},
    }))
    .unwrap()
}

fn service(namespace: &str, name: &str, ip: &str) -> Service {
    serde_json::from_value(json!({
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"clusterIP": ip, "ports": [{"name": "https", "port": 443, "protocol": "TCP"}]},
    }))
    .unwrap()
}

fn run(container: Value, sources: &Sources, services: &[Arc<Service>]) -> Result<Environment, EnvError> {
    let pod = pod(container);
    let addresses = Addresses {
        pod: "10.1.0.2".into(),
        host: "10.1.0.1".into(),
    };
    let context = Context {
        pod: &pod,
        sources,
        services,
        addresses: &addresses,
        node: NODE,
    };
    environment(&pod.spec.as_ref().unwrap().containers[0], context)
}

#[test]
fn later_values_win_and_references_see_earlier_ones() {
    let sources = Sources::default()
        .with("config", "map", &[("A", "map"), ("B", "map")])
        .with("secret", "keys", &[("TOKEN", "s3cret")]);
    let container = json!({
        "name": "c",
        "envFrom": [{"configMapRef": {"name": "map"}}, {"prefix": "P_", "secretRef": {"name": "keys"}}],
        "env": [
            {"name": "A", "value": "own"},
            {"name": "C", "value": "$(A)/$(B)/$(P_TOKEN)/$(LATER)"},
            {"name": "LATER", "value": "x"},
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "LABEL", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
            {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
            {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "TOKEN"}}},
        ],
    });
    let found = run(container, &sources, &[]).unwrap();
    assert_eq!(
        found.over_image(&["PATH=/bin".into(), "A=image".into()]),
        [
            "PATH=/bin",
            "A=own",
            "B=map",
            "P_TOKEN=s3cret",
            "C=own/map/s3cret/$(LATER)",
            "LATER=x",
            "IP=10.1.0.2",
            "LABEL=web",
            "CPU=2",
            "KEY=s3cret",
        ]
    );
}

#[test]
fn absent_references_are_named_unless_optional() {
    let sources = Sources::default().with("config", "map", &[("A", "1")]);
    let from = |from: Value| json!({"name": "c", "env": [{"name": "X", "valueFrom": from}]});
    let table = [
        (
            from(json!({"configMapKeyRef": {"name": "gone", "key": "A"}})),
            "configmap \"gone\" not found",
        ),
        (
            from(json!({"configMapKeyRef": {"name": "map", "key": "B"}})),
            "couldn't find key B in ConfigMap n/map",
        ),
        (
            from(json!({"secretKeyRef": {"name": "gone", "key": "A"}})),
            "secret \"gone\" not found",
        ),
        (
            json!({"name": "c", "envFrom": [{"secretRef": {"name": "gone"}}]}),
            "secret \"gone\" not found",
        ),
    ];
    for (container, message) in table {
        assert_eq!(run(container, &sources, &[]).unwrap_err().to_string(), message);
    }
    let optional = json!({"name": "c",
        "envFrom": [{"secretRef": {"name": "gone", "optional": true}}],
        "env": [{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "map", "key": "B", "optional": true}}}]});
    assert_eq!(run(optional, &sources, &[]).unwrap(), Environment::default());
}

#[test]
fn service_links_follow_the_namespace_and_the_switch() {
    let services = [
        service("default", "kubernetes", "10.0.0.1"),
        service("n", "my-db", "10.0.0.9"),
        service("m", "far", "10.0.0.8"),
        service("n", "headless", "None"),
    ];
    let without = service_variables(&services, "n", false);
    assert!(
        without.iter().all(|(name, _)| name.starts_with("KUBERNETES_")),
        "{without:?}"
    );
    assert!(without.contains(&("KUBERNETES_SERVICE_PORT_HTTPS".into(), "443".into())));
    let with = service_variables(&services, "n", true);
    assert!(with.contains(&("MY_DB_SERVICE_HOST".into(), "10.0.0.9".into())));
    assert!(with.contains(&("MY_DB_PORT_443_TCP".into(), "tcp://10.0.0.9:443".into())));
    assert!(
        !with
            .iter()
            .any(|(name, _)| name.starts_with("FAR") || name.starts_with("HEADLESS"))
    );
}
