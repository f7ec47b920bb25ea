use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::config::{Configs, SecurePodDefaults, Snapshot as _};
use crate::validation::{tests, validate};

fn create(resource: Resource, object: &Value, configs: &Configs) -> Value {
    let mut object = object.clone();
    apply(
        resource,
        &mut object,
        &Context {
            user: "jane",
            ..Context::creating(configs)
        },
    );
    object
}

fn revision(spec: Value) -> Value {
    create(
        Resource::Revision,
        &json!({"metadata": {"name": "r"}, "spec": spec}),
        &Configs::default(),
    )["spec"]
        .clone()
}

#[test]
fn a_bare_service_is_filled_in_and_valid() {
    let bare = json!({
        "metadata": {"name": "hello", "x-unknown": 1},
        "spec": {"template": {"spec": {"containers": [{"image": "hello", "x-unknown": [1]}]}}},
    });
    let object = create(Resource::Service, &bare, &Configs::default());
    assert_eq!(
        object,
        json!({
            "metadata": {
                "name": "hello", "x-unknown": 1,
                "annotations": {"serving.knative.dev/creator": "jane", "serving.knative.dev/lastModifier": "jane"},
            },
            "spec": {
                "template": {"spec": {
                    "containerConcurrency": 0, "timeoutSeconds": 300, "enableServiceLinks": false,
                    "containers": [{
                        "name": "user-container", "image": "hello", "x-unknown": [1],
                        "readinessProbe": {"tcpSocket": {"port": 0}, "successThreshold": 1},
                    }],
                }},
                "traffic": [{"latestRevision": true, "percent": 100}],
            },
        })
    );
    let mut known = object.clone();
    known["spec"]["template"]["spec"]["containers"][0]
        .as_object_mut()
        .unwrap()
        .remove("x-unknown");
    let configs = Configs::default();
    assert_eq!(
        validate(Resource::Service, &known, &Context::creating(&configs))
            .errors()
            .to_string(),
        ""
    );
}

