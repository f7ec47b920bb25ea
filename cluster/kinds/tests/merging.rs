//! The schemas of built-in kinds, as patches and server-side apply use them.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use cluster_kinds::{Kind, by_kind};
use cluster_machinery::apply::{ApplyError, ApplyRequest, apply, reset_fields};
use cluster_machinery::patch;
use jiff::Timestamp;
use serde_json::{Value, json};

fn kind_of(object: &Value) -> &'static Kind {
    by_kind(
        object["apiVersion"].as_str().unwrap(),
        object["kind"].as_str().unwrap(),
    )
    .unwrap()
}

fn patched(mut object: Value, patch: Value) -> Value {
    let schema = kind_of(&object).schema().unwrap();
    patch::strategic(&mut object, &patch, &schema).unwrap();
    object
}

fn applied(live: Option<&Value>, config: &Value, manager: &str) -> Result<Value, ApplyError> {
    let kind = kind_of(config);
    let schema = kind.schema().unwrap();
    let mut object = apply(ApplyRequest {
        live,
        config,
        manager,
        force: false,
        subresource: None,
        reset_fields: reset_fields(None, true),
        schema: &schema,
        versions_differ: false,
        now: "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap(),
    })?;
    kind.default(&mut object);
    Ok(object)
}

fn deployment() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{
                    "name": "web", "image": "nginx", "args": ["a", "b"],
                    "env": [{"name": "A", "value": "1"}],
                    "ports": [{"containerPort": 80}],
                }]},
            },
        },
    })
}

fn container(deployment: &Value, index: usize) -> &Value {
    &deployment["spec"]["template"]["spec"]["containers"][index]
}

#[test]
fn strategic_patches_merge_containers_by_name_and_replace_arguments() {
    let patch = json!({"spec": {"template": {"spec": {"containers": [
        {"name": "web", "args": ["c"], "env": [{"name": "B", "value": "2"}]},
        {"name": "side", "image": "busybox"},
    ]}}}});
    let merged = patched(deployment(), patch);
    let containers = merged["spec"]["template"]["spec"]["containers"]
        .as_array()
        .unwrap();
    assert_eq!(containers.len(), 2);
    let web = containers
        .iter()
        .find(|container| container["name"] == "web")
        .unwrap();
    assert_eq!(web["image"], "nginx");
    assert_eq!(web["args"], json!(["c"]));
    assert_eq!(web["env"].as_array().unwrap().len(), 2);
}

#[test]
fn a_recreate_strategy_drops_the_rolling_update() {
    let mut object = deployment();
    kind_of(&object).default(&mut object);
    let patch = json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}});
    assert_eq!(
        patched(object, patch)["spec"]["strategy"],
        json!({"type": "Recreate"})
    );
}

#[test]
fn service_ports_merge_by_port_alone() {
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "spec": {"ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}]},
    });
    let merged = patched(
        service,
        json!({"spec": {"ports": [{"port": 80, "targetPort": 8080}]}}),
    );
    assert_eq!(
        merged["spec"]["ports"],
        json!([{"port": 80, "protocol": "TCP", "targetPort": 8080}])
    );
}

#[test]
fn applying_again_changes_nothing() {
    let first = applied(None, &deployment(), "kubectl").unwrap();
    let second = applied(Some(&first), &deployment(), "kubectl").unwrap();
    assert_eq!(first, second);
}

#[test]
fn ports_without_protocol_have_a_key() {
    let live = applied(None, &deployment(), "kubectl").unwrap();
    let fields = live["metadata"]["managedFields"][0]["fieldsV1"].to_string();
    assert!(
        fields.contains(r#"k:{\"containerPort\":80,\"protocol\":\"TCP\"}"#),
        "{fields}"
    );
    let mut other = deployment();
    other["spec"]["template"]["spec"]["containers"][0]["ports"] = json!([{"containerPort": 443}]);
    let live = applied(Some(&live), &other, "kubectl").unwrap();
    let ports = container(&live, 0)["ports"].as_array().unwrap();
    assert_eq!(
        ports.len(),
        1,
        "the port that is no longer applied goes: {ports:?}"
    );
    assert_eq!(ports[0]["containerPort"], 443);
}

#[test]
fn selectors_are_owned_as_a_whole() {
    let live = applied(None, &deployment(), "kubectl").unwrap();
    let fields = live["metadata"]["managedFields"][0]["fieldsV1"].clone();
    assert_eq!(fields["f:spec"]["f:selector"], json!({}));
    assert_eq!(
        fields["f:spec"]["f:template"]["f:metadata"]["f:labels"]["f:app"],
        json!({})
    );
}

#[test]
fn managers_share_an_object_until_they_disagree() {
    let live = applied(None, &deployment(), "kubectl").unwrap();
    let scale = |count: i64| {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": count},
        })
    };
    let live = applied(Some(&live), &scale(3), "autoscaler").unwrap();
    assert_eq!(live["spec"]["replicas"], 3);
    assert_eq!(container(&live, 0)["image"], "nginx");
    let conflict = applied(Some(&live), &scale(5), "kubectl").unwrap_err();
    let ApplyError::Conflicts(conflicts) = conflict else {
        panic!("{conflict}")
    };
    assert_eq!(conflicts.len(), 1);
    assert_eq!(conflicts[0].field, ".spec.replicas");
}
