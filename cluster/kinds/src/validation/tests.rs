use serde_json::{Value, json};

use crate::kind::by_kind;

/// Defaults and checks a new object, as the write path does.
fn create(mut object: Value) -> Vec<String> {
    let kind = by_kind(
        object["apiVersion"].as_str().unwrap(),
        object["kind"].as_str().unwrap(),
    )
    .unwrap();
    if object.pointer("/metadata/name").is_none() {
        object["metadata"]["name"] = json!("x");
    }
    kind.default(&mut object);
    kind.validate_create(&object)
        .iter()
        .map(ToString::to_string)
        .collect()
}

fn update(mut old: Value, change: impl FnOnce(&mut Value)) -> Vec<String> {
    let kind = by_kind(old["apiVersion"].as_str().unwrap(), old["kind"].as_str().unwrap()).unwrap();
    if old.pointer("/metadata/name").is_none() {
        old["metadata"]["name"] = json!("x");
    }
    kind.default(&mut old);
    let mut new = old.clone();
    change(&mut new);
    kind.default(&mut new);
    kind.validate_update(&new, &old, "")
        .iter()
        .map(ToString::to_string)
        .collect()
}

fn pod(spec: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "spec": spec})
}

fn deployment(change: impl FnOnce(&mut Value)) -> Value {
    let mut object = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": "nginx"}]},
            },
        },
    });
    change(&mut object);
    object
}

#[test]
fn sound_objects_have_no_errors() {
    for object in [
        pod(json!({
            "initContainers": [{"name": "setup", "image": "i"}],
            "containers": [{
                "name": "a", "image": "i:1",
                "ports": [{"name": "http", "containerPort": 80}],
                "env": [{"name": "A", "value": "b"}, {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
                "envFrom": [{"configMapRef": {"name": "c"}}],
                "volumeMounts": [{"name": "v", "mountPath": "/v"}],
                "readinessProbe": {"httpGet": {"port": "http"}},
                "lifecycle": {"preStop": {"exec": {"command": ["true"]}}},
                "resources": {"requests": {"cpu": "100m"}, "limits": {"cpu": 1, "example.com/gpu": "1"}},
            }],
            "volumes": [{"name": "v"}],
            "tolerations": [{"operator": "Exists"}],
        })),
        deployment(|_| {}),
        json!({"apiVersion": "v1", "kind": "Service", "spec": {"ports": [{"port": 80}], "selector": {"a": "b"}}}),
        json!({"apiVersion": "v1", "kind": "Service", "spec": {"clusterIP": "None"}}),
        json!({"apiVersion": "v1", "kind": "Service", "spec": {"type": "ExternalName", "externalName": "example.com"}}),
        json!({"apiVersion": "v1", "kind": "Namespace"}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a.txt": "x"}}),
        json!({"apiVersion": "v1", "kind": "Secret", "stringData": {"a": "x"}}),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": "system:node"},
            "rules": [{"verbs": ["get"], "nonResourceURLs": ["/healthz"]},
                {"verbs": ["*"], "apiGroups": [""], "resources": ["pods"]}],
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "roleRef": {"kind": "ClusterRole", "name": "edit"},
            "subjects": [{"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "name": "s", "namespace": "n"}],
        }),
        json!({
            "apiVersion": "batch/v1", "kind": "CronJob",
            "spec": {"schedule": "*/5 * * * *", "jobTemplate": {"spec": {"template": {"spec": {
                "restartPolicy": "Never", "containers": [{"name": "a", "image": "i"}],
            }}}}},
        }),
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "spec": {"rules": [{"host": "*.example.com", "http": {"paths": [{
                "path": "/", "pathType": "Prefix", "backend": {"service": {"name": "s", "port": {"number": 80}}},
            }]}}]},
        }),
        json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "spec": {"maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "d"}},
        }),
        json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        }),
        json!({
            "apiVersion": "v1", "kind": "PersistentVolume",
            "spec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/d"}},
        }),
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.0.0.1"]}], "ports": [{"port": 80}],
        }),
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
            "webhooks": [{
                "name": "a.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"],
                "clientConfig": {"service": {"name": "s", "namespace": "n"}},
                "rules": [{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"]}],
            }],
        }),
        json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "widgets.example.com"},
            "spec": {
                "group": "example.com", "scope": "Namespaced",
                "names": {"plural": "widgets", "kind": "Widget"},
                "versions": [{
                    "name": "v1", "served": true, "storage": true,
                    "schema": {"openAPIV3Schema": {"type": "object"}},
                }],
            },
        }),
    ] {
        assert_eq!(create(object.clone()), Vec::<String>::new(), "{object}");
    }
}

