use kube::core::admission::AdmissionResponse;
use serde_json::{Value, json};

use super::*;

struct Request {
    group: &'static str,
    kind: &'static str,
    operation: &'static str,
    namespace: &'static str,
    object: Value,
    old: Value,
}

impl Request {
    fn create(group: &'static str, kind: &'static str, object: Value) -> Self {
        Self {
            group,
            kind,
            operation: "CREATE",
            namespace: "ns",
            object,
            old: Value::Null,
        }
    }

    fn answer(self, webhook: Webhook) -> AdmissionResponse {
        let review = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {
                "uid": "u", "name": "x", "namespace": self.namespace, "operation": self.operation,
                "kind": {"group": self.group, "version": "v1", "kind": self.kind},
                "resource": {"group": self.group, "version": "v1", "resource": "r"},
                "userInfo": {"username": "jane"}, "dryRun": false,
                "object": self.object, "oldObject": self.old,
            },
        });
        let review: Review = serde_json::from_value(review).unwrap();
        let answered = handle(webhook, review, &Settings::default());
        assert_eq!(answered.types.api_version, "admission.k8s.io/v1");
        let response = answered.response.unwrap();
        assert_eq!(response.uid, "u");
        response
    }
}

const SERVING: &str = "serving.knative.dev";

fn service() -> Value {
    json!({
        "apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": {"name": "hello", "namespace": "ns"},
        "spec": {"template": {"spec": {"containers": [{"image": "hello", "x-unknown": {"a/b": 1}}]}}},
    })
}

fn patched(mut object: Value, response: &AdmissionResponse) -> Value {
    let patch: json_patch::Patch = serde_json::from_slice(response.patch.as_deref().unwrap()).unwrap();
    json_patch::patch(&mut object, &patch).unwrap();
    object
}

#[test]
fn defaulting_patches_the_object_and_leaves_unknown_fields_alone() {
    let response = Request::create(SERVING, "Service", service()).answer(Webhook::Defaulting);
    assert!(response.allowed);
    let object = patched(service(), &response);
    let container = &object["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["name"], "user-container");
    assert_eq!(container["x-unknown"], json!({"a/b": 1}));
    assert_eq!(
        object["metadata"]["annotations"]["serving.knative.dev/creator"],
        "jane"
    );
    let raw = String::from_utf8(response.patch.unwrap()).unwrap();
    assert!(!raw.contains("\"remove\"") && !raw.contains("x-unknown"), "{raw}");
}

#[test]
fn a_complete_object_gets_no_patch() {
    let response = Request::create(SERVING, "Service", service()).answer(Webhook::Defaulting);
    let object = patched(service(), &response);
    let again = Request {
        operation: "UPDATE",
        old: object.clone(),
        ..Request::create(SERVING, "Service", object)
    };
    let response = again.answer(Webhook::Defaulting);
    assert!(response.allowed);
    assert_eq!(response.patch, None);
}

#[test]
fn a_refusal_is_a_bad_request_with_the_errors() {
    let mut object = service();
    object["spec"]["traffic"] = json!([{"percent": 90}]);
    object["spec"]["template"]["spec"]["containers"][0]
        .as_object_mut()
        .unwrap()
        .remove("x-unknown");
    let response = Request::create(SERVING, "Service", object).answer(Webhook::ResourceValidation);
    assert!(!response.allowed);
    assert_eq!(
        (response.result.code, response.result.reason.as_str()),
        (400, "BadRequest")
    );
    assert_eq!(
        response.result.message,
        "validation failed: Traffic targets sum to 90, want 100: spec.traffic"
    );
}

#[test]
fn what_has_another_type_cannot_be_decoded() {
    for webhook in [Webhook::Defaulting, Webhook::ResourceValidation] {
        let mut object = service();
        object["spec"]["template"]["spec"]["timeoutSeconds"] = json!("soon");
        let response = Request::create(SERVING, "Service", object).answer(webhook);
        assert!(!response.allowed);
        let message = response.result.message;
        assert!(
            message.starts_with("decoding request failed: cannot decode incoming new object: "),
            "{message}"
        );
    }
}

#[test]
fn warnings_do_not_refuse() {
    let mut object = service();
    object["spec"]["traffic"] = json!([{"percent": 100}]);
    object["spec"]["template"]["spec"]["containers"][0]
        .as_object_mut()
        .unwrap()
        .remove("x-unknown");
    let response = Request::create(SERVING, "Service", object).answer(Webhook::ResourceValidation);
    assert!(response.allowed, "{}", response.result.message);
    let warnings = response.warnings.unwrap();
    assert!(
        warnings[0].starts_with("Kubernetes default value is insecure"),
        "{warnings:?}"
    );
}

#[test]
fn deletions_and_foreign_kinds_pass() {
    let deletion = Request {
        operation: "DELETE",
        object: Value::Null,
        old: service(),
        ..Request::create(SERVING, "Service", Value::Null)
    };
    assert!(deletion.answer(Webhook::ResourceValidation).allowed);
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}});
    assert!(
        Request::create("", "Pod", pod)
            .answer(Webhook::ResourceValidation)
            .allowed
    );
}

#[test]
fn config_maps_are_checked_in_the_system_namespace_only() {
    let map = |namespace: &str| {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "config-gc", "namespace": namespace},
            "data": {"min-non-active-revisions": "many"},
        })
    };
    let ours = Request {
        namespace: "knative-serving",
        ..Request::create("", "ConfigMap", map("knative-serving"))
    };
    let response = ours.answer(Webhook::ConfigValidation);
    assert!(!response.allowed);
    assert_eq!(
        response.result.message,
        "validation failed: failed to parse \"min-non-active-revisions\": invalid digit found in string"
    );
    assert!(
        Request::create("", "ConfigMap", map("ns"))
            .answer(Webhook::ConfigValidation)
            .allowed
    );
}

#[test]
fn a_review_without_a_request_is_refused() {
    let review: Review =
        serde_json::from_value(json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}))
            .unwrap();
    assert!(
        !handle(Webhook::Defaulting, review, &Settings::default())
            .response
            .unwrap()
            .allowed
    );
}

#[test]
fn webhooks_cover_every_kind() {
    let listed: Vec<String> = WEBHOOKS
        .rules(Webhook::ResourceValidation)
        .into_iter()
        .flat_map(|rule| rule.resources.unwrap())
        .collect();
    for crd in crds::all() {
        let names = &crd.spec.names;
        if Resource::find(&crd.spec.group, &names.kind).is_some() {
            assert!(listed.contains(&names.plural), "{}", names.plural);
            assert!(
                listed.contains(&format!("{}/status", names.plural)),
                "{}",
                names.plural
            );
        }
    }
}
