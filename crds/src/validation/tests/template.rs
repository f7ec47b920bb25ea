//! What the template of a Service may say: containers, volumes, probes.

use super::*;

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
