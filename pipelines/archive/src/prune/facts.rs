//! What pruning has to know of runs, and of what needs them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use crds::labels::{ROUTING_STATE, ROUTING_STATE_RESERVE};
use crds::serving::Revision;
use crds::tekton::{ParamValue, PipelineRun, RunStatus, TaskRun, labels};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use reconciler::object::controller_of;

use super::Fact;
use crate::config::{About, OfNamespace, Pruning};

/// On the templates of revisions: the run that built their image.
const BUILD: &str = "spindrift.dev/build";
/// On runs: the repository that they build.
const REPOSITORY: &str = "spindrift.dev/repository";
/// On runs: the run whose results they take over.
const RERUN_OF: &str = "spindrift.dev/rerun-of";
/// End of the names of results that hold the digest of an image, as those who sign images know them.
const DIGEST: &str = "IMAGE_DIGEST";

/// Either kind of run.
#[derive(Clone, Debug)]
pub(crate) enum Run {
    Pipeline(Arc<PipelineRun>),
    Task(Arc<TaskRun>),
}

impl Run {
    pub fn meta(&self) -> &ObjectMeta {
        match self {
            Self::Pipeline(run) => &run.metadata,
            Self::Task(run) => &run.metadata,
        }
    }

    pub fn name(&self) -> &str {
        self.meta().name.as_deref().unwrap_or_default()
    }

    pub fn namespace(&self) -> &str {
        self.meta().namespace.as_deref().unwrap_or_default()
    }

    pub fn is_task(&self) -> bool {
        matches!(self, Self::Task(_))
    }

    /// Whether it is over.
    pub fn is_done(&self) -> bool {
        match self {
            Self::Pipeline(run) => run.status.as_ref().is_some_and(RunStatus::is_done),
            Self::Task(run) => run.status.as_ref().is_some_and(RunStatus::is_done),
        }
    }

    /// Whether nobody else made it, and it is not going already.
    fn is_on_its_own(&self) -> bool {
        controller_of(self.meta())
            .is_none_or(|owner| !["PipelineRun", "TaskRun"].contains(&owner.kind.as_str()))
            && self.meta().deletion_timestamp.is_none()
    }

    /// Whether it succeeded, and when it ended.
    fn ended(&self) -> Option<(bool, Timestamp)> {
        let (condition, time) = match self {
            Self::Pipeline(run) => {
                let status = run.status.as_ref()?;
                (status.succeeded()?, status.completion_time.as_ref())
            }
            Self::Task(run) => {
                let status = run.status.as_ref()?;
                (status.succeeded()?, status.completion_time.as_ref())
            }
        };
        if condition.is_unknown() {
            return None;
        }
        let time = time.or(condition.last_transition_time.as_ref())?;
        Some((condition.is_true(), time.0))
    }

    /// Name of the pipeline or task; empty if the run has one of its own.
    fn of(&self) -> &str {
        let label = if self.is_task() {
            labels::TASK
        } else {
            labels::PIPELINE
        };
        let name = label_of(self.meta(), label);
        // The label of a run that brings its own pipeline is its own name.
        if name == self.name() { "" } else { name }
    }

    /// Digests of images that it made.
    fn digests(&self) -> Vec<&str> {
        match self {
            Self::Pipeline(run) => {
                let results = run.status.iter().flat_map(|status| &status.results);
                results
                    .filter(|result| result.name.ends_with(DIGEST))
                    .filter_map(|result| as_text(&result.value))
                    .collect()
            }
            Self::Task(run) => {
                let results = run.status.iter().flat_map(|status| &status.results);
                results
                    .filter(|result| result.name.ends_with(DIGEST))
                    .filter_map(|result| as_text(&result.value))
                    .collect()
            }
        }
    }
}

fn as_text(value: &ParamValue) -> Option<&str> {
    match value {
        ParamValue::String(text) => Some(text.trim()).filter(|text| !text.is_empty()),
        _ => None,
    }
}

fn label_of<'a>(meta: &'a ObjectMeta, key: &str) -> &'a str {
    let labels = meta.labels.as_ref();
    labels
        .and_then(|labels| labels.get(key))
        .map_or("", String::as_str)
}

fn annotation_of<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    meta.annotations.as_ref()?.get(key).map(String::as_str)
}

/// What revisions that get requests need: the runs that built them, and the digests of their images.
#[derive(Debug, Default)]
struct Serving {
    /// By namespace and name.
    runs: HashSet<(String, String)>,
    digests: HashSet<String>,
}

