//! The other kinds, config maps, and what is no object at all.

use proptest::prelude::*;

use super::*;

#[test]
fn domain_mappings() {
    let with = |name: &str, reference: Value| json!({"metadata": {"name": name, "namespace": "ns"}, "spec": {"ref": reference}});
    let good = || json!({"kind": "Service", "name": "s", "apiVersion": "serving.knative.dev/v1"});
    for (object, want) in [
        (with("a.example.com", good()), ""),
        (
            with("a.cluster.local", good()),
            "invalid name \"a.cluster.local\": must not be a subdomain of cluster local domain \"cluster.local\": \
             metadata.name",
        ),
        (
            with("localhost", good()),
            "invalid name \"localhost\": name: Invalid value: \"localhost\": should be a domain with at least two \
             segments separated by dots: metadata.name",
        ),
        (
            with("a.b", json!({})),
            "missing field(s): spec.ref.apiVersion, spec.ref.kind, spec.ref.name",
        ),
        (
            with("a.b", json!({"kind": "Service", "name": "s", "group": "g"})),
            "",
        ),
        (
            with(
                "a.b",
                json!({"kind": "Service", "name": "s", "group": "g", "namespace": "other"}),
            ),
            "mismatched namespaces: spec.ref.namespace\nparent namespace: \"ns\" does not match ref: \"other\"",
        ),
    ] {
        assert_eq!(
            errors_under(Resource::DomainMapping, &object, &Configs::default()),
            want
        );
    }
    let mut generated = with("a.b", good());
    generated["metadata"]["generateName"] = json!("a-");
    assert_eq!(
        errors_under(Resource::DomainMapping, &generated, &Configs::default()),
        "must not set the field(s): metadata.generateName"
    );
}

#[test]
fn ingresses() {
    let with = |splits: Value| {
        json!({
            "metadata": {"name": "i", "namespace": "ns"},
            "spec": {"rules": [{"hosts": ["a"], "http": {"paths": [{"splits": splits}]}}]},
        })
    };
    let split = |percent: Value| json!({"serviceName": "s", "serviceNamespace": "ns", "servicePort": 80, "percent": percent});
    let at = "spec.rules[0].http.paths[0]";
    for (object, want) in [
        (with(json!([split(json!(null))])), String::new()),
        (with(json!([split(json!(100))])), String::new()),
        (
            with(json!([split(json!(50)), split(json!(40))])),
            format!("traffic split percentage must total to 100, but was 90: {at}.splits"),
        ),
        (with(json!([])), format!("missing field(s): {at}.splits")),
        (
            with(json!([{}])),
            format!(
                "missing field(s): {at}.splits[0].serviceName, {at}.splits[0].serviceNamespace, \
                 {at}.splits[0].servicePort"
            ),
        ),
        (
            json!({"spec": {"rules": []}}),
            "missing field(s): spec.rules".to_owned(),
        ),
        (json!({"spec": {}}), "missing field(s): spec".to_owned()),
        (
            json!({"spec": {"rules": [{}], "tls": [{}]}}),
            "missing field(s): spec.rules[0].http, spec.tls[0].secretName, spec.tls[0].secretNamespace"
                .to_owned(),
        ),
    ] {
        assert_eq!(
            errors_under(Resource::Ingress, &object, &Configs::default()),
            want
        );
    }
}

#[test]
fn internal_kinds() {
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"});
    let meta = json!({"name": "r"});
    for (kind, object, want) in [
        (
            Resource::PodAutoscaler,
            json!({"metadata": meta, "spec": {"scaleTargetRef": target, "protocolType": "http1"}}),
            "",
        ),
        (
            Resource::PodAutoscaler,
            json!({"metadata": meta, "spec": {}}),
            "missing field(s): spec",
        ),
        (
            Resource::PodAutoscaler,
            json!({"metadata": meta, "spec": {"scaleTargetRef": {"kind": "D"}, "protocolType": "grpc"}}),
            "invalid value: grpc: spec.protocolType\n\
             missing field(s): spec.scaleTargetRef.apiVersion, spec.scaleTargetRef.name",
        ),
        (
            Resource::ServerlessService,
            json!({"metadata": meta, "spec": {"mode": "Serve", "objectRef": target, "protocolType": "h2c"}}),
            "",
        ),
        (
            Resource::ServerlessService,
            json!({"metadata": meta, "spec": {"mode": "Bypass", "numActivators": -1, "protocolType": "h2c"}}),
            "invalid value: -1: spec.numActivators\ninvalid value: Bypass: spec.mode\nmissing field(s): spec.objectRef",
        ),
        (
            Resource::Certificate,
            json!({"spec": {"dnsNames": ["a.example.com", "b.org"], "domain": "example.com"}}),
            "invalid value: b.org: spec.dnsNames[1]\nmissing field(s): spec.secretName",
        ),
        (
            Resource::ClusterDomainClaim,
            json!({"spec": {}}),
            "missing field(s): spec.namespace",
        ),
        (Resource::Metric, json!({"metadata": meta, "spec": {}}), ""),
    ] {
        assert_eq!(errors_under(kind, &object, &Configs::default()), want);
    }
}

