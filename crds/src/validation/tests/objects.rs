//! Everything around templates: traffic, names, and what must not change.

use super::*;

#[test]
fn traffic() {
    let service = Resource::Service;
    for (kind, targets, want) in [
        (
            service,
            json!([{"latestRevision": true, "percent": 90}]),
            "Traffic targets sum to 90, want 100: spec.traffic",
        ),
        (
            service,
            json!([{"tag": "a", "percent": 50}, {"tag": "a", "percent": 50}]),
            "Multiple definitions for \"a\": spec.traffic[0].tag, spec.traffic[1].tag",
        ),
        (
            service,
            json!([{"tag": "A", "percent": 100}]),
            "invalid value: not a DNS 1035 label: [a DNS-1035 label must consist of lower case alphanumeric characters \
             or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or \
             'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')]: spec.traffic[0].tag",
        ),
        (
            service,
            json!([{"latestRevision": true, "revisionName": "r", "percent": 100}]),
            "may not set revisionName \"r\" when latestRevision is true: spec.traffic[0].latestRevision",
        ),
        (
            service,
            json!([{"percent": 100, "url": "http://x"}]),
            "must not set the field(s): spec.traffic[0].url",
        ),
        (
            service,
            json!([{"percent": 100, "configurationName": "c"}]),
            "must not set the field(s): spec.traffic[0].configurationName",
        ),
        (
            Resource::Route,
            json!([{"percent": 100}]),
            "expected exactly one, got neither: spec.traffic[0].configurationName, spec.traffic[0].revisionName",
        ),
        (
            Resource::Route,
            json!([{"percent": 100, "configurationName": "c", "revisionName": "r"}]),
            "expected exactly one, got both: spec.traffic[0].configurationName, spec.traffic[0].revisionName",
        ),
        (
            Resource::Route,
            json!([{"percent": 100, "configurationName": "c"}]),
            "",
        ),
        (
            service,
            json!([{"percent": 101}, {"percent": -1, "revisionName": "r"}]),
            "expected 0 <= -1 <= 100: spec.traffic[1].percent\nexpected 0 <= 101 <= 100: spec.traffic[0].percent",
        ),
    ] {
        assert_eq!(traffic_of(kind, targets), want);
    }
}

#[test]
fn names_and_annotations() {
    let with = |metadata: Value, template: Value| {
        let mut object = service_with(json!({}));
        object["metadata"] = metadata;
        object["spec"]["template"]["metadata"] = template;
        object
    };
    let label = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
                 character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for \
                 validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
    let svc = || json!({"name": "svc"});
    let rows: Vec<(Value, String)> = vec![
        (
            with(json!({"name": "1a"}), json!({})),
            format!("not a DNS 1035 label: [{label}]: metadata.name"),
        ),
        (
            with(json!({"name": "a".repeat(64)}), json!({})),
            "not a DNS 1035 label: [must be no more than 63 characters]: metadata.name".to_owned(),
        ),
        (with(json!({"generateName": "svc-"}), json!({})), String::new()),
        (
            with(json!({}), json!({})),
            "name or generateName is required: metadata.name".to_owned(),
        ),
        (
            with(svc(), json!({"name": "x"})),
            "invalid value: \"x\" must have prefix \"svc-\": spec.template.metadata.name".to_owned(),
        ),
        (with(svc(), json!({"name": "svc-x"})), String::new()),
        (
            with(json!({"generateName": "svc-"}), json!({"name": "svc-x"})),
            "must not set the field(s): spec.template.metadata.name".to_owned(),
        ),
        (
            with(
                json!({"name": "svc", "annotations": {"autoscaling.knative.dev/min-scale": "1"}}),
                json!({}),
            ),
            "invalid key name \"autoscaling.knative.dev/min-scale\": metadata.annotations\n\
             autoscaling annotations must be put under \"spec.template.metadata.annotations\" to work"
                .to_owned(),
        ),
        (
            with(
                json!({"name": "svc", "annotations": {"serving.knative.dev/rollout-duration": "1500ms"}}),
                json!({}),
            ),
            "rollout-duration=1500ms is not at second precision: \
             metadata.annotations.serving.knative.dev/rollout-duration"
                .to_owned(),
        ),
        (
            with(
                json!({"name": "svc", "annotations": {"serving.knative.dev/rolloutDuration": "-1s"}}),
                json!({}),
            ),
            "rollout-duration=-1s must be positive: metadata.annotations.serving.knative.dev/rolloutDuration"
                .to_owned(),
        ),
        (
            with(
                svc(),
                json!({"annotations": {
                    "autoscaling.knative.dev/min-scale": "2", "autoscaling.knative.dev/max-scale": "1",
                }}),
            ),
            "max-scale=1 is less than min-scale=2: \
             spec.template.metadata.annotations.autoscaling.knative.dev/max-scale, \
             spec.template.metadata.annotations.autoscaling.knative.dev/min-scale"
                .to_owned(),
        ),
        (
            with(
                svc(),
                json!({"annotations": {"autoscaling.knative.dev/initial-scale": "0"}}),
            ),
            "invalid value: 0: spec.template.metadata.annotations.autoscaling.knative.dev/initial-scale=0 \
             not allowed by cluster"
                .to_owned(),
        ),
        (
            with(
                svc(),
                json!({"annotations": {"networking.knative.dev/unknown": "x"}}),
            ),
            "invalid key name \"networking.knative.dev/unknown\": spec.template.metadata.annotations"
                .to_owned(),
        ),
        (
            with(
                svc(),
                json!({"annotations": {"serving.knative.dev/progress-deadline": "soon"}}),
            ),
            "invalid value: soon: spec.template.metadata.annotations.serving.knative.dev/progress-deadline"
                .to_owned(),
        ),
        (
            with(
                svc(),
                json!({"annotations": {"queue.sidecar.serving.knative.dev/cpu-resource-limit": "x"}}),
            ),
            "invalid value: x: \
             spec.template.metadata.annotations.queue.sidecar.serving.knative.dev/cpu-resource-limit"
                .to_owned(),
        ),
        (
            with(
                json!({"name": "svc", "labels": {"networking.knative.dev/visibility": "secret"}}),
                json!({}),
            ),
            "invalid value: secret: metadata.labels.networking.knative.dev/visibility".to_owned(),
        ),
    ];
    for (object, want) in rows {
        assert_eq!(errors(&object), want);
    }
}