#[test]
fn containers_get_names_that_are_free() {
    let names = |spec: Value| -> Vec<String> {
        revision(spec)["containers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| text(c, "name").to_owned())
            .collect()
    };
    for (containers, want) in [
        (json!([{}]), vec!["user-container"]),
        (json!([{}, {}]), vec!["user-container-0", "user-container-1"]),
        (
            json!([{"name": "user-container-0"}, {}, {}]),
            vec!["user-container-0", "user-container-1", "user-container-2"],
        ),
    ] {
        assert_eq!(names(json!({"containers": containers})), want);
    }
    let spec = revision(json!({"containers": [{}], "initContainers": [{}, {"name": "user-container"}]}));
    assert_eq!(spec["containers"][0]["name"], "user-container-0");
    assert_eq!(spec["initContainers"][0]["name"], "init-container-0");
}

#[test]
fn probes_follow_their_period() {
    let probe = |probe: Value| {
        revision(json!({"containers": [{"readinessProbe": probe}]}))["containers"][0]["readinessProbe"]
            .clone()
    };
    for (given, want) in [
        (
            json!({}),
            json!({"tcpSocket": {"port": 0}, "successThreshold": 1}),
        ),
        (
            json!({"httpGet": {"path": "/"}, "periodSeconds": 2}),
            json!({"httpGet": {"path": "/"}, "periodSeconds": 2, "successThreshold": 1, "failureThreshold": 3, "timeoutSeconds": 1}),
        ),
        (
            json!({"grpc": {"port": 1}}),
            json!({"grpc": {"port": 1, "service": ""}, "successThreshold": 1}),
        ),
    ] {
        assert_eq!(probe(given), want);
    }
}

#[test]
fn sidecars_get_no_probe() {
    let spec = revision(json!({"containers": [{"ports": [{"containerPort": 1}]}, {}]}));
    assert!(spec["containers"][0].get("readinessProbe").is_some());
    assert!(spec["containers"][1].get("readinessProbe").is_none());
}

#[test]
fn mounts_are_read_only_unless_the_volume_can_be_written() {
    let mounts = json!([{"name": "e"}, {"name": "s"}, {"name": "s", "readOnly": false}]);
    let spec = revision(json!({
        "containers": [{"volumeMounts": mounts}],
        "volumes": [{"name": "e", "emptyDir": {}}, {"name": "s", "secret": {}}],
    }));
    let read_only: Vec<Option<bool>> = spec["containers"][0]["volumeMounts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|mount| mount.get("readOnly").and_then(Value::as_bool))
        .collect();
    assert_eq!(read_only, [None, Some(true), Some(true)]);
}

#[test]
fn shorter_timeouts_are_set_only_when_they_could_fire() {
    let mut configs = Configs::default();
    configs.defaults.revision_response_start_timeout_seconds = 20;
    configs.defaults.revision_idle_timeout_seconds = 10;
    let spec = |timeout: i64| {
        let object = json!({"metadata": {}, "spec": {"containers": [], "timeoutSeconds": timeout}});
        create(Resource::Revision, &object, &configs)["spec"].clone()
    };
    assert_eq!(
        (&spec(0)["timeoutSeconds"], &spec(0)["idleTimeoutSeconds"]),
        (&json!(300), &json!(10))
    );
    assert_eq!(spec(15).get("responseStartTimeoutSeconds"), None);
    assert_eq!(spec(10).get("idleTimeoutSeconds"), None);
}

#[test]
fn resources_come_from_the_configuration() {
    let mut configs = Configs::default();
    let data = [("revision-cpu-request", "400m"), ("revision-memory-limit", "1Gi")];
    let data = data
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    configs.defaults = crate::config::Defaults::parse(&data).unwrap();
    let object = json!({"spec": {"containers": [{"resources": {"requests": {"cpu": "1"}}}, {}]}});
    let spec = &create(Resource::Revision, &object, &configs)["spec"];
    assert_eq!(
        spec["containers"][0]["resources"],
        json!({"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}})
    );
    assert_eq!(
        spec["containers"][1]["resources"],
        json!({"requests": {"cpu": "400m"}, "limits": {"memory": "1Gi"}})
    );
}

#[test]
fn secure_defaults_come_in_two_strengths() {
    let context_of = |level, container: Value| {
        let mut configs = Configs::default();
        configs.features.secure_pod_defaults = level;
        let object = json!({"spec": {"containers": [container]}});
        create(Resource::Revision, &object, &configs)["spec"]["containers"][0]["securityContext"].clone()
    };
    let bounded = json!({
        "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    assert_eq!(
        context_of(SecurePodDefaults::AllowRootBounded, json!({})),
        bounded
    );
    let enabled = context_of(
        SecurePodDefaults::Enabled,
        json!({"ports": [{"containerPort": 80}]}),
    );
    assert_eq!(enabled["runAsNonRoot"], json!(true));
    assert_eq!(
        enabled["capabilities"],
        json!({"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]})
    );
    let own = json!({"securityContext": {"allowPrivilegeEscalation": true}});
    assert_eq!(
        context_of(SecurePodDefaults::Enabled, own)["allowPrivilegeEscalation"],
        json!(true)
    );
    assert_eq!(context_of(SecurePodDefaults::Disabled, json!({})), Value::Null);
}

#[test]
fn traffic_always_says_whether_it_follows_the_latest() {
    let targets = json!([{"percent": 100}, {"revisionName": "r"}, {"tag": "t"}]);
    let object = create(
        Resource::Service,
        &json!({"spec": {"traffic": targets}}),
        &Configs::default(),
    );
    assert_eq!(
        object["spec"]["traffic"],
        json!([
            {"percent": 100, "latestRevision": true},
            {"revisionName": "r", "latestRevision": false, "percent": 0},
            {"tag": "t", "latestRevision": true},
        ])
    );
    let route = create(Resource::Route, &json!({"spec": {}}), &Configs::default());
    assert_eq!(route["spec"].get("traffic"), None);
}

#[test]
fn updates_leave_what_must_not_change() {
    let configs = Configs::default();
    let update = |resource, old: &Value, new: &Value| {
        let mut new = new.clone();
        apply(
            resource,
            &mut new,
            &Context {
                user: "joe",
                ..Context::updating(&configs, old)
            },
        );
        new
    };
    let revision = json!({"spec": {"containers": [{}]}});
    assert_eq!(update(Resource::Revision, &revision, &revision), revision);

    let named = json!({
        "metadata": {"name": "s"},
        "spec": {"template": {"metadata": {"name": "s-1"}, "spec": {"containers": [{"image": "i"}]}}},
    });
    let updated = update(Resource::Service, &named, &named);
    assert_eq!(updated["spec"]["template"], named["spec"]["template"]);

    let old = create(
        Resource::Service,
        &json!({"spec": {"template": {"spec": {"containers": [{}]}}}}),
        &configs,
    );
    assert_eq!(update(Resource::Service, &old, &old), old);
    let mut new = old.clone();
    new["spec"]["template"]["spec"]["timeoutSeconds"] = json!(5);
    let marks = &update(Resource::Service, &old, &new)["metadata"]["annotations"];
    assert_eq!(marks["serving.knative.dev/creator"], "jane");
    assert_eq!(marks["serving.knative.dev/lastModifier"], "joe");
}

#[test]
fn children_of_a_service_get_no_marks_of_their_own() {
    let owned = json!({"metadata": {"ownerReferences": [{"kind": "Service", "name": "s"}]}, "spec": {}});
    for resource in [Resource::Configuration, Resource::Route] {
        let configs = Configs::default();
        assert_eq!(create(resource, &owned, &configs)["metadata"], owned["metadata"]);
        let free = create(resource, &json!({"spec": {}}), &configs);
        assert_eq!(
            free["metadata"]["annotations"]["serving.knative.dev/creator"],
            "jane"
        );
    }
}

#[test]
fn internal_kinds_get_their_defaults() {
    let configs = Configs::default();
    let ingress = json!({"spec": {"rules": [{"http": {"paths": [{"splits": [{}]}, {"splits": [{}, {}]}]}}]}});
    assert_eq!(
        create(Resource::Ingress, &ingress, &configs)["spec"],
        json!({"httpOption": "Enabled", "rules": [{
            "visibility": "ExternalIP",
            "http": {"paths": [{"splits": [{"percent": 100}]}, {"splits": [{}, {}]}]},
        }]})
    );
    let scaler = create(Resource::PodAutoscaler, &json!({"spec": {}}), &configs);
    assert_eq!(
        scaler["metadata"]["annotations"],
        json!({
            "autoscaling.knative.dev/class": "kpa.autoscaling.knative.dev",
            "autoscaling.knative.dev/metric": "concurrency",
        })
    );
    assert_eq!(
        create(Resource::ServerlessService, &json!({"spec": {}}), &configs)["spec"]["mode"],
        "Serve"
    );
    let mapping = json!({"metadata": {"namespace": "ns"}, "spec": {"ref": {"name": "s"}}});
    assert_eq!(
        create(Resource::DomainMapping, &mapping, &configs)["spec"]["ref"]["namespace"],
        "ns"
    );
}

proptest! {
    #[test]
    fn defaulting_is_idempotent(object in tests::arbitrary_object(), spec in tests::arbitrary_object()) {
        let mut configs = Configs::default();
        configs.features.secure_pod_defaults = SecurePodDefaults::Enabled;
        let nested = json!({"metadata": object, "spec": {"template": {"spec": spec}, "containers": [spec], "traffic": [spec]}});
        for resource in tests::ALL {
            for object in [&object, &nested] {
                let once = create(resource, object, &configs);
                prop_assert_eq!(create(resource, &once, &configs), once);
            }
        }
    }
}