impl Serving {
    fn of<'a>(revisions: impl IntoIterator<Item = &'a Revision>) -> Self {
        let mut found = Self::default();
        for revision in revisions {
            let meta = &revision.metadata;
            if label_of(meta, ROUTING_STATE) == ROUTING_STATE_RESERVE || meta.deletion_timestamp.is_some() {
                continue;
            }
            if let Some(run) = annotation_of(meta, BUILD) {
                let namespace = meta.namespace.clone().unwrap_or_default();
                found.runs.insert((namespace, run.to_owned()));
            }
            let containers = revision.spec.pod_spec.containers.iter();
            let images = containers.filter_map(|container| container.image.as_deref());
            let digests = images.filter_map(|image| Some(image.split_once('@')?.1.to_owned()));
            found.digests.extend(digests);
            // Of an image that is named by a tag only the status tells the digest.
            let resolved = revision
                .status
                .iter()
                .flat_map(|status| &status.container_statuses);
            let resolved =
                resolved.filter_map(|container| Some(container.image_digest.as_deref()?.split_once('@')?.1));
            found.digests.extend(resolved.map(str::to_owned));
        }
        found
    }
}

/// The facts about all runs that are over and that nobody else made, and those runs in the same order.
pub(crate) fn facts(
    runs: &[Run],
    revisions: &[Arc<Revision>],
    pruning: &Pruning,
    namespaces: &HashMap<String, OfNamespace>,
) -> (Vec<Fact>, Vec<Run>) {
    let serving = Serving::of(revisions.iter().map(AsRef::as_ref));
    // A run that is not over may still want the results of an older one.
    let wanted: HashSet<(&str, &str)> = runs
        .iter()
        .filter(|run| !run.is_done())
        .filter_map(|run| Some((run.namespace(), annotation_of(run.meta(), RERUN_OF)?)))
        .collect();
    let newest = newest_of_digests(runs, &serving.digests);
    let none = BTreeMap::new();
    runs.iter()
        .filter(|run| run.is_on_its_own())
        .filter_map(|run| {
            let (succeeded, ended) = run.ended()?;
            let meta = run.meta();
            let (namespace, name, of) = (run.namespace(), run.name(), run.of());
            let repository = label_of(meta, REPOSITORY);
            let group = match repository {
                "" => of.to_owned(),
                // All builds are of a pipeline of the same name.
                repository => format!("{of}/{repository}"),
            };
            let about = About {
                namespace,
                task: run.is_task(),
                name: of,
                labels: meta.labels.as_ref().unwrap_or(&none),
                annotations: meta.annotations.as_ref().unwrap_or(&none),
            };
            let needed = (!run.is_task() && serving.runs.contains(&(namespace.to_owned(), name.to_owned())))
                || wanted.contains(&(namespace, name))
                || meta.uid.as_deref().is_some_and(|uid| newest.contains(uid));
            let fact = Fact {
                group: (namespace.to_owned(), run.is_task(), group),
                name: name.to_owned(),
                succeeded,
                ended,
                needed,
                limits: pruning.limits(about, namespaces.get(namespace)),
            };
            Some((fact, run.clone()))
        })
        .unzip()
}

/// The run that nobody made, of which `run` is a part; `None` if it is not there.
fn top<'a>(mut run: &'a Run, by_uid: &HashMap<&str, &'a Run>) -> Option<&'a Run> {
    // Pipelines in pipelines, as deep as anybody nests them.
    for _ in 0..16 {
        if run.is_on_its_own() {
            return Some(run);
        }
        run = by_uid.get(controller_of(run.meta())?.uid.as_str()).copied()?;
    }
    None
}

