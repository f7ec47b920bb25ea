//! What listeners and triggers get where they say nothing.

use serde_json::{Value, json};

pub(super) fn apply(kind: &str, object: &mut Value) {
    let Some(spec) = object.get_mut("spec") else {
        return;
    };
    match kind {
        "EventListener" => {
            each(spec, "triggers", &mut trigger);
            each(spec, "triggerGroups", &mut trigger);
        }
        "Trigger" => trigger(spec),
        _ => {}
    }
}

fn trigger(spec: &mut Value) {
    each(spec, "bindings", &mut |binding| {
        if is_set(binding, "ref") {
            fill(binding, "kind", "TriggerBinding");
        }
    });
    each(spec, "interceptors", &mut |interceptor| {
        if let Some(reference) = interceptor
            .get_mut("ref")
            .filter(|reference| reference.is_object())
        {
            fill(reference, "kind", "ClusterInterceptor");
        }
    });
}

fn each(holder: &mut Value, field: &str, change: &mut impl FnMut(&mut Value)) {
    let list = holder.get_mut(field).and_then(Value::as_array_mut);
    list.into_iter().flatten().for_each(change);
}

fn is_set(holder: &Value, field: &str) -> bool {
    holder
        .get(field)
        .and_then(Value::as_str)
        .is_some_and(|text| !text.is_empty())
}

fn fill(holder: &mut Value, field: &str, text: &str) {
    if !is_set(holder, field)
        && let Some(holder) = holder.as_object_mut()
    {
        holder.insert(field.to_owned(), json!(text));
    }
}
