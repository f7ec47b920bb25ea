//! Is an object of triggers what it may be?

use std::collections::BTreeSet;

use crds::triggers::{LONGEST_LISTENER, TriggerTemplateSpec};
use crds::validation::{FieldError, FieldErrors};
use serde::Deserialize as _;
use serde_json::Value;

use crate::bindings::Expression;
use crate::interceptors::Core;
use crate::templates;

/// What the one container of a listener may say.
const CONTAINER: [&str; 4] = ["name", "resources", "env", "securityContext"];
/// What the pods of a listener may say.
const POD: [&str; 9] = [
    "serviceAccountName",
    "nodeSelector",
    "tolerations",
    "affinity",
    "topologySpreadConstraints",
    "imagePullSecrets",
    "containers",
    "securityContext",
    "priorityClassName",
];

pub(super) fn object(kind: &str, object: &Value) -> FieldErrors {
    let spec = field(object, "spec");
    let errors = match kind {
        "EventListener" => {
            let errors = listener(spec);
            let name = text(field(object, "metadata"), "name");
            if name.len() > LONGEST_LISTENER {
                let error = FieldError::invalid(name, "name").with_details(format!(
                    "a listener's name has at most {LONGEST_LISTENER} characters"
                ));
                let mut all = FieldErrors::from(error).via_field("metadata");
                all.also(errors.via_field("spec"));
                return all;
            }
            errors
        }
        "Trigger" => trigger(spec),
        "TriggerBinding" | "ClusterTriggerBinding" => binding_params(spec),
        "TriggerTemplate" => template_spec(spec),
        "ClusterInterceptor" | "Interceptor" => client_config(spec),
        _ => FieldErrors::default(),
    };
    errors.via_field("spec")
}

fn listener(spec: &Value) -> FieldErrors {
    let mut errors = FieldErrors::default();
    let selectors = spec
        .pointer("/namespaceSelector/matchNames")
        .is_some_and(not_empty)
        || spec.get("labelSelector").is_some_and(not_empty);
    if list(spec, "triggers").is_empty() && list(spec, "triggerGroups").is_empty() && !selectors {
        errors.also(FieldError::missing_one_of(&[
            "labelSelector",
            "namespaceSelector",
            "triggerGroups",
            "triggers",
        ]));
    }
    for (index, one) in list(spec, "triggers").iter().enumerate() {
        let mut of_one = FieldErrors::default();
        if text(one, "triggerRef").is_empty() {
            of_one.also(trigger(one));
        } else {
            for other in ["template", "bindings", "interceptors"] {
                if one.get(other).is_some_and(not_empty) {
                    of_one.also(FieldError::multiple_one_of(&["triggerRef", other]));
                }
            }
        }
        errors.also(of_one.via_field_index("triggers", index));
    }
    for (index, group) in list(spec, "triggerGroups").iter().enumerate() {
        let mut of_one = interceptors(group);
        let selector = field(group, "triggerSelector");
        if !selector
            .pointer("/namespaceSelector/matchNames")
            .is_some_and(not_empty)
            && !selector.get("labelSelector").is_some_and(not_empty)
        {
            of_one.also(
                FieldErrors::from(FieldError::missing_one_of(&[
                    "labelSelector",
                    "namespaceSelector",
                ]))
                .via_field("triggerSelector"),
            );
        }
        errors.also(of_one.via_field_index("triggerGroups", index));
    }
    errors.also(resources(field(spec, "resources")).via_field("resources"));
    errors
}

fn resources(resources: &Value) -> FieldErrors {
    let mut errors = FieldErrors::default();
    let kubernetes = resources
        .get("kubernetesResource")
        .filter(|value| not_empty(value));
    let custom = resources.get("customResource").filter(|value| not_empty(value));
    if kubernetes.is_some() && custom.is_some() {
        errors.also(FieldError::multiple_one_of(&[
            "customResource",
            "kubernetesResource",
        ]));
    }
    if let Some(kubernetes) = kubernetes {
        let pod = kubernetes.pointer("/spec/template/spec").unwrap_or(&Value::Null);
        errors.also(
            pod_spec(pod)
                .via_field("spec")
                .via_field("template")
                .via_field("spec")
                .via_field("kubernetesResource"),
        );
        let replicas = kubernetes.get("replicas").and_then(Value::as_i64).unwrap_or(1);
        if replicas < 0 {
            errors.also(
                FieldErrors::from(FieldError::invalid(replicas, "replicas")).via_field("kubernetesResource"),
            );
        }
    }
    if let Some(custom) = custom {
        let (version, kind) = (text(custom, "apiVersion"), text(custom, "kind"));
        if (version, kind) != ("serving.knative.dev/v1", "Service") {
            let error = FieldError::invalid(format_args!("{version} {kind}"), "kind")
                .with_details("only a Service of serving.knative.dev/v1 can run a listener here");
            errors.also(FieldErrors::from(error).via_field("customResource"));
        }
        let pod = custom.pointer("/spec/template/spec").unwrap_or(&Value::Null);
        errors.also(
            pod_spec(pod)
                .via_field("spec")
                .via_field("template")
                .via_field("spec")
                .via_field("customResource"),
        );
    }
    errors
}