#[test]
fn children_must_be_owned_by_whom_their_label_names() {
    let mut object = service_with(json!({}));
    object["metadata"]["labels"] = json!({"serving.knative.dev/service": "parent"});
    let missing = "missing field(s): metadata.labels.serving.knative.dev/service";
    assert_eq!(
        errors_under(Resource::Configuration, &object, &Configs::default()),
        missing
    );
    object["metadata"]["ownerReferences"] = json!([{"kind": "Service", "name": "parent"}]);
    assert_eq!(
        errors_under(Resource::Configuration, &object, &Configs::default()),
        ""
    );
}

#[test]
fn a_name_that_is_kept_keeps_its_template() {
    let mut old = service_with(json!({}));
    old["spec"]["template"]["metadata"] = json!({"name": "svc-x"});
    let mut new = old.clone();
    assert_eq!(update_errors(Resource::Service, &old, &new), "");
    new["spec"]["template"]["spec"]["containers"][0]["image"] = json!("other");
    assert_eq!(
        update_errors(Resource::Service, &old, &new),
        "Saw the following changes without a name change (-old +new): spec.template.metadata.name\n\
         spec.containers[0].image:\n\t-: \"busybox\"\n\t+: \"other\"\n"
    );
}

#[test]
fn the_spec_of_a_revision_does_not_change() {
    let old = json!({"metadata": {"name": "r"}, "spec": {"containers": [{"image": "a"}]}});
    let mut new = old.clone();
    new["metadata"]["annotations"] = json!({"autoscaling.knative.dev/min-scale": "1"});
    assert_eq!(update_errors(Resource::Revision, &old, &new), "");
    new["spec"]["containers"][0]["image"] = json!("b");
    assert_eq!(
        update_errors(Resource::Revision, &old, &new),
        "Immutable fields changed (-old +new): spec\ncontainers[0].image:\n\t-: \"a\"\n\t+: \"b\"\n"
    );
}

#[test]
fn the_creator_stays_and_the_modifier_follows_the_spec() {
    let marked = |creator: &str, modifier: &str, image: &str| {
        let mut object = service_with(json!({"image": image}));
        object["metadata"]["annotations"] =
            json!({"serving.knative.dev/creator": creator, "serving.knative.dev/lastModifier": modifier});
        object
    };
    let old = marked("a", "a", "x");
    for (new, want) in [
        (marked("a", "b", "y"), ""),
        (
            marked("b", "a", "x"),
            "annotation value is immutable: metadata.annotations.serving.knative.dev/creator",
        ),
        (
            marked("a", "b", "x"),
            "invalid value: b: metadata.annotations.serving.knative.dev/lastModifier",
        ),
    ] {
        assert_eq!(update_errors(Resource::Service, &old, &new), want);
        let mut owned = new.clone();
        owned["metadata"]["ownerReferences"] = json!([{"kind": "Service", "name": "s"}]);
        assert_eq!(update_errors(Resource::Configuration, &old, &owned), "");
    }
}

#[test]
fn a_status_update_is_not_held_to_new_limits() {
    let object = service(json!({"containers": [container(json!({}))], "timeoutSeconds": 9999}));
    let configs = Configs::default();
    let context = Context {
        status_only: true,
        ..Context::updating(&configs, &object)
    };
    assert_eq!(
        validate(Resource::Service, &object, &context)
            .errors()
            .to_string(),
        ""
    );
    assert_ne!(errors(&object), "");
}

#[test]
fn insecure_defaults_are_told_as_warnings() {
    let warnings = |object: &Value| {
        validate(Resource::Service, object, &Context::creating(&Configs::default()))
            .warnings()
            .to_string()
    };
    let at = "spec.template.spec.containers[0].securityContext";
    assert_eq!(
        warnings(&service_with(json!({}))),
        format!(
            "Kubernetes default value is insecure, Knative may default this to secure in a future release: \
             {at}.allowPrivilegeEscalation, {at}.capabilities, {at}.runAsNonRoot, {at}.seccompProfile"
        )
    );
    let safe = json!({
        "allowPrivilegeEscalation": false, "runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"},
        "capabilities": {"drop": ["ALL"]},
    });
    assert_eq!(warnings(&service_with(json!({"securityContext": safe}))), "");
}