#[test]
fn metadata_follows_the_grammars_of_upstream() {
    let map =
        |metadata: Value| create(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}));
    assert_eq!(
        map(json!({"name": "Upper"})),
        [
            "metadata.name: Invalid value: \"Upper\": a lowercase RFC 1123 subdomain must consist of lower case \
          alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. \
          'example.com', regex used for validation is \
          '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
        ]
    );
    assert_eq!(
        map(json!({"name": ""})),
        ["metadata.name: Required value: name or generateName is required"]
    );
    let errors = map(json!({"name": "a", "labels": {"a b": "ok", "ok": "a b"}}));
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(
        errors[0].starts_with("metadata.labels: Invalid value: \"a b\": name part must consist of"),
        "{errors:?}"
    );
    assert_eq!(
        map(json!({"name": "a", "annotations": {"a": "x".repeat(262_144)}})),
        ["metadata.annotations: Too long: may not be more than 262144 bytes"]
    );
    let errors = create(
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "1a"}, "spec": {"clusterIP": "None"}}),
    );
    assert!(
        errors[0].contains("a DNS-1035 label must consist of"),
        "{errors:?}"
    );
}

#[test]
fn containers_are_checked_in_the_words_of_upstream() {
    for (spec, errors) in [
        (json!({}), vec!["spec.containers: Required value"]),
        (
            json!({"containers": [{}]}),
            vec![
                "spec.containers[0].name: Required value",
                "spec.containers[0].image: Required value",
            ],
        ),
        (
            json!({"containers": [{"name": "a", "image": "i"}], "initContainers": [{"name": "a", "image": "i"}]}),
            vec!["spec.initContainers[0].name: Duplicate value: \"a\""],
        ),
        (
            json!({"containers": [{"name": "a", "image": "i", "ports": [{}, {"containerPort": 70000}]}]}),
            vec![
                "spec.containers[0].ports[0].containerPort: Required value",
                "spec.containers[0].ports[1].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
            ],
        ),
        (
            json!({"containers": [{"name": "a", "image": "i", "imagePullPolicy": "Sometimes"}]}),
            vec![
                "spec.containers[0].imagePullPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \
                 \"IfNotPresent\", \"Never\"",
            ],
        ),
        (
            json!({"containers": [{"name": "a", "image": "i", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}]}),
            vec!["spec.containers[0].volumeMounts[0].name: Not found: \"v\""],
        ),
        (
            json!({"containers": [{"name": "a", "image": "i", "resources": {
                "requests": {"cpu": "2", "memory": "-1"}, "limits": {"cpu": "1"},
            }}]}),
            vec![
                "spec.containers[0].resources.requests[memory]: Invalid value: \"-1\": must be greater than or equal to 0",
                "spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1",
            ],
        ),
        (
            json!({"containers": [{"name": "a", "image": "i", "livenessProbe": {"successThreshold": 2}}]}),
            vec![
                "spec.containers[0].livenessProbe: Required value: must specify a handler type",
                "spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1",
            ],
        ),
        (
            json!({"containers": [{"name": "a", "image": "i", "env": [
                {"name": ""}, {"name": "A", "value": "x", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "spec.colour"}}},
            ]}]}),
            vec![
                "spec.containers[0].env[0].name: Required value",
                "spec.containers[0].env[1].valueFrom: Invalid value: \"\": may not be specified when `value` is not empty",
                "spec.containers[0].env[2].valueFrom.fieldRef.fieldPath: Invalid value: \"spec.colour\": error \
                 converting fieldPath: field label not supported: spec.colour",
            ],
        ),
        (
            json!({
                "containers": [{"name": "a", "image": "i"}], "restartPolicy": "Perhaps",
                "volumes": [{"name": "v", "emptyDir": {}, "secret": {"secretName": "s"}}, {"name": "v"}],
            }),
            vec![
                "spec.volumes[0].secret: Forbidden: may not specify more than 1 volume type",
                "spec.volumes[1].name: Duplicate value: \"v\"",
                "spec.restartPolicy: Unsupported value: \"Perhaps\": supported values: \"Always\", \"OnFailure\", \
                 \"Never\"",
            ],
        ),
    ] {
        assert_eq!(create(pod(spec.clone())), errors, "{spec}");
    }
}

