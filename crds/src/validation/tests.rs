use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::config::{Configs, Flag, SecurePodDefaults};

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

#[test]
fn images_and_ports() {
    let one = || container(json!({}));
    assert_rows(vec![
        (
            service(json!({"containers": [{"name": "c"}]})),
            "missing field(s): spec.template.spec.containers[0].image",
        ),
        (
            service_with(json!({"image": "Busy"})),
            "Failed to parse image reference: spec.template.spec.containers[0].image\n\
             image: \"Busy\", error: could not parse reference: Busy: the repository must be lower case",
        ),
        (
            service(json!({"containers": []})),
            "missing field(s): spec.template.spec.containers",
        ),
        (
            service(json!({"containers": [{}]})),
            "missing field(s): spec.template.spec.containers[0]",
        ),
        (
            service(json!({"containers": [one(), {"name": "b", "image": "b"}]})),
            "missing field(s): spec.template.spec.containers[*].ports",
        ),
        (
            service_with(json!({"ports": [{"containerPort": 1}, {"containerPort": 2}]})),
            "more than one container port is set: spec.template.spec.containers[*].ports\n\
             Only a single port is allowed across all containers",
        ),
        (
            service_with(json!({"ports": [{"containerPort": 8080, "name": "grpc"}]})),
            "Port name grpc is not allowed: spec.template.spec.containers[0].ports\n\
             Name must be empty, or one of: 'h2c', 'http1'",
        ),
        (
            service_with(json!({"ports": [{"containerPort": 8012}]})),
            "invalid value: 8012 is a reserved port: spec.template.spec.containers[0].ports.containerPort\n\
             8012 is a reserved port, please use a different value",
        ),
        (
            service_with(json!({"ports": [{"containerPort": 65536}]})),
            "expected 0 <= 65536 <= 65535: spec.template.spec.containers[0].ports.containerPort",
        ),
        (
            service_with(json!({"ports": [{"containerPort": 80, "protocol": "UDP"}]})),
            "invalid value: UDP: spec.template.spec.containers[0].ports.protocol",
        ),
        (
            service_with(json!({"ports": [{"containerPort": 80, "hostPort": 80}]})),
            "must not set the field(s): spec.template.spec.containers[0].ports.hostPort",
        ),
    ]);
    // Queue-proxy listens on 8112 too, but it has never been refused.
    assert_eq!(
        errors(&service_with(
            json!({"ports": [{"containerPort": 8112, "name": "h2c"}]})
        )),
        ""
    );
}

#[test]
fn fields_and_limits_of_a_template() {
    let with = |more: Value| {
        let mut spec = json!({"containers": [container(json!({}))]});
        spec.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        service(spec)
    };
    assert_rows(vec![
        (
            with(json!({"nodeName": "n"})),
            "must not set the field(s): spec.template.spec.nodeName",
        ),
        (
            with(json!({"affinity": {}})),
            "must not set the field(s): spec.template.spec.affinity",
        ),
        (
            with(json!({"hostname": "h", "automountServiceAccountToken": true})),
            "must not set the field(s): spec.template.spec.automountServiceAccountToken, spec.template.spec.hostname",
        ),
        (with(json!({"automountServiceAccountToken": false})), ""),
        (
            with(json!({"containerConcurrency": 1001})),
            "expected 0 <= 1001 <= 1000: spec.template.spec.containerConcurrency",
        ),
        (
            with(json!({"timeoutSeconds": 601})),
            "expected 0 <= 601 <= 600: spec.template.spec.timeoutSeconds",
        ),
        (
            with(json!({"responseStartTimeoutSeconds": 9999, "idleTimeoutSeconds": -1})),
            "",
        ),
        (
            with(json!({"serviceAccountName": "foo@bar.baz"})),
            "invalid value: foo@bar.baz: spec.template.spec.serviceAccountName\n\
             a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must \
             start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
             '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
        ),
        (
            with(json!({"initContainers": [{"image": "i"}]})),
            "pod spec support for init-containers is off, but found 1 init containers: ",
        ),
        (
            with(json!({"securityContext": {"runAsUser": 1}})),
            "must not set the field(s): spec.template.spec.securityContext",
        ),
    ]);
}