/// A pod of a listener is ours: somebody may only say where it runs and what it needs.
fn pod_spec(pod: &Value) -> FieldErrors {
    let mut errors = FieldErrors::default();
    for (name, _) in pod.as_object().into_iter().flatten() {
        if !POD.contains(&name.as_str()) {
            errors.also(FieldError::disallowed(name));
        }
    }
    let containers = list(pod, "containers");
    if containers.len() > 1 {
        errors.also(FieldError::multiple_one_of(&["containers"]));
    }
    for (index, container) in containers.iter().enumerate() {
        for (name, _) in container.as_object().into_iter().flatten() {
            if !CONTAINER.contains(&name.as_str()) {
                errors.also(
                    FieldError::disallowed(name)
                        .via_field("containers")
                        .via_index(index),
                );
            }
        }
        for variable in list(container, "env") {
            if ["TLS_CERT", "TLS_KEY"].contains(&text(variable, "name")) {
                let error = FieldError::disallowed("env")
                    .with_details("listeners do not serve TLS themselves here: put an ingress with a certificate before them");
                errors.also(FieldErrors::from(error).via_field_index("containers", index));
            }
        }
    }
    errors
}

fn trigger(spec: &Value) -> FieldErrors {
    let mut errors = FieldErrors::default();
    let template = field(spec, "template");
    let named = !text(template, "ref").is_empty();
    let inline = template.get("spec").is_some_and(Value::is_object);
    match (named, inline) {
        (false, false) => {
            errors.also(FieldErrors::from(FieldError::missing_one_of(&["ref", "spec"])).via_field("template"))
        }
        (true, true) => errors
            .also(FieldErrors::from(FieldError::multiple_one_of(&["ref", "spec"])).via_field("template")),
        (false, true) => errors.also(
            template_spec(field(template, "spec"))
                .via_field("spec")
                .via_field("template"),
        ),
        (true, false) => {}
    }
    let mut names = BTreeSet::new();
    for (index, binding) in list(spec, "bindings").iter().enumerate() {
        errors.also(binding_ref(binding, &mut names).via_field_index("bindings", index));
    }
    errors.also(interceptors(spec));
    errors
}

fn binding_ref<'v>(binding: &'v Value, names: &mut BTreeSet<&'v str>) -> FieldErrors {
    let mut errors = FieldErrors::default();
    let (name, reference) = (text(binding, "name"), text(binding, "ref"));
    let value = binding.get("value").and_then(Value::as_str);
    match (reference.is_empty(), value) {
        (true, None) => errors.also(FieldError::missing_one_of(&["ref", "value"])),
        (false, Some(_)) => errors.also(FieldError::multiple_one_of(&["ref", "value"])),
        (true, Some(value)) => {
            if name.is_empty() {
                errors.also(FieldError::missing("name"));
            } else if !names.insert(name) {
                errors.also(FieldError::multiple_one_of(&["name"]));
            }
            errors.also(expression(value));
        }
        (false, None) => {}
    }
    let kind = text(binding, "kind");
    if !["", "TriggerBinding", "ClusterTriggerBinding"].contains(&kind) {
        errors.also(
            FieldError::invalid(kind, "kind")
                .with_details("it must be TriggerBinding or ClusterTriggerBinding"),
        );
    }
    errors
}

fn expression(value: &str) -> Option<FieldError> {
    let error = Expression::parse(value).err()?;
    Some(FieldError::invalid(value, "value").with_details(error.to_string()))
}

fn binding_params(spec: &Value) -> FieldErrors {
    let mut errors = FieldErrors::default();
    let mut names = BTreeSet::new();
    for (index, param) in list(spec, "params").iter().enumerate() {
        let mut of_one = FieldErrors::default();
        let name = text(param, "name");
        if name.is_empty() {
            of_one.also(FieldError::missing("name"));
        } else if !names.insert(name) {
            of_one.also(FieldError::multiple_one_of(&["name"]));
        }
        of_one.also(expression(text(param, "value")));
        errors.also(of_one.via_field_index("params", index));
    }
    errors
}

