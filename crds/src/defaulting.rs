//! What an object gets where it says nothing.
//!
//! Works on the JSON as it came, so that what the types do not know survives, and adds no more than what is missing:
//! applied twice it changes nothing the second time.

use serde_json::{Map, Value, json};

use crate::annotations;
use crate::resource::{Context, Resource, field, get, is_unset, list, metadata, text};
use crate::validation::{diff, is_owned};

pub mod events;
mod revision;
pub mod spindrift;
pub mod tekton;

/// Fills in the defaults of an object.
pub fn apply(resource: Resource, object: &mut Value, context: &Context<'_>) {
    // An update of the status keeps the rest as it is stored, whatever is sent.
    if !object.is_object() || context.status_only {
        return;
    }
    match resource {
        Resource::Service => {
            template(object, context);
            traffic(object, true);
            user_info(object, context);
        }
        Resource::Configuration => {
            template(object, context);
            if !is_owned(object) {
                user_info(object, context);
            }
        }
        Resource::Revision => {
            // The spec of a revision never changes, so new defaults must not change it either.
            if context.old.is_none() {
                let parent = metadata(object).clone();
                if let Some(spec) = object_at(object, "spec") {
                    revision::spec(spec, &parent, context);
                }
            }
        }
        Resource::Route => {
            traffic(object, false);
            if !is_owned(object) {
                user_info(object, context);
            }
        }
        Resource::DomainMapping => {
            domain_mapping(object);
            user_info(object, context);
        }
        Resource::PodAutoscaler => pod_autoscaler(object, context),
        Resource::Ingress => ingress(object),
        Resource::ServerlessService => set_text(object_at(object, "spec"), "mode", "Serve"),
        Resource::Metric | Resource::Certificate | Resource::ClusterDomainClaim => {}
    }
}

/// May the volume be written to where it is mounted?
pub(crate) fn is_writable(volume: &Value) -> bool {
    ["emptyDir", "persistentVolumeClaim", "ephemeral"]
        .iter()
        .any(|source| get(volume, source).is_some())
}

fn template(object: &mut Value, context: &Context<'_>) {
    let parent = metadata(object).clone();
    let name = |object: &Value| {
        let template = field(field(object, "spec"), "template");
        text(metadata(template), "name").to_owned()
    };
    // A name that the user brought stands for this very template: a default that has changed since must not make
    // another one of it.
    let kept = context.old.map(name).filter(|old| !old.is_empty());
    if kept.is_some_and(|old| old == name(object)) {
        return;
    }
    let Some(spec) = object_at(object, "spec") else {
        return;
    };
    let Some(template) = map_in(spec, "template") else {
        return;
    };
    let Some(spec) = map_in(template, "spec") else {
        return;
    };
    revision::spec(spec, &parent, context);
}

fn traffic(object: &mut Value, in_service: bool) {
    let Some(spec) = object_at(object, "spec") else {
        return;
    };
    if in_service
        && spec
            .get("traffic")
            .is_none_or(|traffic| traffic.is_null() || is_unset(traffic))
    {
        spec.insert(
            "traffic".to_owned(),
            json!([{"latestRevision": true, "percent": 100}]),
        );
    }
    for target in list_in(spec, "traffic") {
        let Some(target) = target.as_object_mut() else {
            continue;
        };
        if is_absent(target, "latestRevision") {
            let latest = target.get("revisionName").is_none_or(is_unset);
            target.insert("latestRevision".to_owned(), json!(latest));
        }
        // Clients of old cannot show an untagged share that is not there.
        if is_absent(target, "percent") && target.get("tag").is_none_or(is_unset) {
            target.insert("percent".to_owned(), json!(0));
        }
    }
}

/// Notes who made the object and who last changed its spec. A Service's children carry the marks of the Service, so
/// they get none of their own.
fn user_info(object: &mut Value, context: &Context<'_>) {
    if context.user.is_empty() {
        return;
    }
    let mut marks = vec![annotations::LAST_MODIFIER];
    match context.old {
        Some(old) if diff::same(field(old, "spec"), field(object, "spec")) => return,
        Some(_) => {}
        None => marks.push(annotations::CREATOR),
    }
    let Some(meta) = object_at(object, "metadata") else {
        return;
    };
    let Some(annotations) = map_in(meta, "annotations") else {
        return;
    };
    for mark in marks {
        annotations.insert(mark.to_owned(), json!(context.user));
    }
}

