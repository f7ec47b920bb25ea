use kube::core::admission::AdmissionResponse;
use serde_json::{Value, json};

use super::*;

fn answer_to(webhook: Webhook, group: &str, kind: &str, object: Value, old: Value) -> AdmissionResponse {
    let operation = if old.is_null() { "CREATE" } else { "UPDATE" };
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u", "name": "x", "namespace": "ns", "operation": operation,
            "kind": {"group": group, "version": "v1", "kind": kind},
            "resource": {"group": group, "version": "v1", "resource": "r"},
            "userInfo": {"username": "jane"}, "dryRun": false, "object": object, "oldObject": old,
        },
    });
    let review: Review = serde_json::from_value(review).unwrap();
    handle(webhook, review, &Settings::default()).response.unwrap()
}

fn refusal(response: &AdmissionResponse) -> String {
    assert!(!response.allowed);
    assert_eq!(
        (response.result.code, response.result.reason.as_str()),
        (400, "BadRequest")
    );
    response.result.message.clone()
}

fn trigger(more: Value) -> Value {
    let mut spec = json!({"broker": "default", "filter": {}, "subscriber": {"uri": "http://x.y"}});
    spec.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    json!({
        "apiVersion": "eventing.knative.dev/v1", "kind": "Trigger",
        "metadata": {"name": "t", "namespace": "ns"}, "spec": spec,
    })
}

fn checked(more: Value) -> AdmissionResponse {
    answer_to(
        Webhook::ResourceValidation,
        "eventing.knative.dev",
        "Trigger",
        trigger(more),
        Value::Null,
    )
}

#[test]
fn a_bare_broker_gets_its_defaults_as_a_patch() {
    let broker = json!({
        "apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "metadata": {"name": "b", "namespace": "ns"},
    });
    let response = answer_to(
        Webhook::Defaulting,
        "eventing.knative.dev",
        "Broker",
        broker.clone(),
        Value::Null,
    );
    let patch: json_patch::Patch = serde_json::from_slice(response.patch.as_deref().unwrap()).unwrap();
    let mut patched = broker;
    json_patch::patch(&mut patched, &patch).unwrap();
    assert_eq!(patched["spec"]["config"]["name"], "config-br-default-channel");
    let again = answer_to(
        Webhook::Defaulting,
        "eventing.knative.dev",
        "Broker",
        patched.clone(),
        Value::Null,
    );
    assert!(again.allowed && again.patch.is_none());
    let valid = answer_to(
        Webhook::ResourceValidation,
        "eventing.knative.dev",
        "Broker",
        patched,
        Value::Null,
    );
    assert!(valid.allowed);
}

#[test]
fn fields_that_a_kind_does_not_have_are_refused_by_name() {
    let unknown = trigger(json!({"brocker": "x"}));
    let response = answer_to(
        Webhook::Defaulting,
        "eventing.knative.dev",
        "Trigger",
        unknown.clone(),
        Value::Null,
    );
    assert_eq!(
        refusal(&response),
        "mutation failed: cannot decode incoming new object: json: unknown field \"brocker\""
    );
    let stored = answer_to(
        Webhook::Defaulting,
        "eventing.knative.dev",
        "Trigger",
        unknown.clone(),
        unknown,
    );
    assert!(stored.allowed, "what is stored already may stay");
    let wrong = trigger(json!({"broker": 7}));
    let response = answer_to(
        Webhook::Defaulting,
        "eventing.knative.dev",
        "Trigger",
        wrong,
        Value::Null,
    );
    assert!(
        refusal(&response).starts_with("mutation failed: cannot decode incoming new object: invalid type")
    );
}

#[test]
fn what_is_invalid_is_refused_with_all_that_is_wrong() {
    assert_eq!(
        refusal(&checked(json!({"broker": "", "subscriber": {}}))),
        "validation failed: expected at least one, got none: spec.subscriber.ref, spec.subscriber.uri\n\
         missing field(s): spec.broker"
    );
    assert!(checked(json!({})).allowed);
}

#[test]
fn filters_are_compiled_to_tell_what_is_wrong_with_them() {
    assert!(checked(json!({"filters": [{"exact": {"type": "t"}}, {"cesql": "type = 'x'"}]})).allowed);
    let two = refusal(&checked(
        json!({"filters": [{"exact": {"type": "t"}, "cesql": "TRUE"}]}),
    ));
    assert!(
        two.contains("multiple dialects found, filters can have only one dialect set: spec.filters[0]"),
        "{two}"
    );
    let expression = refusal(&checked(json!({"filters": [{"cesql": "type ="}]})));
    assert!(expression.contains("spec.filters[0].cesql"), "{expression}");
    let name = refusal(&checked(json!({"filter": {"attributes": {"Bad": "x"}}})));
    assert!(
        name.contains("invalid key name \"Bad\": spec.filter.attributes"),
        "{name}"
    );
    let word = refusal(&checked(json!({"filters": [{"not": {"exakt": {"type": "t"}}}]})));
    assert!(
        word.contains("must not set the field(s): spec.filters[0].not.exakt"),
        "{word}"
    );
}

#[test]
fn schedules_are_read_to_tell_what_is_wrong_with_them() {
    let checked = |schedule: &str, timezone: &str| {
        let source = json!({
            "apiVersion": "sources.knative.dev/v1", "kind": "PingSource", "metadata": {"name": "p", "namespace": "ns"},
            "spec": {"schedule": schedule, "timezone": timezone, "sink": {"uri": "http://x.y"}},
        });
        answer_to(
            Webhook::ResourceValidation,
            "sources.knative.dev",
            "PingSource",
            source,
            Value::Null,
        )
    };
    assert!(checked("*/2 * * * *", "Europe/Berlin").allowed);
    let every = refusal(&checked("@every 1s", ""));
    assert!(
        every.contains("unsupported descriptor @every") && every.contains("spec.schedule"),
        "{every}"
    );
    assert!(refusal(&checked("* * *", "")).contains("spec.schedule"));
    assert!(refusal(&checked("* * * * *", "Mars/Olympus")).contains("spec.timezone"));
}

#[test]
fn config_maps_of_the_system_namespace_must_parse() {
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "config-features", "namespace": "knative-eventing"},
        "data": {"transport-encryption": "some"},
    });
    // The request is for the namespace `ns`: not ours.
    assert!(
        answer_to(
            Webhook::ConfigValidation,
            "",
            "ConfigMap",
            map.clone(),
            Value::Null
        )
        .allowed
    );
    assert!(
        validation::config_map(&map)
            .unwrap_err()
            .contains("must be disabled, permissive or strict")
    );
}

#[test]
fn every_kind_is_asked_about() {
    let rules = WEBHOOKS.rules(Webhook::ResourceValidation);
    for resource in Resource::ALL {
        let plural = match resource {
            Resource::EventPolicy => "eventpolicies".to_owned(),
            Resource::RequestReply => "requestreplies".to_owned(),
            other => format!("{other:?}s").to_lowercase(),
        };
        assert!(
            rules
                .iter()
                .any(|rule| rule.resources.iter().flatten().any(|name| *name == plural)),
            "{plural}"
        );
    }
}
