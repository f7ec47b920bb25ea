//! The Job that a JobSink makes for an event.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Container, EnvVar, SecretVolumeSource, Volume, VolumeMount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;

use super::JobSink;
use crate::labels::{JOB_SINK_ID, JOB_SINK_NAME};

/// Key of the Secret, and so name of the file, that holds the event.
pub const EVENT_FILE: &str = "event";
/// Volume with that file.
const VOLUME: &str = "jobsink-event";
/// Where it is mounted, unless a container says otherwise.
const MOUNT_PATH: &str = "/etc/jobsink-event";

/// The labels of the Job and of the Secret that `sink` makes for the event called `id`.
pub fn job_sink_labels(sink: &JobSink, id: &str) -> BTreeMap<String, String> {
    let name = sink.metadata.name.clone().unwrap_or_default();
    BTreeMap::from([
        (JOB_SINK_NAME.to_owned(), name),
        (JOB_SINK_ID.to_owned(), id.to_owned()),
    ])
}

/// The Job called `name` that `sink` makes for the event called `id`, which is in the Secret of the Job's name. `None`
/// for a sink without a Job.
pub fn job_of(sink: &JobSink, name: &str, id: &str) -> Option<Job> {
    let template = sink.spec.job.as_ref()?;
    let mut labels = template.metadata.labels.clone().unwrap_or_default();
    labels.extend(job_sink_labels(sink, id));
    let mut job = Job {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: sink.metadata.namespace.clone(),
            labels: Some(labels),
            annotations: template.metadata.annotations.clone(),
            owner_references: sink.controller_owner_ref(&()).map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        spec: template.spec.clone(),
        status: None,
    };
    if let Some(pod) = job.spec.as_mut().and_then(|spec| spec.template.spec.as_mut()) {
        let volumes = pod.volumes.get_or_insert_default();
        volumes.retain(|volume| volume.name != VOLUME);
        volumes.push(Volume {
            name: VOLUME.to_owned(),
            secret: Some(SecretVolumeSource {
                secret_name: Some(name.to_owned()),
                ..SecretVolumeSource::default()
            }),
            ..Volume::default()
        });
        let inits = pod.init_containers.iter_mut().flatten();
        inits.chain(&mut pod.containers).for_each(show_event);
    }
    Some(job)
}

/// Mounts the event into a container that does not do so itself, and tells it where.
fn show_event(container: &mut Container) {
    let mounts = container.volume_mounts.get_or_insert_default();
    let path = match mounts.iter().find(|mount| mount.name == VOLUME) {
        Some(mount) => mount.mount_path.clone(),
        None => {
            mounts.push(VolumeMount {
                name: VOLUME.to_owned(),
                mount_path: MOUNT_PATH.to_owned(),
                read_only: Some(true),
                ..VolumeMount::default()
            });
            MOUNT_PATH.to_owned()
        }
    };
    let env = container.env.get_or_insert_default();
    for (name, value) in [("K_EVENT_PATH", path), ("K_EXECUTION_MODE", "batch".to_owned())] {
        env.retain(|variable| variable.name != name);
        env.push(EnvVar {
            name: name.to_owned(),
            value: Some(value),
            value_from: None,
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn sink(containers: Value) -> JobSink {
        serde_json::from_value(json!({
            "metadata": {"name": "s", "namespace": "ns", "uid": "u"},
            "spec": {"job": {
                "metadata": {"labels": {"own": "1"}, "annotations": {"a": "b"}, "name": "ignored"},
                "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": containers}}},
            }},
        }))
        .unwrap()
    }

    #[test]
    fn a_job_is_the_template_with_the_event() {
        let sink = sink(json!([
            {"name": "a", "env": [{"name": "K_EVENT_PATH", "value": "/wrong"}]},
            {"name": "b", "volumeMounts": [{"name": "jobsink-event", "mountPath": "/mine"}]},
        ]));
        let job = serde_json::to_value(job_of(&sink, "s-1", "1").unwrap()).unwrap();
        assert_eq!(job["metadata"]["name"], "s-1");
        assert_eq!(
            job["metadata"]["labels"],
            json!({"own": "1", "sinks.knative.dev/job-sink-name": "s", "sinks.knative.dev/job-sink-id": "1"})
        );
        assert_eq!(job["metadata"]["ownerReferences"][0]["uid"], "u");
        let pod = &job["spec"]["template"]["spec"];
        assert_eq!(
            pod["volumes"],
            json!([{"name": "jobsink-event", "secret": {"secretName": "s-1"}}])
        );
        for (container, path) in [(0, "/etc/jobsink-event"), (1, "/mine")] {
            let container = &pod["containers"][container];
            assert_eq!(container["volumeMounts"][0]["mountPath"], path);
            assert_eq!(container["volumeMounts"].as_array().unwrap().len(), 1);
            assert_eq!(
                container["env"],
                json!([{"name": "K_EVENT_PATH", "value": path}, {"name": "K_EXECUTION_MODE", "value": "batch"}])
            );
        }
    }

    #[test]
    fn a_sink_without_a_job_makes_none() {
        let empty: JobSink = serde_json::from_value(json!({"metadata": {"name": "s"}, "spec": {}})).unwrap();
        assert_eq!(job_of(&empty, "s-1", "1"), None);
    }
}
