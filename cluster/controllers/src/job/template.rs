//! The pods of a Job.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Container, EnvVar, EnvVarSource, ObjectFieldSelector, Pod};
use kube::{Resource, ResourceExt};

use super::TRACKING;
use crate::template;

/// Annotation and label with the completion index of a pod.
pub const INDEX: &str = "batch.kubernetes.io/job-completion-index";
/// The same for the containers.
const INDEX_ENV: &str = "JOB_COMPLETION_INDEX";
/// A name that the server completes: it appends five characters to at most 58.
const PREFIX: usize = 58;

/// The pod that `job` wants one more of, with a completion index if it gives its pods one.
pub fn pod_from(job: &Job, index: Option<u32>) -> Option<Pod> {
    let owner = job.controller_owner_ref(&())?;
    let mut pod = template::pod_from(&job.spec.as_ref()?.template, owner);
    let finalizers = pod.metadata.finalizers.get_or_insert_default();
    if !finalizers.iter().any(|finalizer| finalizer == TRACKING) {
        finalizers.push(TRACKING.to_owned());
    }
    let mut suffix = "-".to_owned();
    if let Some(index) = index {
        suffix = format!("-{index}-");
        number(&mut pod, &job.name_any(), index);
    }
    let stem: String = job
        .name_any()
        .chars()
        .take(PREFIX.saturating_sub(suffix.len()))
        .collect();
    pod.metadata.generate_name = Some(stem + &suffix);
    Some(pod)
}

/// Tells `pod` its completion index in every way that upstream does.
fn number(pod: &mut Pod, job: &str, index: u32) {
    pod.annotations_mut().insert(INDEX.to_owned(), index.to_string());
    pod.labels_mut().insert(INDEX.to_owned(), index.to_string());
    let Some(spec) = &mut pod.spec else { return };
    let name = format!("{job}-{index}");
    if spec.hostname.is_none() && name.len() <= 63 {
        spec.hostname = Some(name);
    }
    let inits = spec.init_containers.iter_mut().flatten();
    for container in inits.chain(&mut spec.containers) {
        add_index(container);
    }
}

fn add_index(container: &mut Container) {
    let env = container.env.get_or_insert_default();
    if env.iter().any(|variable| variable.name == INDEX_ENV) {
        return;
    }
    env.push(EnvVar {
        name: INDEX_ENV.to_owned(),
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                api_version: None,
                field_path: format!("metadata.annotations['{INDEX}']"),
            }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_waits_to_be_counted_and_knows_its_index() {
        let job: Job = serde_json::from_value(json!({
            "metadata": { "name": "j".repeat(70), "uid": "u" },
            "spec": { "template": {
                "metadata": { "labels": { "a": "b" }, "finalizers": ["x/y"] },
                "spec": { "containers": [{ "name": "c", "env": [{ "name": "JOB_COMPLETION_INDEX", "value": "own" }] }, { "name": "d" }] },
            }},
        }))
        .unwrap();
        let plain = pod_from(&job, None).unwrap();
        assert_eq!(
            plain.metadata.finalizers,
            Some(vec!["x/y".to_owned(), TRACKING.to_owned()])
        );
        assert_eq!(plain.metadata.generate_name, Some("j".repeat(57) + "-"));
        assert_eq!(plain.metadata.owner_references.as_ref().unwrap()[0].uid, "u");
        assert!(plain.metadata.annotations.is_none());

        let numbered = pod_from(&job, Some(12)).unwrap();
        assert_eq!(numbered.metadata.generate_name, Some("j".repeat(54) + "-12-"));
        assert_eq!(numbered.labels()[INDEX], "12");
        let containers = numbered.spec.unwrap().containers;
        assert_eq!(containers[0].env.as_ref().unwrap().len(), 1);
        assert!(containers[1].env.as_ref().unwrap()[0].value_from.is_some());
    }
}
