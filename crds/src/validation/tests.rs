use serde_json::{Value, json};

use super::*;
use crate::config::{Configs, Flag, SecurePodDefaults};

mod kinds;
mod objects;
mod template;

pub(crate) use kinds::{ALL, arbitrary_object};

/// A Service with this template spec.
fn service(template_spec: Value) -> Value {
    json!({
        "metadata": {"name": "svc", "namespace": "ns"},
        "spec": {
            "template": {"spec": template_spec},
            "traffic": [{"latestRevision": true, "percent": 100}],
        },
    })
}

/// A container that is valid, with `more` in it.
fn container(more: Value) -> Value {
    let mut container = json!({"name": "user-container", "image": "busybox"});
    container
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    container
}

fn service_with(more: Value) -> Value {
    service(json!({"containers": [container(more)]}))
}

fn traffic_of(kind: Resource, targets: Value) -> String {
    let mut object = service_with(json!({}));
    object["spec"]["traffic"] = targets;
    errors_under(kind, &object, &Configs::default())
}

fn errors_under(kind: Resource, object: &Value, configs: &Configs) -> String {
    validate(kind, object, &Context::creating(configs))
        .errors()
        .to_string()
}

fn errors(object: &Value) -> String {
    errors_under(Resource::Service, object, &Configs::default())
}

fn update_errors(kind: Resource, old: &Value, new: &Value) -> String {
    validate(kind, new, &Context::updating(&Configs::default(), old))
        .errors()
        .to_string()
}

#[test]
fn a_plain_service_is_valid() {
    assert_eq!(errors(&service_with(json!({}))), "");
}

/// One row of the table of refusals: a Service that is wrong, and what is said about it.
fn assert_rows(rows: Vec<(Value, &str)>) {
    for (object, want) in rows {
        assert_eq!(errors(&object), want, "{object}");
    }
}
