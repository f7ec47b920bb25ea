use serde_json::{Value, json};

use crate::kind::by_kind;

/// Defaults an object by its own `apiVersion` and `kind`, twice: the second run must change nothing.
fn defaulted(mut object: Value) -> Value {
    let kind = by_kind(
        object["apiVersion"].as_str().unwrap(),
        object["kind"].as_str().unwrap(),
    )
    .unwrap();
    kind.default(&mut object);
    let once = object.clone();
    kind.default(&mut object);
    assert_eq!(once, object, "defaulting is idempotent");
    once
}

#[test]
fn a_minimal_deployment_is_completed() {
    let deployment = defaulted(json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "creationTimestamp": null},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "strategy": {},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": "nginx", "ports": [{"containerPort": 80}]}]},
            },
        },
    }));
    assert_eq!(
        deployment["spec"],
        json!({
            "replicas": 1,
            "revisionHistoryLimit": 10,
            "progressDeadlineSeconds": 600,
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"},
            },
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {
                    "restartPolicy": "Always",
                    "dnsPolicy": "ClusterFirst",
                    "terminationGracePeriodSeconds": 30,
                    "schedulerName": "default-scheduler",
                    "securityContext": {},
                    "containers": [{
                        "name": "web",
                        "image": "nginx",
                        "imagePullPolicy": "Always",
                        "resources": {},
                        "terminationMessagePath": "/dev/termination-log",
                        "terminationMessagePolicy": "File",
                        "ports": [{"containerPort": 80, "protocol": "TCP"}],
                    }],
                },
            },
        })
    );
    assert!(deployment["metadata"].get("creationTimestamp").is_none());
}

#[test]
fn pods_request_what_they_limit_and_templates_do_not() {
    let containers = json!([{"name": "a", "resources": {
        "limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"},
    }}]);
    let pod = defaulted(json!({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": containers}}));
    let requests = json!({"cpu": "500m", "memory": "1Gi"});
    assert_eq!(pod["spec"]["containers"][0]["resources"]["requests"], requests);
    assert_eq!(pod["spec"]["enableServiceLinks"], json!(true));

    let template = defaulted(json!({
        "apiVersion": "v1", "kind": "PodTemplate", "template": {"spec": {"containers": containers}},
    }));
    let spec = &template["template"]["spec"];
    assert_eq!(
        spec["containers"][0]["resources"]["requests"],
        json!({"cpu": "500m"})
    );
    assert!(spec.get("enableServiceLinks").is_none());
}

#[test]
fn quantities_are_canonical_wherever_they_stand() {
    let pod = defaulted(json!({"apiVersion": "v1", "kind": "Pod", "spec": {
        "containers": [{
            "name": "a", "resources": {"limits": {"cpu": 0.5, "memory": "1024Mi"}},
            "env": [{"name": "M", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory"}}}],
        }],
        "volumes": [{"name": "v", "emptyDir": {"sizeLimit": "2048Ki"}}],
    }}));
    let container = &pod["spec"]["containers"][0];
    assert_eq!(
        container["resources"]["requests"],
        json!({"cpu": "500m", "memory": "1Gi"})
    );
    assert_eq!(
        container["env"][0]["valueFrom"]["resourceFieldRef"]["divisor"],
        "0"
    );
    assert_eq!(pod["spec"]["volumes"][0]["emptyDir"]["sizeLimit"], "2Mi");
    let claim = defaulted(
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "spec": {
            "resources": {"requests": {"storage": "1024Gi"}},
        }}),
    );
    assert_eq!(claim["spec"]["resources"]["requests"]["storage"], "1Ti");
}

#[test]
fn probes_and_volumes_are_completed() {
    let pod = defaulted(json!({"apiVersion": "v1", "kind": "Pod", "spec": {
        "containers": [{"name": "a", "readinessProbe": {"httpGet": {"port": 8080}}}],
        "volumes": [{"name": "scratch"}, {"name": "config", "configMap": {"name": "c"}}],
    }}));
    assert_eq!(
        pod["spec"]["containers"][0]["readinessProbe"],
        json!({
            "httpGet": {"port": 8080, "path": "/", "scheme": "HTTP"},
            "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3,
        })
    );
    assert_eq!(
        pod["spec"]["volumes"],
        json!([
            {"name": "scratch", "emptyDir": {}},
            {"name": "config", "configMap": {"name": "c", "defaultMode": 420}},
        ])
    );
}

#[test]
fn services_get_families_ports_and_policies() {
    let service = defaulted(json!({"apiVersion": "v1", "kind": "Service", "spec": {
        "selector": {"app": "web"}, "ports": [{"port": 80}],
    }}));
    assert_eq!(
        service["spec"],
        json!({
            "selector": {"app": "web"},
            "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
            "type": "ClusterIP",
            "sessionAffinity": "None",
            "internalTrafficPolicy": "Cluster",
            "ipFamilyPolicy": "SingleStack",
            "ipFamilies": ["IPv4"],
        })
    );
    let external = defaulted(json!({"apiVersion": "v1", "kind": "Service", "spec": {
        "type": "ExternalName", "externalName": "example.com",
    }}));
    assert_eq!(
        external["spec"],
        json!({"type": "ExternalName", "externalName": "example.com", "sessionAffinity": "None"})
    );
    let headless = defaulted(json!({"apiVersion": "v1", "kind": "Service", "spec": {"clusterIP": "None"}}));
    assert_eq!(headless["spec"]["ipFamilyPolicy"], "RequireDualStack");
}

#[test]
fn jobs_default_by_what_else_they_say() {
    let template = json!({"metadata": {"labels": {"job": "a"}}, "spec": {"restartPolicy": "Never"}});
    let job = |spec: Value| {
        let mut spec = spec;
        spec["template"] = template.clone();
        defaulted(json!({"apiVersion": "batch/v1", "kind": "Job", "spec": spec}))
    };
    let plain = job(json!({}));
    for (field, value) in [
        ("completions", json!(1)),
        ("parallelism", json!(1)),
        ("backoffLimit", json!(6)),
        ("completionMode", json!("NonIndexed")),
        ("suspend", json!(false)),
        ("podReplacementPolicy", json!("TerminatingOrFailed")),
    ] {
        assert_eq!(plain["spec"][field], value, "{field}");
    }
    assert_eq!(plain["metadata"]["labels"], json!({"job": "a"}));
    assert!(
        job(json!({"parallelism": 2}))["spec"]
            .get("completions")
            .is_none()
    );
    assert_eq!(
        job(json!({"backoffLimitPerIndex": 1}))["spec"]["backoffLimit"],
        json!(i32::MAX)
    );
}

#[test]
fn string_data_moves_into_data() {
    let secret = defaulted(json!({
        "apiVersion": "v1", "kind": "Secret", "data": {"a": "eA=="}, "stringData": {"b": "hello", "a": "y"},
    }));
    assert_eq!(secret["data"], json!({"a": "eQ==", "b": "aGVsbG8="}));
    assert_eq!(secret["type"], "Opaque");
    assert!(secret.get("stringData").is_none());
}

#[test]
fn namespaces_are_labelled_with_their_name() {
    let namespace = defaulted(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "dev"}}));
    assert_eq!(
        namespace["metadata"]["labels"],
        json!({"kubernetes.io/metadata.name": "dev"})
    );
    assert_eq!(namespace["status"]["phase"], "Active");
}