#[test]
fn workloads_select_their_own_pods() {
    assert_eq!(
        create(deployment(
            |object| object["spec"]["template"]["metadata"] = json!({"labels": {"app": "other"}})
        )),
        [
            "spec.template.metadata.labels: Invalid value: {\"app\":\"other\"}: `selector` does not match template \
          `labels`"
        ]
    );
    assert_eq!(
        create(deployment(|object| {
            object["spec"].as_object_mut().unwrap().remove("selector");
        })),
        ["spec.selector: Required value"]
    );
    assert_eq!(
        create(deployment(|object| object["spec"]["selector"] = json!({}))),
        ["spec.selector: Invalid value: {}: empty selector is invalid for deployment"]
    );
    assert_eq!(
        create(deployment(
            |object| object["spec"]["template"]["spec"]["restartPolicy"] = json!("Never")
        )),
        ["spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\""]
    );
    assert_eq!(
        create(deployment(|object| object["spec"]["replicas"] = json!(-1))),
        ["spec.replicas: Invalid value: -1: must be greater than or equal to 0"]
    );
    assert_eq!(
        create(deployment(|object| {
            object["spec"]["strategy"] = json!({"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}});
        })),
        ["spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0"]
    );
    assert_eq!(
        create(deployment(
            |object| object["spec"]["strategy"] = json!({"type": "Recreate", "rollingUpdate": {}})
        )),
        ["spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"]
    );
}

fn stateful_set(change: impl FnOnce(&mut Value)) -> Value {
    let mut set = deployment(|_| {});
    set["kind"] = json!("StatefulSet");
    change(&mut set["spec"]);
    set
}

#[test]
fn stateful_sets_have_claims_and_ordinals() {
    let mounts = |spec: &mut Value| {
        spec["volumeClaimTemplates"] = json!([{"metadata": {"name": "data"}, "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
        }}]);
        spec["template"]["spec"]["containers"][0]["volumeMounts"] =
            json!([{"name": "data", "mountPath": "/data"}]);
    };
    assert_eq!(create(stateful_set(mounts)), Vec::<String>::new());
    let strategy = |kind: &str, rolling: Value| json!({"type": kind, "rollingUpdate": rolling});
    for (field, value, error) in [
        (
            "ordinals",
            json!({"start": -1}),
            "spec.ordinals.start: Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            "persistentVolumeClaimRetentionPolicy",
            json!({"whenScaled": "Keep"}),
            "spec.persistentVolumeClaimRetentionPolicy.whenScaled: Unsupported value: \"Keep\": supported values: \
             \"Retain\", \"Delete\"",
        ),
        (
            "updateStrategy",
            strategy("RollingUpdate", json!({"partition": -1})),
            "spec.updateStrategy.rollingUpdate.partition: Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            "updateStrategy",
            strategy("RollingUpdate", json!({"maxUnavailable": 0})),
            "spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: 0: cannot be 0",
        ),
        (
            "updateStrategy",
            strategy("RollingUpdate", json!({"maxUnavailable": "101%"})),
            "spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: \"101%\": must not be greater than 100%",
        ),
        (
            "updateStrategy",
            strategy("OnDelete", json!({"partition": 1})),
            "spec.updateStrategy.rollingUpdate: Invalid value: {\"partition\":1}: only allowed for updateStrategy \
             'RollingUpdate'",
        ),
    ] {
        assert_eq!(
            create(stateful_set(|spec| spec[field] = value.clone())),
            [error],
            "{field} {value}"
        );
    }
}

#[test]
fn jobs_must_be_able_to_end() {
    let job = |policy: &str| {
        json!({"apiVersion": "batch/v1", "kind": "Job", "spec": {"template": {"spec": {
            "restartPolicy": policy, "containers": [{"name": "a", "image": "i"}],
        }}}})
    };
    assert_eq!(
        create(job("Always")),
        ["spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\""]
    );
    let errors = update(job("Never"), |job| {
        job["spec"]["template"]["spec"]["containers"][0]["image"] = json!("j")
    });
    assert_eq!(errors.len(), 1);
    assert!(
        errors[0].starts_with("spec.template: Invalid value: ")
            && errors[0].ends_with(": field is immutable")
    );
    assert_eq!(
        update(job("Never"), |job| job["spec"]["parallelism"] = json!(3)),
        Vec::<String>::new()
    );
}

#[test]
fn services_need_ports_with_names_and_numbers() {
    let service = |spec: Value| create(json!({"apiVersion": "v1", "kind": "Service", "spec": spec}));
    assert_eq!(service(json!({})), ["spec.ports: Required value"]);
    assert_eq!(
        service(json!({"ports": [{"port": 80}, {"port": 81, "name": "b"}]})),
        ["spec.ports[0].name: Required value"]
    );
    assert_eq!(
        service(json!({"ports": [{"port": 0}]})),
        [
            "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
            "spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive",
        ]
    );
    assert_eq!(
        service(json!({"type": "Tunnel", "ports": [{"port": 80}]})),
        [
            "spec.type: Unsupported value: \"Tunnel\": supported values: \"ClusterIP\", \"ExternalName\", \
          \"LoadBalancer\", \"NodePort\""
        ]
    );
}

#[test]
fn what_is_given_for_life_cannot_be_changed() {
    let selector = deployment(|_| {});
    assert_eq!(
        update(selector, |object| {
            object["spec"]["selector"] = json!({"matchLabels": {"app": "b"}});
            object["spec"]["template"]["metadata"]["labels"] = json!({"app": "b"});
        }),
        ["spec.selector: Invalid value: {\"matchLabels\":{\"app\":\"b\"}}: field is immutable"]
    );
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "spec": {"clusterIP": "10.96.0.1", "ports": [{"port": 80}]},
    });
    assert_eq!(
        update(service, |object| object["spec"]["clusterIP"] = json!("10.96.0.2")),
        ["spec.clusterIPs[0]: Invalid value: [\"10.96.0.2\"]: may not change once set"]
    );
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "immutable": true, "data": {"a": "eA=="}});
    assert_eq!(
        update(secret.clone(), |object| object["data"] = json!({"a": "eQ=="})),
        ["data: Forbidden: field is immutable when `immutable` is set"]
    );
    assert_eq!(
        update(secret.clone(), |object| object["type"] = json!("other")),
        ["type: Invalid value: \"other\": field is immutable"]
    );
    assert_eq!(
        update(secret, |object| object["metadata"]["labels"] = json!({"a": "b"})),
        Vec::<String>::new()
    );
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    });
    assert_eq!(
        update(claim.clone(), |object| object["spec"]["volumeName"] = json!("pv")),
        Vec::<String>::new()
    );
    assert_eq!(
        update(claim, |object| object["spec"]["accessModes"] =
            json!(["ReadWriteMany"]))
        .len(),
        1
    );
}

