use serde_json::json;

use super::*;

fn told(kind: &str, spec: Value) -> String {
    let object = json!({"kind": kind, "metadata": {"name": "x"}, "spec": spec});
    types(kind, &object).unwrap();
    check::object(kind, &object).errors().to_string()
}

#[test]
fn good_objects_pass() {
    let template = json!({"params": [{"name": "a"}], "resourcetemplates": [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "$(tt.params.a)"}},
    ]});
    let trigger = json!({
        "bindings": [{"ref": "b"}, {"name": "a", "value": "$(body.x)"}], "template": {"ref": "t"},
        "interceptors": [
            {"ref": {"name": "github"}, "params": [{"name": "secretRef", "value": {"secretName": "s", "secretKey": "k"}}]},
            {"webhook": {"objectRef": {"kind": "Service", "name": "s"}}},
        ],
    });
    for (kind, spec) in [
        (
            "EventListener",
            json!({"triggers": [trigger, {"triggerRef": "t"}]}),
        ),
        (
            "EventListener",
            json!({"namespaceSelector": {"matchNames": ["*"]}}),
        ),
        (
            "EventListener",
            json!({"labelSelector": {"matchLabels": {"a": "b"}}}),
        ),
        (
            "EventListener",
            json!({"triggers": [trigger], "resources": {"kubernetesResource": {"replicas": 2, "spec": {"template": {
                "metadata": {"labels": {"a": "b"}},
                "spec": {"nodeSelector": {"a": "b"}, "containers": [{"resources": {"limits": {"cpu": "1"}}}]},
            }}}}}),
        ),
        (
            "EventListener",
            json!({"triggers": [trigger], "resources": {"customResource": {
                "apiVersion": "serving.knative.dev/v1", "kind": "Service", "spec": {"template": {"spec": {}}},
            }}}),
        ),
        ("Trigger", trigger.clone()),
        ("Trigger", json!({"template": {"spec": template}})),
        ("TriggerTemplate", template),
        (
            "TriggerBinding",
            json!({"params": [{"name": "a", "value": "x $(header.Y)"}]}),
        ),
        ("ClusterTriggerBinding", json!({})),
        ("ClusterInterceptor", json!({"clientConfig": {"url": "http://x"}})),
        ("Interceptor", json!({"clientConfig": {"service": {"name": "s"}}})),
    ] {
        assert_eq!(told(kind, spec.clone()), "", "{kind} {spec}");
    }
}

#[test]
fn mistakes_are_told_with_their_place() {
    let objects = json!([{"apiVersion": "v1", "kind": "K"}]);
    for (kind, spec, expected) in [
        ("EventListener", json!({}), "spec.triggers"),
        (
            "EventListener",
            json!({"triggers": [{"triggerRef": "t", "template": {"ref": "x"}}]}),
            "spec.triggers[0].template",
        ),
        (
            "EventListener",
            json!({"triggerGroups": [{}]}),
            "spec.triggerGroups[0].triggerSelector.labelSelector",
        ),
        (
            "EventListener",
            json!({"labelSelector": {"matchLabels": {"a": "b"}}, "resources": {"kubernetesResource": {"spec": {"template": {
                "spec": {"hostNetwork": true, "containers": [{"image": "i"}]},
            }}}}}),
            "spec.resources.kubernetesResource.spec.template.spec.hostNetwork",
        ),
        (
            "EventListener",
            json!({"labelSelector": {"matchLabels": {"a": "b"}}, "resources": {"customResource": {
                "apiVersion": "v1", "kind": "Pod",
            }}}),
            "only a Service of serving.knative.dev/v1",
        ),
        ("Trigger", json!({}), "spec.template.ref"),
        (
            "Trigger",
            json!({"template": {"ref": "t"}, "bindings": [{"name": "a", "value": "$(foo)"}]}),
            "must start with body",
        ),
        (
            "Trigger",
            json!({"template": {"ref": "t"}, "bindings": [{"name": "a", "value": ""}, {"name": "a", "value": ""}]}),
            "spec.bindings[1].name",
        ),
        (
            "Trigger",
            json!({"template": {"ref": "t"}, "bindings": [{"ref": "a", "kind": "Other"}]}),
            "spec.bindings[0].kind",
        ),
        (
            "Trigger",
            json!({"template": {"ref": "t"}, "interceptors": [{}]}),
            "spec.interceptors[0].ref",
        ),
        (
            "Trigger",
            json!({"template": {"ref": "t"}, "interceptors": [
                {"ref": {"name": "cel"}, "params": [{"name": "filter", "value": 1}]},
            ]}),
            "spec.interceptors[0].params",
        ),
        ("TriggerTemplate", json!({}), "spec.resourcetemplates"),
        (
            "TriggerTemplate",
            json!({"resourcetemplates": [{"kind": "K"}]}),
            "spec.resourcetemplates[0].apiVersion",
        ),
        (
            "TriggerTemplate",
            json!({"resourcetemplates": [{"apiVersion": "v1", "kind": "K", "x": "$(tt.params.a)"}]}),
            "declare the param a",
        ),
        (
            "TriggerTemplate",
            json!({"params": [{"name": "a"}, {"name": "a"}], "resourcetemplates": objects}),
            "spec.params[1].name",
        ),
        (
            "TriggerBinding",
            json!({"params": [{"value": "x"}]}),
            "spec.params[0].name",
        ),
        ("Interceptor", json!({}), "spec.clientConfig.service"),
    ] {
        let told = told(kind, spec.clone());
        assert!(told.contains(expected), "{kind} {spec}: {told}");
    }
    let long = json!({"metadata": {"name": "x".repeat(61)}, "spec": {"triggers": [{"triggerRef": "t"}]}});
    assert!(
        check::object("EventListener", &long)
            .errors()
            .to_string()
            .contains("metadata.name")
    );
}

#[test]
fn kinds_are_filled_in() {
    let mut listener = json!({"spec": {"triggers": [{
        "bindings": [{"ref": "a"}, {"name": "b", "value": "c"}, {"ref": "d", "kind": "ClusterTriggerBinding"}],
        "interceptors": [{"ref": {"name": "cel"}}, {"webhook": {}}],
    }]}});
    defaults::apply("EventListener", &mut listener);
    let trigger = &listener["spec"]["triggers"][0];
    assert_eq!(trigger["bindings"][0]["kind"], "TriggerBinding");
    assert!(trigger["bindings"][1].get("kind").is_none());
    assert_eq!(trigger["bindings"][2]["kind"], "ClusterTriggerBinding");
    assert_eq!(trigger["interceptors"][0]["ref"]["kind"], "ClusterInterceptor");
    let mut again = listener.clone();
    defaults::apply("EventListener", &mut again);
    assert_eq!(again, listener);
}