#[test]
fn custom_resource_definitions_get_names_and_stored_versions() {
    let crd = defaulted(json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "spec": {
            "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [
                {"name": "v1", "storage": true, "schema": {"openAPIV3Schema": {"default": null}}},
                {"name": "v2", "storage": false},
            ],
        },
    }));
    assert_eq!(
        crd["spec"]["names"],
        json!({"plural": "widgets", "kind": "Widget", "singular": "widget", "listKind": "WidgetList"})
    );
    assert_eq!(crd["spec"]["conversion"], json!({"strategy": "None"}));
    assert_eq!(crd["status"]["storedVersions"], json!(["v1"]));
    assert_eq!(
        crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"],
        json!({"default": null})
    );
}

#[test]
fn bindings_and_webhooks_get_their_groups_and_policies() {
    let binding = defaulted(json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "roleRef": {"kind": "Role", "name": "r"},
        "subjects": [{"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "name": "s", "namespace": "n"}],
    }));
    assert_eq!(binding["roleRef"]["apiGroup"], "rbac.authorization.k8s.io");
    assert_eq!(binding["subjects"][0]["apiGroup"], "rbac.authorization.k8s.io");
    assert!(binding["subjects"][1].get("apiGroup").is_none());

    let hooks = defaulted(json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "webhooks": [{"clientConfig": {"service": {}}, "rules": [{}]}],
    }));
    assert_eq!(
        hooks["webhooks"][0],
        json!({
            "clientConfig": {"service": {"port": 443}},
            "rules": [{"scope": "*"}],
            "failurePolicy": "Fail", "matchPolicy": "Equivalent", "reinvocationPolicy": "Never",
            "namespaceSelector": {}, "objectSelector": {}, "timeoutSeconds": 10,
        })
    );
}

#[test]
fn autoscalers_default_metrics_and_behavior() {
    let hpa = defaulted(json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "spec": {"maxReplicas": 3, "behavior": {"scaleDown": {"selectPolicy": "Disabled"}}},
    }));
    assert_eq!(hpa["spec"]["minReplicas"], 1);
    assert_eq!(
        hpa["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"],
        80
    );
    assert_eq!(
        hpa["spec"]["behavior"]["scaleUp"]["policies"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    assert_eq!(hpa["spec"]["behavior"]["scaleDown"]["selectPolicy"], "Disabled");
}