#[test]
fn pods_may_change_images_and_little_else() {
    let old =
        pod(json!({"containers": [{"name": "a", "image": "i:1"}], "tolerations": [{"operator": "Exists"}]}));
    let change = |change: fn(&mut Value)| update(old.clone(), |pod| change(&mut pod["spec"]));
    assert_eq!(
        change(|spec| spec["containers"][0]["image"] = json!("i:2")),
        Vec::<String>::new()
    );
    assert_eq!(
        change(|spec| spec["activeDeadlineSeconds"] = json!(5)),
        Vec::<String>::new()
    );
    let errors = change(|spec| spec["containers"][0]["command"] = json!(["x"]));
    assert_eq!(errors.len(), 1);
    assert!(
        errors[0].starts_with("spec: Forbidden: pod updates may not change fields other than"),
        "{errors:?}"
    );
    assert_eq!(
        change(|spec| spec["containers"]
            .as_array_mut()
            .unwrap()
            .push(json!({"name": "b", "image": "i"}))),
        ["spec.containers: Forbidden: pod updates may not add or remove containers"]
    );
    // Binding, eviction and status have rules of their own.
    let kind = by_kind("v1", "Pod").unwrap();
    let new = json!({"metadata": {"name": "x"}, "spec": {"nodeName": "n"}});
    assert!(
        kind.validate_update(&new, &json!({"metadata": {"name": "x"}, "spec": {}}), "binding")
            .is_empty()
    );
}

