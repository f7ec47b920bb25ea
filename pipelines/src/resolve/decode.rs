//! Objects from elsewhere: read, brought to the version that is served, and checked as if somebody had created them.

use crds::config::tekton::Configs;
use crds::resource::tekton::Resource;
use crds::tekton::GROUP;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::admission;

/// An object of `resource` in YAML or JSON.
///
/// # Errors
/// What is wrong with it.
pub(super) fn decode<K: DeserializeOwned>(
    resource: Resource,
    data: &[u8],
    configs: &Configs,
) -> Result<K, String> {
    let text = std::str::from_utf8(data).map_err(|_| "what was found is no text".to_owned())?;
    let mut object: Value =
        serde_saphyr::from_str(text).map_err(|error| format!("what was found is no YAML: {error}"))?;
    let said = |field: &str| {
        object
            .get(field)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let (version, kind) = (said("apiVersion"), said("kind"));
    let group = version.split_once('/').map_or("", |(group, _)| group);
    if Resource::find(group, &kind) != Some(resource) {
        return Err(format!(
            "what was found is {version:?} {kind:?}, a {resource:?} of {GROUP} is wanted"
        ));
    }
    if version == format!("{GROUP}/v1beta1") && matches!(resource, Resource::Task | Resource::Pipeline) {
        modernise(resource, &mut object);
    }
    let object = admission::admitted(resource, object, configs)?;
    serde_json::from_value(object).map_err(|error| format!("what was found cannot be read: {error}"))
}

/// From v1beta1 to v1. What became of fields that have no successor is told by admission.
fn modernise(resource: Resource, object: &mut Value) {
    object["apiVersion"] = format!("{GROUP}/v1").into();
    let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else {
        return;
    };
    match resource {
        Resource::Task => task(spec),
        _ => {
            for list in ["tasks", "finally"] {
                for entry in objects(spec, list) {
                    if let Some(reference) = entry.get_mut("taskRef").and_then(Value::as_object_mut) {
                        bundle(reference);
                    }
                    if let Some(embedded) = entry.get_mut("taskSpec").and_then(Value::as_object_mut) {
                        task(embedded);
                    }
                }
            }
        }
    }
}

fn task(spec: &mut Map<String, Value>) {
    for list in ["steps", "sidecars"] {
        objects(spec, list).for_each(resources);
    }
    if let Some(template) = spec.get_mut("stepTemplate").and_then(Value::as_object_mut) {
        resources(template);
    }
}

fn resources(container: &mut Map<String, Value>) {
    if let Some(amounts) = container.remove("resources") {
        container.entry("computeResources").or_insert(amounts);
    }
}

/// A reference to a bundle is one by the resolver of bundles now.
fn bundle(reference: &mut Map<String, Value>) {
    let Some(Value::String(bundle)) = reference.remove("bundle") else {
        return;
    };
    let name = reference.remove("name").unwrap_or_default();
    reference.remove("kind");
    reference.insert("resolver".to_owned(), "bundles".into());
    reference.insert(
        "params".to_owned(),
        serde_json::json!([
            {"name": "bundle", "value": bundle}, {"name": "name", "value": name}, {"name": "kind", "value": "task"},
        ]),
    );
}

fn objects<'a>(
    holder: &'a mut Map<String, Value>,
    list: &str,
) -> impl Iterator<Item = &'a mut Map<String, Value>> {
    holder
        .get_mut(list)
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
}

#[cfg(test)]
mod tests {
    use crds::tekton::{Pipeline, Task};

    use super::*;

    #[test]
    fn tasks_of_the_older_version_are_read() {
        let text = "apiVersion: tekton.dev/v1beta1\nkind: Task\nmetadata: {name: t}\nspec:\n  stepTemplate: {resources: \
                    {limits: {cpu: 1}}}\n  steps: [{name: s, image: i, resources: {limits: {memory: 1Gi}}}]\n";
        let task: Task = decode(Resource::Task, text.as_bytes(), &Configs::default()).unwrap();
        let spec = serde_json::to_value(&task.spec).unwrap();
        assert_eq!(
            spec["steps"][0]["computeResources"]["limits"]["memory"], "1Gi",
            "{spec}"
        );
        assert!(
            spec["stepTemplate"]["computeResources"]["limits"]["cpu"].is_string(),
            "{spec}"
        );
        let text = "apiVersion: tekton.dev/v1beta1\nkind: Pipeline\nmetadata: {name: p}\nspec: {tasks: [{name: a, taskRef: \
                    {name: x, bundle: r/b}}]}";
        let pipeline: Pipeline = decode(Resource::Pipeline, text.as_bytes(), &Configs::default()).unwrap();
        let reference = pipeline.spec.tasks[0].task_ref.as_ref().unwrap();
        assert_eq!(
            (reference.resolver.as_str(), reference.params.len()),
            ("bundles", 3)
        );
    }

    #[test]
    fn what_is_no_such_object_is_refused() {
        let task =
            |rest: &str| format!("apiVersion: tekton.dev/v1\nkind: Task\nmetadata: {{name: t}}\n{rest}");
        for (text, words) in [
            ("{".to_owned(), "no YAML"),
            ("just words".to_owned(), "a Task of tekton.dev is wanted"),
            ("apiVersion: v1\nkind: Secret".to_owned(), "\"v1\" \"Secret\""),
            (
                "apiVersion: tekton.dev/v1\nkind: Pipeline".to_owned(),
                "\"Pipeline\"",
            ),
            (task("spec: {}"), "steps"),
            (
                task("spec: {steps: [{name: s, image: i, imag: x}]}"),
                "unknown field",
            ),
            (task("spec: {steps: 3}"), "steps"),
        ] {
            let error = decode::<Task>(Resource::Task, text.as_bytes(), &Configs::default()).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
        let error = decode::<Task>(Resource::Task, &[0xff, 0xfe], &Configs::default()).unwrap_err();
        assert!(error.contains("no text"), "{error}");
    }
}
