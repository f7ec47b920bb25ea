//! The start of a run: its pipeline is found, its tasks are there, and its labels say what it runs.

use std::collections::BTreeSet;
use std::sync::Arc;

use crds::config::tekton::Features;
use crds::tekton::reasons::pipeline_run as reasons;
use crds::tekton::{Pipeline, PipelineRun, PipelineSpec, RefSource, annotations, labels};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use reconciler::{Applier, Error, Key};
use serde_json::json;

use super::super::{Child, assistants, prepare};
use super::{PipelineRuns, ends_at_once, labelled};
use crate::resolve::{self, Found};
use crate::shared::Shared;

/// A run whose pipeline is known, or one that cannot begin, or not yet.
pub(super) enum Begun {
    With(Box<Run>),
    Not {
        run: Arc<PipelineRun>,
        reason: &'static str,
        message: String,
    },
    /// Resolvers were asked.
    Resolving {
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
    /// Where a resolver found it, if it was found just now.
    pub source: Option<RefSource>,
}

/// A pipeline from elsewhere.
struct Elsewhere {
    meta: ObjectMeta,
    spec: PipelineSpec,
    source: Option<RefSource>,
}

/// Finds the pipeline of a run. Once it has begun, that is the one it began with, whatever became of it since.
pub(super) async fn begin(
    runs: &PipelineRuns,
    run: Arc<PipelineRun>,
    children: &[Child],
) -> Result<Begun, Error> {
    let known = run
        .status
        .as_ref()
        .and_then(|status| status.pipeline_spec.clone());
    if let Some(pipeline) = known.or_else(|| ends_at_once(&run).then(PipelineSpec::default)) {
        let name = labelled(&run).map_or_else(|| own_name(&run), str::to_owned);
        let source = None;
        return Ok(Begun::With(Box::new(Run {
            run,
            pipeline,
            name,
            source,
        })));
    }
    let found = match find(runs, &run).await {
        Ok(Some(Found::Resolving)) => {
            let message = "the pipeline is asked for of its resolver".to_owned();
            let reason = reasons::RESOLVING_PIPELINE_REF;
            return Ok(Begun::Resolving { run, reason, message });
        }
        Ok(Some(Found::There { object, source })) => Some(Elsewhere {
            meta: object.metadata,
            spec: object.spec,
            source,
        }),
        Ok(None) => None,
        Err(error) => return not(run, reasons::COULDNT_GET_PIPELINE, error),
    };
    let name = found.as_ref().map_or_else(
        || own_name(&run),
        |found| found.meta.name.clone().unwrap_or_default(),
    );
    let run = label(
        &runs.shared,
        &runs.applier,
        run,
        &name,
        found.as_ref().map(|found| &found.meta),
        children,
    )
    .await?;
    let (pipeline, source) = match found {
        Some(found) => (found.spec, found.source),
        None => (run.spec.pipeline_spec.clone().unwrap_or_default(), None),
    };
    // What does not fit together is told by the decision.
    if children.is_empty()
        && let Ok(prepared) = prepare(&run, &pipeline, &name)
    {
        let (mut seen, mut asked) = (BTreeSet::new(), Vec::new());
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
            match runs
                .resolver
                .task(run.as_ref(), reference, runs.shared.now())
                .await
            {
                Ok(Found::There { .. }) => {}
                Ok(Found::Resolving) => asked.push(task.spec.name.as_str()),
                Err(error) => return not(run, reasons::COULDNT_GET_TASK, error),
            }
        }
        if !asked.is_empty() {
            let message = format!("asked for of their resolvers: tasks {}", asked.join(", "));
            let reason = reasons::RESOLVING_TASK_REF;
            return Ok(Begun::Resolving { run, reason, message });
        }
    }
    Ok(Begun::With(Box::new(Run {
        run,
        pipeline,
        name,
        source,
    })))
}

/// The pipeline elsewhere that a run refers to, if it does.
async fn find(
    runs: &PipelineRuns,
    run: &Arc<PipelineRun>,
) -> Result<Option<Found<Pipeline>>, resolve::Error> {
    let Some(reference) = &run.spec.pipeline_ref else {
        return Ok(None);
    };
    let found = runs.resolver.pipeline(run.as_ref(), reference, runs.shared.now());
    found.await.map(Some)
}

/// What cannot be found ends the run; what could not be read is tried again.
fn not(run: Arc<PipelineRun>, reason: &'static str, error: resolve::Error) -> Result<Begun, Error> {
    let message = error.into_fault()?.to_string();
    Ok(Begun::Not { run, reason, message })
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

/// Gives the run the labels and annotations of its pipeline, the pipeline's name, and how its TaskRuns are kept
/// together. What it has itself stays.
async fn label(
    shared: &Shared,
    applier: &Applier,
    run: Arc<PipelineRun>,
    name: &str,
    pipeline: Option<&ObjectMeta>,
    children: &[Child],
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
    // One that has children had begun before, and made them as it was then.
    if children.is_empty() {
        let noted = assistants::to_note(&run, shared.config.get::<Features>().coschedule);
        notes.extend(noted.map(|mode| (annotations::COSCHEDULE.to_owned(), mode.to_owned())));
    }
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