#[test]
fn objects_on_their_way_out_can_lose_their_finalizers() {
    let broken = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"finalizers": ["example.com/a"], "deletionTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"type": "Tunnel"},
    });
    assert_eq!(
        update(broken, |object| {
            object["metadata"].as_object_mut().unwrap().remove("finalizers");
        }),
        Vec::<String>::new()
    );
}

#[test]
fn smaller_kinds_keep_their_rules() {
    for (object, errors) in [
        (
            json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a/b": ""}}),
            vec![
                "data[a/b]: Invalid value: \"a/b\": a valid config key must consist of alphanumeric characters, '-', \
                 '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is \
                 '[-._a-zA-Z0-9]+')",
            ],
        ),
        (
            json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "data": {"tls.crt": ""}}),
            vec!["data[tls.key]: Required value"],
        ),
        (
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "rules": [{"apiGroups": [""]}]}),
            vec![
                "rules[0].verbs: Required value: verbs must contain at least one value",
                "rules[0].resources: Required value: resource rules must supply at least one resource",
            ],
        ),
        (
            json!({
                "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
                "spec": {"minReplicas": 5, "maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment"}},
            }),
            vec![
                "spec.scaleTargetRef.name: Required value",
                "spec.maxReplicas: Invalid value: 3: must be greater than or equal to `minReplicas`",
            ],
        ),
        (
            json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "spec": {}}),
            vec![
                "spec.accessModes: Required value: at least 1 access mode is required",
                "spec.resources[storage]: Required value",
            ],
        ),
        (
            json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "spec": {"rules": [{"http": {"paths": [
                {"path": "a", "backend": {"service": {"name": "s"}}},
            ]}}]}}),
            vec![
                "spec.rules[0].http.paths[0].pathType: Required value: pathType must be specified",
                "spec.rules[0].http.paths[0].path: Invalid value: \"a\": must be an absolute path",
                "spec.rules[0].http.paths[0].backend.service.port: Required value: port name or number is required",
            ],
        ),
        (
            json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                "endpoints": [{"addresses": ["fd00::1"]}]}),
            vec!["endpoints[0].addresses[0]: Invalid value: \"fd00::1\": must be an IPv4 address"],
        ),
        (
            json!({
                "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                "metadata": {"name": "widgets.example.com"},
                "spec": {
                    "group": "example.com", "scope": "World",
                    "names": {"plural": "gadgets", "kind": "Gadget"},
                    "versions": [{"name": "v1", "served": true}],
                },
            }),
            vec![
                "metadata.name: Invalid value: \"widgets.example.com\": must be spec.names.plural+\".\"+spec.group",
                "spec.scope: Unsupported value: \"World\": supported values: \"Cluster\", \"Namespaced\"",
                "spec.versions[0].schema.openAPIV3Schema: Required value: schemas are required",
                "spec.versions: Invalid value: [{\"name\":\"v1\",\"served\":true}]: must have exactly one version \
                 marked as storage version",
            ],
        ),
        (
            json!({"apiVersion": "v1", "kind": "Event", "metadata": {"namespace": "a"},
                "involvedObject": {"namespace": "b"}}),
            vec!["involvedObject.namespace: Invalid value: \"b\": does not match event.namespace"],
        ),
        (
            json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": {"leaseDurationSeconds": 0}}),
            vec!["spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"],
        ),
        (
            json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "value": 2_000_000_000}),
            vec!["value: Forbidden: maximum allowed value of a user defined priority is 1000000000"],
        ),
    ] {
        assert_eq!(create(object.clone()), errors, "{object}");
    }
}
