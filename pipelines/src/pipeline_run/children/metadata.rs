//! Names, labels and annotations of children.

use std::collections::BTreeMap;

use crds::tekton::{PipelineRun, PipelineTaskRunSpec, annotations, labels};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::Planned;

/// The metadata of a child. What is said about its run comes before what its parent has, and that before what the
/// embedded task has; labels of ours come before all.
pub(super) fn of_child(
    run: &PipelineRun,
    pipeline: &str,
    planned: &Planned,
    own: Option<&PipelineTaskRunSpec>,
) -> ObjectMeta {
    let embedded = planned
        .task
        .task_spec
        .as_ref()
        .and_then(|spec| spec.metadata.clone())
        .unwrap_or_default();
    let own = own.and_then(|own| own.metadata.clone()).unwrap_or_default();
    let mut of_child = embedded.labels;
    of_child.extend(inherited(run.metadata.labels.as_ref()));
    of_child.extend(own.labels);
    let member_of = if planned.finally {
        labels::MEMBER_OF_FINALLY
    } else {
        labels::MEMBER_OF_TASKS
    };
    for (key, value) in [
        (labels::PIPELINE, pipeline),
        (
            labels::PIPELINE_RUN,
            run.metadata.name.as_deref().unwrap_or_default(),
        ),
        (
            labels::PIPELINE_RUN_UID,
            run.metadata.uid.as_deref().unwrap_or_default(),
        ),
        (labels::PIPELINE_TASK, &planned.task.name),
        (labels::MEMBER_OF, member_of),
    ] {
        of_child.insert(key.to_owned(), value.to_owned());
    }
    if let Some(reference) = planned
        .task
        .task_ref
        .as_ref()
        .filter(|reference| !reference.name.is_empty())
    {
        of_child.insert(labels::TASK.to_owned(), reference.name.clone());
    }
    let mut notes = embedded.annotations;
    notes.extend(inherited(run.metadata.annotations.as_ref()));
    notes.extend(own.annotations);
    if let Some(earlier) = &planned.rerun_of {
        notes.insert(annotations::RERUN_OF.to_owned(), earlier.clone());
    }
    ObjectMeta {
        name: Some(planned.name.clone()),
        namespace: run.metadata.namespace.clone(),
        labels: Some(of_child),
        annotations: (!notes.is_empty()).then_some(notes),
        ..ObjectMeta::default()
    }
}

fn inherited(all: Option<&BTreeMap<String, String>>) -> impl Iterator<Item = (String, String)> {
    let all = all
        .into_iter()
        .flatten()
        .filter(|(key, _)| annotations::is_inherited(key));
    all.map(|(key, value)| (key.clone(), value.clone()))
}