fn template_spec(spec: &Value) -> FieldErrors {
    let mut errors = FieldErrors::default();
    let mut names = BTreeSet::new();
    for (index, param) in list(spec, "params").iter().enumerate() {
        let name = text(param, "name");
        if name.is_empty() {
            errors.also(FieldErrors::from(FieldError::missing("name")).via_field_index("params", index));
        } else if !names.insert(name) {
            errors.also(
                FieldErrors::from(FieldError::multiple_one_of(&["name"])).via_field_index("params", index),
            );
        }
    }
    let objects = list(spec, "resourcetemplates");
    if objects.is_empty() {
        errors.also(FieldError::missing("resourcetemplates"));
    }
    for (index, object) in objects.iter().enumerate() {
        for required in ["apiVersion", "kind"] {
            if text(object, required).is_empty() {
                errors.also(
                    FieldErrors::from(FieldError::missing(required))
                        .via_field_index("resourcetemplates", index),
                );
            }
        }
    }
    if let Ok(spec) = TriggerTemplateSpec::deserialize(spec) {
        for name in templates::undeclared(&spec) {
            let shown = format!("$(tt.params.{name})");
            errors.also(
                FieldError::invalid(shown, "resourcetemplates")
                    .with_details(format!("declare the param {name} in params")),
            );
        }
    }
    errors
}

fn interceptors(spec: &Value) -> FieldErrors {
    let mut errors = FieldErrors::default();
    for (index, one) in list(spec, "interceptors").iter().enumerate() {
        errors.also(interceptor(one).via_field_index("interceptors", index));
    }
    errors
}

fn interceptor(one: &Value) -> FieldErrors {
    let mut errors = FieldErrors::default();
    let name = one
        .pointer("/ref/name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let webhook = one.get("webhook").filter(|webhook| webhook.is_object());
    match (name.is_empty(), webhook) {
        (true, None) => errors.also(FieldError::missing_one_of(&["ref", "webhook"])),
        (false, Some(_)) => errors.also(FieldError::multiple_one_of(&["ref", "webhook"])),
        (true, Some(webhook)) => {
            let url = !text(webhook, "url").is_empty();
            let object = webhook.get("objectRef").filter(|object| object.is_object());
            match (url, object) {
                (false, None) => errors.also(
                    FieldErrors::from(FieldError::missing_one_of(&["objectRef", "url"])).via_field("webhook"),
                ),
                (true, Some(_)) => errors.also(
                    FieldErrors::from(FieldError::multiple_one_of(&["objectRef", "url"]))
                        .via_field("webhook"),
                ),
                (false, Some(object)) if !["", "Service"].contains(&text(object, "kind")) => errors.also(
                    FieldErrors::from(FieldError::invalid(text(object, "kind"), "kind"))
                        .via_field("objectRef")
                        .via_field("webhook"),
                ),
                _ => {}
            }
        }
        (false, None) => {
            let kind = one
                .pointer("/ref/kind")
                .and_then(Value::as_str)
                .unwrap_or_default();
            if !["", "ClusterInterceptor", "NamespacedInterceptor"].contains(&kind) {
                errors.also(FieldErrors::from(FieldError::invalid(kind, "kind")).via_field("ref"));
            }
            let params: Vec<_> = list(one, "params")
                .iter()
                .filter_map(|param| crds::triggers::InterceptorParam::deserialize(param).ok())
                .collect();
            if kind != "NamespacedInterceptor"
                && let Some(Err(problem)) = Core::find(name, &params)
            {
                errors.also(FieldError::invalid(name, "params").with_details(problem));
            }
        }
    }
    errors
}

fn client_config(spec: &Value) -> FieldErrors {
    let config = field(spec, "clientConfig");
    let url = !text(config, "url").is_empty();
    let service = config.get("service").filter(|service| service.is_object());
    let mut errors = FieldErrors::default();
    match (url, service) {
        (false, None) => errors.also(FieldError::missing_one_of(&["service", "url"])),
        (true, Some(_)) => errors.also(FieldError::multiple_one_of(&["service", "url"])),
        (false, Some(service)) if text(service, "name").is_empty() => {
            errors.also(FieldErrors::from(FieldError::missing("name")).via_field("service"));
        }
        _ => {}
    }
    errors.via_field("clientConfig")
}

fn field<'v>(holder: &'v Value, name: &str) -> &'v Value {
    holder.get(name).unwrap_or(&Value::Null)
}

fn text<'v>(holder: &'v Value, name: &str) -> &'v str {
    holder.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn list<'v>(holder: &'v Value, name: &str) -> &'v [Value] {
    holder
        .get(name)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

fn not_empty(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => map.values().any(not_empty),
        Value::String(text) => !text.is_empty(),
        _ => true,
    }
}