fn domain_mapping(object: &mut Value) {
    let namespace = text(metadata(object), "namespace").to_owned();
    let reference = object
        .get_mut("spec")
        .and_then(|spec| spec.get_mut("ref"))
        .and_then(Value::as_object_mut);
    if !namespace.is_empty() {
        set_text(reference, "namespace", &namespace);
    }
}

fn pod_autoscaler(object: &mut Value, context: &Context<'_>) {
    let Some(meta) = object_at(object, "metadata") else {
        return;
    };
    let Some(marks) = map_in(meta, "annotations") else {
        return;
    };
    if is_absent(marks, annotations::CLASS) {
        marks.insert(
            annotations::CLASS.to_owned(),
            json!(context.configs.autoscaler.pod_autoscaler_class),
        );
    }
    let metric = match marks.get(annotations::CLASS).and_then(Value::as_str) {
        Some(annotations::CLASS_KPA) => annotations::METRIC_CONCURRENCY,
        Some(annotations::CLASS_HPA) => annotations::METRIC_CPU,
        _ => return,
    };
    if is_absent(marks, annotations::METRIC) {
        marks.insert(annotations::METRIC.to_owned(), json!(metric));
    }
}

fn ingress(object: &mut Value) {
    let Some(spec) = object_at(object, "spec") else {
        return;
    };
    set_text(Some(&mut *spec), "httpOption", "Enabled");
    for rule in list_in(spec, "rules") {
        set_text(rule.as_object_mut(), "visibility", "ExternalIP");
        let Some(http) = rule.get_mut("http").and_then(Value::as_object_mut) else {
            continue;
        };
        for path in list_in(http, "paths") {
            let Some(path) = path.as_object_mut() else {
                continue;
            };
            if let [only] = list_in(path, "splits")
                && let Some(split) = only.as_object_mut()
                && split.get("percent").is_none_or(is_unset)
            {
                split.insert("percent".to_owned(), json!(100));
            }
        }
    }
}

/// The object in a field of an object; made if there is none, `None` if something else is there.
fn object_at<'v>(object: &'v mut Value, name: &str) -> Option<&'v mut Map<String, Value>> {
    map_in(object.as_object_mut()?, name)
}

/// As [`object_at`].
fn map_in<'v>(object: &'v mut Map<String, Value>, name: &str) -> Option<&'v mut Map<String, Value>> {
    let value = object.entry(name).or_insert(Value::Null);
    if value.is_null() {
        *value = json!({});
    }
    value.as_object_mut()
}

/// The entries of a list in a field.
fn list_in<'v>(object: &'v mut Map<String, Value>, name: &str) -> &'v mut [Value] {
    object
        .get_mut(name)
        .and_then(Value::as_array_mut)
        .map(Vec::as_mut_slice)
        .unwrap_or_default()
}

fn is_absent(object: &Map<String, Value>, name: &str) -> bool {
    object.get(name).is_none_or(Value::is_null)
}

/// Sets a text that is absent or empty.
fn set_text(object: Option<&mut Map<String, Value>>, name: &str, value: &str) {
    if let Some(object) = object
        && object.get(name).is_none_or(is_unset)
    {
        object.insert(name.to_owned(), json!(value));
    }
}

/// Sets a number that is absent or zero.
fn set_number(object: &mut Map<String, Value>, name: &str, value: i64) {
    if object.get(name).is_none_or(is_unset) {
        object.insert(name.to_owned(), json!(value));
    }
}

/// Names of the volumes that may be written to.
fn writable_volumes(spec: &Map<String, Value>) -> Vec<String> {
    let volumes = spec
        .get("volumes")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    volumes
        .iter()
        .filter(|volume| is_writable(volume))
        .map(|volume| text(volume, "name").to_owned())
        .collect()
}

/// Has the container ports?
fn has_ports(container: &Value) -> bool {
    !list(container, "ports").is_empty()
}

#[cfg(test)]
mod tests;
