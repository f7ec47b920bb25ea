//! The PipelineRun of a push.

use std::collections::BTreeMap;

use crds::spindrift::{
    API_VERSION, BUILD_PIPELINE, DEPLOY_KIND, PushRecord, Repository, annotations, labels,
};
use crds::tekton::{
    Duration, PipelineRun, PipelineRunSpec, PipelineRunSpecStatus, PipelineSpec, PipelineTask,
    PipelineTaskRunTemplate, TaskRef, TimeoutFields, labels as tekton_labels,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;

use crate::{BUILD_TASK, DEPLOY_TASK};

/// For the deployment after a build: a revision has ten minutes to become ready by default.
const DEPLOY_MINUTES: i32 = 15;
/// For a build, if the Repository does not say; admission does.
const BUILD_MINUTES: i32 = 30;

/// Where the image of a Repository is pushed to, without tag.
pub(crate) fn image(repository: &Repository, registry: &str) -> String {
    let spec = &repository.spec;
    if spec.build.image.is_empty() {
        let namespace = repository.namespace().unwrap_or_default();
        format!("{registry}/{namespace}/{}", spec.service)
    } else {
        spec.build.image.clone()
    }
}

/// What a push is, for people.
pub(super) fn what(push: &PushRecord) -> String {
    match (push.git_ref.as_str(), push.after.get(..12)) {
        ("", _) => push.tree.clone(),
        (git_ref, Some(commit)) => format!("{commit} of {git_ref}"),
        (git_ref, None) => git_ref.to_owned(),
    }
}

/// The run that builds a push by `pipeline`, and deploys the image. It is pending: the queue lets it begin.
pub(super) fn run(repository: &Repository, push: &PushRecord, pipeline: PipelineSpec) -> PipelineRun {
    let spec = &repository.spec;
    let limit = |timeout: Duration| timeout.0.saturating_add(Duration::from_mins(DEPLOY_MINUTES).0);
    let build = spec.build.timeout.unwrap_or(Duration::from_mins(BUILD_MINUTES));
    PipelineRun {
        metadata: ObjectMeta {
            name: Some(push.run.clone()),
            namespace: repository.namespace(),
            labels: Some(marks([
                (labels::REPOSITORY, repository.name_any()),
                (labels::SERVICE, spec.service.clone()),
                (tekton_labels::PIPELINE, BUILD_PIPELINE.to_owned()),
            ])),
            annotations: Some(marks([
                (annotations::REF, push.git_ref.clone()),
                (annotations::COMMIT, push.after.clone()),
                (annotations::BEFORE, push.before.clone()),
                (annotations::AUTHOR, push.author.clone()),
                (annotations::MESSAGE, push.message.clone()),
                (annotations::SEQUENCE, push.sequence.to_string()),
                (annotations::DELIVERY, push.delivery.clone()),
                (annotations::SOURCE, source(push)),
                (
                    annotations::GENERATION,
                    repository.metadata.generation.unwrap_or_default().to_string(),
                ),
            ])),
            ..ObjectMeta::default()
        },
        spec: PipelineRunSpec {
            pipeline_spec: Some(deploying(pipeline)),
            status: Some(PipelineRunSpecStatus::PipelineRunPending),
            timeouts: Some(TimeoutFields {
                pipeline: Some(Duration(limit(build))),
                ..TimeoutFields::default()
            }),
            task_run_template: Some(PipelineTaskRunTemplate {
                service_account_name: spec.service_account_name.clone(),
                ..PipelineTaskRunTemplate::default()
            }),
            ..PipelineRunSpec::default()
        },
        status: None,
    }
}

fn source(push: &PushRecord) -> String {
    if push.git_ref.is_empty() {
        push.tree.clone()
    } else {
        String::new()
    }
}

/// Those that are not empty.
fn marks<const N: usize>(pairs: [(&str, String); N]) -> BTreeMap<String, String> {
    let pairs = pairs.into_iter().filter(|(_, value)| !value.is_empty());
    pairs.map(|(key, value)| (key.to_owned(), value)).collect()
}

/// The pipeline with the deployment behind the build. It is told nothing: it deploys what the build made.
fn deploying(mut pipeline: PipelineSpec) -> PipelineSpec {
    pipeline.tasks.push(PipelineTask {
        name: DEPLOY_TASK.to_owned(),
        task_ref: Some(TaskRef {
            api_version: API_VERSION.to_owned(),
            kind: DEPLOY_KIND.to_owned(),
            ..TaskRef::default()
        }),
        run_after: vec![BUILD_TASK.to_owned()],
        ..PipelineTask::default()
    });
    pipeline
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn repository() -> Repository {
        serde_json::from_value(json!({
            "apiVersion": "spindrift.dev/v1alpha1", "kind": "Repository",
            "metadata": {"name": "web", "namespace": "default", "uid": "u", "generation": 3},
            "spec": {"url": "http://git/app", "branch": "main", "service": "shop", "serviceAccountName": "builder",
                     "build": {"timeout": "10m0s"}},
        }))
        .unwrap()
    }

    #[test]
    fn a_run_says_what_it_builds() {
        let push = PushRecord {
            sequence: 7,
            git_ref: "refs/heads/main".to_owned(),
            after: "a".repeat(40),
            author: "Jane".to_owned(),
            run: "web-1".to_owned(),
            ..PushRecord::default()
        };
        let run = run(&repository(), &push, PipelineSpec::default());
        let wire = serde_json::to_value(&run).unwrap();
        assert_eq!(
            wire["metadata"],
            json!({
                "name": "web-1", "namespace": "default",
                "labels": {"spindrift.dev/repository": "web", "spindrift.dev/service": "shop", "tekton.dev/pipeline": "build"},
                "annotations": {
                    "spindrift.dev/ref": "refs/heads/main", "spindrift.dev/commit": "a".repeat(40),
                    "spindrift.dev/author": "Jane", "spindrift.dev/sequence": "7", "spindrift.dev/generation": "3",
                },
            })
        );
        assert_eq!(wire["spec"]["status"], "PipelineRunPending");
        assert_eq!(wire["spec"]["timeouts"]["pipeline"], "25m0s");
        assert_eq!(wire["spec"]["taskRunTemplate"]["serviceAccountName"], "builder");
        let deploy = &wire["spec"]["pipelineSpec"]["tasks"][0];
        assert_eq!(
            *deploy,
            json!({
                "name": "deploy", "runAfter": ["build"],
                "taskRef": {"apiVersion": "spindrift.dev/v1alpha1", "kind": "Deploy"},
            })
        );
    }

    #[test]
    fn images_go_where_the_repository_says() {
        let mut web = repository();
        assert_eq!(image(&web, "localhost:5000"), "localhost:5000/default/shop");
        web.spec.build.image = "registry.example.com/shop".to_owned();
        assert_eq!(image(&web, "localhost:5000"), "registry.example.com/shop");
    }
}