#[test]
fn containers() {
    let at = "spec.template.spec.containers[0]";
    let rows: Vec<(Value, String)> = vec![
        (
            json!({"env": [{"name": "PORT", "value": "1"}]}),
            format!("\"PORT\" is a reserved environment variable: {at}.env[0].name"),
        ),
        (
            json!({"env": [{"name": "A"}, {"name": "K_REVISION"}]}),
            format!("\"K_REVISION\" is a reserved environment variable: {at}.env[1].name"),
        ),
        (
            json!({"env": [{"value": "x"}]}),
            format!("missing field(s): {at}.env[0].name"),
        ),
        (
            json!({"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}]}),
            format!("must not set the field(s): {at}.env[0].valueFrom.fieldRef"),
        ),
        (
            json!({"envFrom": [{"prefix": "x"}]}),
            format!(
                "expected exactly one, got neither: {at}.envFrom[0].configMapRef, {at}.envFrom[0].secretRef"
            ),
        ),
        (
            json!({"envFrom": [{"configMapRef": {"name": "a"}, "secretRef": {"name": "b"}}]}),
            format!(
                "expected exactly one, got both: {at}.envFrom[0].configMapRef, {at}.envFrom[0].secretRef"
            ),
        ),
        (
            json!({"lifecycle": {}, "stdin": true, "tty": false}),
            format!("must not set the field(s): {at}.lifecycle, {at}.stdin"),
        ),
        (
            json!({"name": "queue-proxy"}),
            format!("\"queue-proxy\" is a reserved container name: {at}.name"),
        ),
        (
            json!({"terminationMessagePolicy": "Shout"}),
            format!("invalid value: Shout: {at}.terminationMessagePolicy"),
        ),
        (
            json!({"resources": {"claims": [{"name": "x"}]}}),
            format!("must not set the field(s): {at}.resources.claims"),
        ),
        (
            json!({"resources": {"limits": {"cpu": "lots"}}}),
            format!("invalid value: lots: {at}.resources.limits[cpu]"),
        ),
        (
            json!({"securityContext": {"privileged": true}}),
            format!("must not set the field(s): {at}.securityContext.privileged"),
        ),
        (json!({"securityContext": {"privileged": false}}), String::new()),
        (
            json!({"securityContext": {"runAsUser": -1, "runAsGroup": 4294967296u64}}),
            format!(
                "expected 0 <= -1 <= 2147483647: {at}.securityContext.runAsUser\n\
                 expected 0 <= 4294967296 <= 2147483647: {at}.securityContext.runAsGroup"
            ),
        ),
        (
            json!({"securityContext": {"capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]}}}),
            format!("must not set the field(s): {at}.securityContext.capabilities.add"),
        ),
    ];
    for (more, want) in rows {
        assert_eq!(errors(&service_with(more)), want);
    }
}

#[test]
fn volumes_and_mounts() {
    let with = |volumes: Value, mounts: Value| {
        service(json!({"containers": [container(json!({"volumeMounts": mounts}))], "volumes": volumes}))
    };
    let at = "spec.template.spec";
    let mount = "spec.template.spec.containers[0].volumeMounts[0]";
    let mounted = json!([{"name": "v", "mountPath": "/v", "readOnly": true}]);
    let rows: Vec<(Value, String)> = vec![
        (
            with(
                json!([{"name": "v", "secret": {"secretName": "s"}}]),
                mounted.clone(),
            ),
            String::new(),
        ),
        (
            with(json!([{"name": "v", "secret": {"secretName": "s"}}]), json!([])),
            format!("volume with name \"v\" not mounted: {at}.volumes[0].name"),
        ),
        (
            with(
                json!([{"name": "v", "secret": {"secretName": "s"}}]),
                json!([{"name": "v", "mountPath": "/v"}]),
            ),
            format!("volume mount should be readOnly for this type of volume: {mount}.readOnly"),
        ),
        (
            with(
                json!([{"name": "v", "emptyDir": {}}]),
                json!([{"name": "v", "mountPath": "/v"}]),
            ),
            String::new(),
        ),
        (
            with(json!([{"name": "v", "hostPath": {"path": "/"}}]), mounted.clone()),
            "HostPath volume support is disabled, but found HostPath volume v: ".to_owned(),
        ),
        (
            with(
                json!([{"name": "v", "persistentVolumeClaim": {"claimName": "c", "readOnly": true}}]),
                mounted.clone(),
            ),
            "Persistent volume claim support is disabled, but found persistent volume claim c: ".to_owned(),
        ),
        (
            with(json!([{"name": "v", "nfs": {"server": "s"}}]), mounted.clone()),
            format!(
                "expected exactly one, got neither: {at}.volumes[0].configMap, {at}.volumes[0].emptyDir, \
                 {at}.volumes[0].projected, {at}.volumes[0].secret\n\
                 must not set the field(s): {at}.volumes[0].nfs"
            ),
        ),
        (
            with(
                json!([{"name": "v", "secret": {"secretName": "s"}}, {"name": "v", "configMap": {"name": "c"}}]),
                mounted.clone(),
            ),
            format!("duplicate volume name \"v\": {at}.volumes[1].name"),
        ),
        (
            with(json!([]), mounted.clone()),
            format!("volumeMount has no matching volume: {mount}.name"),
        ),
        (
            with(
                json!([{"name": "v", "configMap": {"name": "c"}}]),
                json!([{"name": "v", "mountPath": "/dev/../dev/log/", "readOnly": true}]),
            ),
            format!("mountPath \"/dev/log\" is a reserved path: {mount}.mountPath"),
        ),
        (
            with(
                json!([{"name": "v", "configMap": {"name": "c"}}]),
                json!([{"name": "v", "mountPath": "v", "readOnly": true}]),
            ),
            format!("invalid value: v: {mount}.mountPath"),
        ),
        (
            with(
                json!([{"name": "v", "configMap": {"name": "c"}}]),
                json!([{"name": "v", "mountPath": "/v", "readOnly": true}, {"name": "v", "mountPath": "/v/", "readOnly": true}]),
            ),
            format!("invalid value: \"/v/\" must be unique: {at}.containers[0].volumeMounts[1].mountPath"),
        ),
        (
            with(json!([{"name": "v", "projected": {"sources": [{}]}}]), mounted),
            format!(
                "expected exactly one, got neither: {at}.volumes[0].projected[0].configMap, \
                 {at}.volumes[0].projected[0].downwardAPI, {at}.volumes[0].projected[0].secret, \
                 {at}.volumes[0].projected[0].serviceAccountToken"
            ),
        ),
    ];
    for (object, want) in rows {
        assert_eq!(errors(&object), want);
    }
}

#[test]
fn probes() {
    let at = "spec.template.spec.containers[0].readinessProbe";
    let probe = |probe: Value| {
        service_with(json!({"readinessProbe": probe, "ports": [{"containerPort": 80, "name": "h2c"}]}))
    };
    let rows: Vec<(Value, String)> = vec![
        (
            probe(json!({"tcpSocket": {"port": 0}, "successThreshold": 1})),
            String::new(),
        ),
        (
            probe(json!({"httpGet": {"port": "h2c"}, "successThreshold": 1})),
            String::new(),
        ),
        (
            probe(json!({"httpGet": {"port": 4242}, "successThreshold": 1})),
            String::new(),
        ),
        (
            probe(json!({"httpGet": {"port": "web"}, "successThreshold": 1})),
            format!("invalid value: web: {at}.httpGet.port\nMay only probe containerPort"),
        ),
        (
            probe(json!({"successThreshold": 1})),
            format!("expected exactly one, got neither: {at}.exec, {at}.grpc, {at}.httpGet, {at}.tcpSocket"),
        ),
        (
            probe(json!({"tcpSocket": {}, "exec": {"command": ["x"]}, "successThreshold": 1})),
            format!("expected exactly one, got both: {at}.exec, {at}.tcpSocket"),
        ),
        (
            probe(json!({"tcpSocket": {}, "successThreshold": 1, "failureThreshold": 3})),
            format!("failureThreshold is disallowed when periodSeconds is zero: {at}.failureThreshold"),
        ),
        (
            probe(json!({"tcpSocket": {}, "successThreshold": 1, "timeoutSeconds": 3})),
            format!("timeoutSeconds is disallowed when periodSeconds is zero: {at}.timeoutSeconds"),
        ),
        (
            probe(json!({"tcpSocket": {}, "periodSeconds": 1, "timeoutSeconds": 1, "failureThreshold": 1})),
            format!("expected 1 <= 0 <= 2147483647: {at}.successThreshold"),
        ),
    ];
    for (object, want) in rows {
        assert_eq!(errors(&object), want);
    }
}

#[test]
fn several_containers_and_init_containers_follow_their_flags() {
    let serving = json!({"name": "a", "image": "a", "ports": [{"containerPort": 80}]});
    let sidecar = |more: Value| {
        let mut sidecar = json!({"name": "b", "image": "b"});
        sidecar
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        sidecar
    };
    let two = |more: Value| service(json!({"containers": [serving.clone(), sidecar(more)]}));
    assert_eq!(errors(&two(json!({"env": [{"name": "PORT", "value": "1"}]}))), "");
    assert_eq!(
        errors(&two(json!({"name": "a"}))),
        "duplicate container name \"a\": spec.template.spec.containers[1].name"
    );
    assert_eq!(
        errors(&two(json!({"livenessProbe": {"tcpSocket": {"port": 1}}}))),
        "must not set the field(s): spec.template.spec.containers[1].livenessProbe.tcpSocket"
    );
    let mut configs = Configs::default();
    configs.features.multi_container_probing = Flag::Enabled;
    let probed = |port: Value| two(json!({"livenessProbe": {"tcpSocket": {"port": port}}}));
    assert_eq!(errors_under(Resource::Service, &probed(json!(9)), &configs), "");
    assert_eq!(
        errors_under(Resource::Service, &probed(json!(0)), &configs),
        "invalid value: 0: spec.template.spec.containers[1].livenessProbe.tcpSocket.port\nProbe port must be specified"
    );
    configs.features.multi_container = Flag::Allowed;
    assert_eq!(
        errors_under(Resource::Service, &two(json!({})), &configs),
        "multi-container is off, but found 2 containers: "
    );

    let mut configs = Configs::default();
    configs.features.pod_spec_init_containers = Flag::Enabled;
    let with_init =
        |init: Value| service(json!({"containers": [container(json!({}))], "initContainers": [init]}));
    let init = json!({"name": "i", "image": "i", "ports": [{"containerPort": 1}, {"containerPort": 2, "name": "x"}]});
    assert_eq!(errors_under(Resource::Service, &with_init(init), &configs), "");
    assert_eq!(
        errors_under(
            Resource::Service,
            &with_init(json!({"image": "i", "livenessProbe": {}})),
            &configs
        ),
        "field not allowed in an init container: spec.template.spec.containers[0].livenessProbe"
    );
}

#[test]
fn flags_unmask_fields_when_allowed() {
    let mut configs = Configs::default();
    let features = &mut configs.features;
    features.pod_spec_affinity = Flag::Allowed;
    features.pod_spec_field_ref = Flag::Allowed;
    features.pod_spec_security_context = Flag::Allowed;
    features.container_spec_add_capabilities = Flag::Enabled;
    features.pod_spec_volumes_mount_propagation = Flag::Enabled;
    let object = service(json!({
        "affinity": {"nodeAffinity": {}},
        "securityContext": {"fsGroup": 1, "supplementalGroups": [1, -1], "sysctls": [{"name": "x"}]},
        "containers": [container(json!({
            "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
            "securityContext": {"capabilities": {"add": ["NET_ADMIN"]}},
            "volumeMounts": [{"name": "v", "mountPath": "/v", "mountPropagation": "Bidirectional"}],
        }))],
        "volumes": [{"name": "v", "emptyDir": {}}],
    }));
    assert_eq!(
        errors_under(Resource::Service, &object, &configs),
        "expected 0 <= -1 <= 2147483647: spec.template.spec.securityContext.supplementalGroups[1]\n\
         invalid value: Bidirectional: spec.template.spec.containers[0].volumeMounts[0].mountPropagation\n\
         must not set the field(s): spec.template.spec.securityContext.sysctls"
    );
}

#[test]
fn secure_defaults_free_one_capability_and_the_seccomp_profile() {
    let mut configs = Configs::default();
    configs.features.secure_pod_defaults = SecurePodDefaults::Enabled;
    let object = service(json!({
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container(json!({"securityContext": {"capabilities": {"add": ["NET_BIND_SERVICE"]}}}))],
    }));
    assert_eq!(errors_under(Resource::Service, &object, &configs), "");
}

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