/// Of the runs that made the same image, only the newest one is kept for it: the same may be built over and over.
fn newest_of_digests<'a>(runs: &'a [Run], digests: &HashSet<String>) -> HashSet<&'a str> {
    let by_uid: HashMap<&str, &Run> = runs
        .iter()
        .filter_map(|run| Some((run.meta().uid.as_deref()?, run)))
        .collect();
    let mut newest: HashMap<&str, (Timestamp, &str)> = HashMap::new();
    for run in runs {
        // What a task of a pipeline made counts for the run that is kept or goes as a whole.
        let Some(top) = top(run, &by_uid) else { continue };
        let (Some((true, ended)), Some(uid)) = (top.ended(), top.meta().uid.as_deref()) else {
            continue;
        };
        for digest in run
            .digests()
            .into_iter()
            .filter(|digest| digests.contains(*digest))
        {
            let known = newest.entry(digest).or_insert((ended, uid));
            if (ended, uid) > *known {
                *known = (ended, uid);
            }
        }
    }
    newest.into_values().map(|(_, uid)| uid).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pipeline_run(name: &str, end: &str, more: Value) -> Run {
        let mut object = json!({ "apiVersion": "tekton.dev/v1", "kind": "PipelineRun",
            "metadata": { "name": name, "namespace": "ns", "uid": format!("uid-{name}"), "labels": {}, "annotations": {} }, "spec": {},
            "status": { "completionTime": end, "conditions": [{ "type": "Succeeded", "status": "True" }] } });
        for (pointer, value) in more.as_object().unwrap() {
            let (parent, key) = pointer.rsplit_once(' ').unwrap();
            object.pointer_mut(parent).unwrap()[key] = value.clone();
        }
        Run::Pipeline(Arc::new(serde_json::from_value(object).unwrap()))
    }

    fn revision(name: &str, image: &str, build: &str, state: &str) -> Arc<Revision> {
        let object = json!({ "apiVersion": "serving.knative.dev/v1", "kind": "Revision",
            "metadata": { "name": name, "namespace": "ns", "labels": { ROUTING_STATE: state }, "annotations": { BUILD: build } },
            "spec": { "containers": [{ "image": image }] } });
        Arc::new(serde_json::from_value(object).unwrap())
    }

    fn needed(runs: &[Run], revisions: &[Arc<Revision>]) -> Vec<String> {
        let (facts, _) = facts(runs, revisions, &Pruning::default(), &HashMap::new());
        let needed = facts.into_iter().filter(|fact| fact.needed);
        needed.map(|fact| fact.name).collect()
    }

    #[test]
    fn the_runs_of_revisions_that_serve_are_needed() {
        let runs = [
            pipeline_run("a", "2026-01-01T00:00:00Z", json!({})),
            pipeline_run("b", "2026-01-02T00:00:00Z", json!({})),
        ];
        assert_eq!(
            needed(&runs, &[revision("r", "i@sha256:1", "a", "active")]),
            ["a"]
        );
        assert_eq!(
            needed(&runs, &[revision("r", "i@sha256:1", "b", "pending")]),
            ["b"]
        );
        assert!(needed(&runs, &[revision("r", "i@sha256:1", "a", "reserve")]).is_empty());
    }

    #[test]
    fn the_newest_run_that_made_a_serving_image_is_needed() {
        let digest = json!({ "/status results": [{ "name": "APP_IMAGE_DIGEST", "value": "sha256:1\n" }] });
        let runs = [
            pipeline_run("old", "2026-01-01T00:00:00Z", digest.clone()),
            pipeline_run("new", "2026-01-02T00:00:00Z", digest),
            pipeline_run(
                "other",
                "2026-01-03T00:00:00Z",
                json!({ "/status results": [{ "name": "IMAGE_DIGEST", "value": "sha256:2" }] }),
            ),
        ];
        assert_eq!(
            needed(&runs, &[revision("r", "host:5000/i@sha256:1", "", "active")]),
            ["new"]
        );
        assert!(needed(&runs, &[revision("r", "host:5000/i:tag", "", "active")]).is_empty());
    }

    #[test]
    fn a_run_that_another_takes_results_from_is_needed_until_that_is_over() {
        let old = pipeline_run("old", "2026-01-01T00:00:00Z", json!({}));
        let again = |state: &str| {
            pipeline_run(
                "again",
                "2026-01-02T00:00:00Z",
                json!({ "/metadata annotations": { RERUN_OF: "old" },
                "/status conditions": [{ "type": "Succeeded", "status": state }] }),
            )
        };
        assert_eq!(needed(&[old.clone(), again("Unknown")], &[]), ["old"]);
        assert!(needed(&[old, again("True")], &[]).is_empty());
    }

    #[test]
    fn only_runs_that_are_over_and_have_no_parent_are_looked_at() {
        let owner = json!([{ "apiVersion": "tekton.dev/v1", "kind": "PipelineRun", "name": "p", "uid": "u", "controller": true }]);
        let other = json!([{ "apiVersion": "spindrift.dev/v1alpha1", "kind": "Repository", "name": "p", "uid": "u", "controller": true }]);
        let end = "2026-01-01T00:00:00Z";
        let runs = [
            pipeline_run("child", end, json!({ "/metadata ownerReferences": owner })),
            pipeline_run("build", end, json!({ "/metadata ownerReferences": other })),
            pipeline_run("going", end, json!({ "/metadata deletionTimestamp": end })),
            pipeline_run(
                "running",
                end,
                json!({ "/status conditions": [{ "type": "Succeeded", "status": "Unknown" }] }),
            ),
            pipeline_run("new", end, json!({ "/status conditions": [] })),
        ];
        let (facts, found) = facts(&runs, &[], &Pruning::default(), &HashMap::new());
        assert_eq!(facts.len(), found.len());
        let names: Vec<&str> = facts.iter().map(|fact| fact.name.as_str()).collect();
        assert_eq!(names, ["build"]);
    }

    #[test]
    fn runs_are_counted_by_pipeline_and_repository() {
        let end = "2026-01-01T00:00:00Z";
        let labelled =
            |name: &str, labels: Value| pipeline_run(name, end, json!({ "/metadata labels": labels }));
        let runs = [
            labelled("a", json!({ labels::PIPELINE: "release" })),
            labelled("own", json!({ labels::PIPELINE: "own" })),
            labelled("b1", json!({ labels::PIPELINE: "build", REPOSITORY: "web" })),
            labelled("b2", json!({ labels::PIPELINE: "build", REPOSITORY: "api" })),
            labelled("none", json!({})),
        ];
        let (facts, _) = facts(&runs, &[], &Pruning::default(), &HashMap::new());
        let groups: Vec<&str> = facts.iter().map(|fact| fact.group.2.as_str()).collect();
        assert_eq!(groups, ["release", "", "build/web", "build/api", ""]);
    }
}
