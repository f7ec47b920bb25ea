//! Objects from elsewhere: read, brought to the version that is served, and checked as if somebody had created them.

use crds::config::tekton::Configs;
use crds::resource::tekton::Resource;
use crds::tekton::{GROUP, v1beta1};
use serde::de::DeserializeOwned;
use serde_json::Value;

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
    if version == format!("{GROUP}/{}", v1beta1::VERSION) {
        v1beta1::to_stored(resource, &mut object);
    }
    let object = admission::admitted(resource, object, configs)?;
    serde_json::from_value(object).map_err(|error| format!("what was found cannot be read: {error}"))
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