#[test]
fn config_maps() {
    let map = |data: Value, checksum: &str| {
        json!({
            "metadata": {"name": "config-gc", "annotations": {"knative.dev/example-checksum": checksum}},
            "data": data,
        })
    };
    assert_eq!(
        config_map(&map(json!({"_example": "123456789"}), "cbf43926")),
        Ok(())
    );
    assert_eq!(
        config_map(&map(json!({"_example": "12345678"}), "cbf43926")),
        Err("the update modifies a key in \"_example\" which is probably not what you want. Instead, copy the \
             respective setting to the top-level of the ConfigMap, directly below \"data\""
            .to_owned())
    );
    assert!(config_map(&map(json!({"min-non-active-revisions": "x"}), "")).is_err());
    assert_eq!(
        config_map(&json!({"metadata": {"name": "another"}, "data": {"x": "y"}})),
        Ok(())
    );
}

/// Every kind that admission looks at.
pub(crate) const ALL: [Resource; 11] = [
    Resource::Service,
    Resource::Configuration,
    Resource::Revision,
    Resource::Route,
    Resource::DomainMapping,
    Resource::PodAutoscaler,
    Resource::Metric,
    Resource::Ingress,
    Resource::ServerlessService,
    Resource::Certificate,
    Resource::ClusterDomainClaim,
];

/// JSON that is made of the fields that are looked at, with values of any type.
pub(crate) fn arbitrary_object() -> impl Strategy<Value = Value> {
    let key = proptest::sample::select(vec![
        "metadata",
        "name",
        "generateName",
        "annotations",
        "labels",
        "ownerReferences",
        "spec",
        "template",
        "traffic",
        "tag",
        "percent",
        "revisionName",
        "latestRevision",
        "containers",
        "initContainers",
        "image",
        "ports",
        "containerPort",
        "env",
        "valueFrom",
        "envFrom",
        "volumes",
        "volumeMounts",
        "mountPath",
        "readOnly",
        "securityContext",
        "capabilities",
        "drop",
        "readinessProbe",
        "livenessProbe",
        "tcpSocket",
        "httpGet",
        "grpc",
        "port",
        "periodSeconds",
        "resources",
        "limits",
        "requests",
        "rules",
        "http",
        "paths",
        "splits",
        "ref",
        "projected",
        "sources",
        "items",
        "emptyDir",
        "secret",
        "dnsNames",
        "timeoutSeconds",
        "tls",
        "scaleTargetRef",
        "supplementalGroups",
        "autoscaling.knative.dev/window",
        "autoscaling.knative.dev/min-scale",
        "data",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 60, 5, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((key.clone(), inner), 0..5).prop_map(|fields| {
                Value::Object(
                    fields
                        .into_iter()
                        .map(|(key, value)| (key.to_owned(), value))
                        .collect(),
                )
            }),
        ]
    })
}

proptest! {
    #[test]
    fn validation_never_panics(new in arbitrary_object(), old in arbitrary_object(), spec in arbitrary_object()) {
        let configs = Configs::default();
        let nested = json!({"metadata": new, "spec": {"template": {"spec": spec}, "traffic": [spec], "rules": [spec]}});
        for kind in ALL {
            for object in [&new, &nested] {
                let _ = validate(kind, object, &Context::creating(&configs)).to_string();
                let _ = validate(kind, object, &Context::updating(&configs, &old)).to_string();
                let _ = kind.check_types(object);
            }
        }
        let _ = config_map(&nested);
    }
}
