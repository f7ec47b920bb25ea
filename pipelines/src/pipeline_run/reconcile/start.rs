//! The start of a run: its pipeline is found, its tasks are there, and its labels say what it runs.

use std::collections::BTreeSet;
use std::sync::Arc;

use crds::tekton::reasons::pipeline_run as reasons;
use crds::tekton::{PipelineRun, PipelineSpec, annotations, labels};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use reconciler::{Applier, Error, Key};
use serde_json::json;

use super::super::{Child, prepare};
use super::{ends_at_once, labelled};
use crate::resolve;
use crate::shared::Shared;

/// A run whose pipeline is known, or one that cannot begin.
pub(super) enum Begun {
    With(Run),
    Not {
        run: Arc<PipelineRun>,
        reason: &'static str,
        message: String,
    },
}

pub(super) struct Run {
    pub run: Arc<PipelineRun>,
    pub pipeline: PipelineSpec,
    /// The name of the pipeline.
    pub name: String,
}

/// Finds the pipeline of a run. Once it has begun, that is the one it began with, whatever became of it since.
pub(super) async fn begin(
    shared: &Shared,
    applier: &Applier,
    run: Arc<PipelineRun>,
    children: &[Child],
) -> Result<Begun, Error> {
    let known = run
        .status
        .as_ref()
        .and_then(|status| status.pipeline_spec.clone());
    if let Some(pipeline) = known.or_else(|| ends_at_once(&run).then(PipelineSpec::default)) {
        let name = labelled(&run).map_or_else(|| own_name(&run), str::to_owned);
        return Ok(Begun::With(Run { run, pipeline, name }));
    }
    let found = match find(shared, &run).await {
        Ok(found) => found,
        Err(error) => return not(run, reasons::COULDNT_GET_PIPELINE, error),
    };
    let name = found.as_ref().map_or_else(
        || own_name(&run),
        |(meta, _)| meta.name.clone().unwrap_or_default(),
    );
    let run = label(shared, applier, run, &name, found.as_ref().map(|(meta, _)| meta)).await?;
    let pipeline = found
        .map(|(_, spec)| spec)
        .or_else(|| run.spec.pipeline_spec.clone())
        .unwrap_or_default();
    // What does not fit together is told by the decision.
    if children.is_empty()
        && let Ok(prepared) = prepare(&run, &pipeline, &name)
    {
        let namespace = run.namespace().unwrap_or_default();
        let mut seen = BTreeSet::new();
        for task in prepared.tasks.iter().chain(&prepared.finally) {
            let Some(reference) = task
                .spec
                .task_ref
                .as_ref()
                .filter(|reference| !reference.is_custom())
            else {
                continue;
            };
            let written = serde_json::to_string(reference).unwrap_or_default();
            // A reference with results in it is looked up when these are there, by whoever runs it.
            if written.contains("$(") || !seen.insert(written) {
                continue;
            }
            if let Err(error) = resolve::task(&shared.client, &namespace, reference).await {
                return not(run, reasons::COULDNT_GET_TASK, error);
            }
        }
    }
    Ok(Begun::With(Run { run, pipeline, name }))
}

/// The pipeline elsewhere that a run refers to, if it does.
async fn find(
    shared: &Shared,
    run: &PipelineRun,
) -> Result<Option<(ObjectMeta, PipelineSpec)>, resolve::Error> {
    let Some(reference) = &run.spec.pipeline_ref else {
        return Ok(None);
    };
    let namespace = run.namespace().unwrap_or_default();
    let found = resolve::pipeline(&shared.client, &namespace, reference).await?;
    Ok(Some((found.metadata, found.spec)))
}

/// What cannot be found ends the run; what could not be read is tried again.
fn not(run: Arc<PipelineRun>, reason: &'static str, error: resolve::Error) -> Result<Begun, Error> {
    match error {
        resolve::Error::Read { kind, key, source } => Err(Error::api(format!("read {kind} {key}"), *source)),
        error => Ok(Begun::Not {
            run,
            reason,
            message: error.to_string(),
        }),
    }
}

/// The name of a pipeline that is written into its run.
fn own_name(run: &PipelineRun) -> String {
    let generated = run
        .metadata
        .generate_name
        .as_deref()
        .map(|name| name.trim_end_matches(['-', '.']));
    generated
        .filter(|name| !name.is_empty())
        .map_or_else(|| run.name_any(), str::to_owned)
}

/// Gives the run the labels and annotations of its pipeline, and the pipeline's name. What it has itself stays.
async fn label(
    shared: &Shared,
    applier: &Applier,
    run: Arc<PipelineRun>,
    name: &str,
    pipeline: Option<&ObjectMeta>,
) -> Result<Arc<PipelineRun>, Error> {
    let mut of_run = run.metadata.labels.clone().unwrap_or_default();
    let mut notes = run.metadata.annotations.clone().unwrap_or_default();
    for (key, value) in pipeline.into_iter().flat_map(|meta| &meta.labels).flatten() {
        of_run.entry(key.clone()).or_insert_with(|| value.clone());
    }
    let inherited = pipeline.into_iter().flat_map(|meta| &meta.annotations).flatten();
    for (key, value) in inherited.filter(|(key, _)| annotations::is_inherited(key)) {
        notes.entry(key.clone()).or_insert_with(|| value.clone());
    }
    of_run.insert(labels::PIPELINE.to_owned(), name.to_owned());
    let same = run.metadata.labels.as_ref() == Some(&of_run)
        && run.metadata.annotations.clone().unwrap_or_default() == notes;
    if same {
        return Ok(run);
    }
    let changes = json!({"metadata": {"labels": of_run, "annotations": notes}});
    applier
        .merge(&shared.pipeline_runs, &Key::of(run.as_ref()), &changes)
        .await
}
