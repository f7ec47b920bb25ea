//! The same again, and where a run went wrong.

use serde_json::{Map, Value, json};

use crate::commands::list::text;

/// On runs: the run whose results are taken over.
const RERUN_OF: &str = "spindrift.dev/rerun-of";
/// Annotations that are about the run they are on.
const OWN: [&str; 6] = [
    "kubectl.kubernetes.io/",
    "chains.tekton.dev/",
    "pipeline.tekton.dev/release",
    "spindrift.dev/position",
    "spindrift.dev/superseded-by",
    RERUN_OF,
];

/// A new run of the same spec; with `from_failed` one that takes over what succeeded.
pub fn again(run: &Value, from_failed: bool) -> Value {
    let name = text(run, "/metadata/name");
    let prefix = match text(run, "/metadata/generateName") {
        prefix if prefix.is_empty() => format!("{name}-"),
        prefix => prefix,
    };
    let mut metadata = json!({ "generateName": prefix, "namespace": run["metadata"]["namespace"] });
    // Who brings a pipeline or task is labelled with its own name.
    let labels = kept(&run["metadata"]["labels"], |_, value| value != name.as_str());
    let mut annotations = kept(&run["metadata"]["annotations"], |key, _| {
        !OWN.iter().any(|own| key.starts_with(own))
    });
    if from_failed {
        annotations.insert(RERUN_OF.to_owned(), json!(name));
    }
    for (field, map) in [("labels", labels), ("annotations", annotations)] {
        if !map.is_empty() {
            metadata[field] = json!(map);
        }
    }
    let mut spec = run["spec"].clone();
    if let Some(fields) = spec.as_object_mut() {
        // What was wanted of that run is not wanted of this one.
        for field in ["status", "statusMessage"] {
            fields.remove(field);
        }
    }
    json!({ "apiVersion": run["apiVersion"], "kind": run["kind"], "metadata": metadata, "spec": spec })
}

fn kept(map: &Value, wanted: impl Fn(&str, &Value) -> bool) -> Map<String, Value> {
    let pairs = map.as_object().into_iter().flatten();
    pairs
        .filter(|(key, value)| wanted(key, value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// The step that a run failed at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failing {
    pub task_run: String,
    /// Name of the task within the pipeline.
    pub task: String,
    pub step: String,
    pub code: i64,
}

/// The step that failed first among those of a run's TaskRuns.
pub fn failing<'a>(task_runs: impl IntoIterator<Item = &'a Value>) -> Option<Failing> {
    let failed = task_runs.into_iter().flat_map(|run| {
        let steps = run["status"]["steps"].as_array().into_iter().flatten();
        steps.filter_map(move |step| {
            let ended = &step["terminated"];
            let code = ended["exitCode"].as_i64().filter(|code| *code != 0)?;
            // Steps that never ran because of another one say so.
            let skipped = step["terminationReason"] == "Skipped" || ended["reason"] == "Skipped";
            let found = Failing {
                task_run: text(run, "/metadata/name"),
                task: text(run, "/metadata/labels/tekton.dev~1pipelineTask"),
                step: text(step, "/name"),
                code,
            };
            (!skipped).then(|| (text(ended, "/finishedAt"), found))
        })
    });
    failed.min_by(|(a, _), (b, _)| a.cmp(b)).map(|(_, found)| found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_wanted_again_and_nothing_of_what_became_of_it() {
        let run = json!({ "apiVersion": "tekton.dev/v1", "kind": "PipelineRun",
            "metadata": { "name": "r-1", "namespace": "ns", "generateName": "r-", "uid": "u", "resourceVersion": "7",
                "labels": { "tekton.dev/pipeline": "r-1", "team": "a" },
                "annotations": { "kubectl.kubernetes.io/last-applied-configuration": "{}", "chains.tekton.dev/signed": "true",
                    "spindrift.dev/rerun-of": "r-0", "note": "x" } },
            "spec": { "pipelineSpec": { "tasks": [] }, "params": [{ "name": "a", "value": "b" }], "status": "Cancelled", "statusMessage": "m" },
            "status": { "conditions": [] } });
        assert_eq!(
            again(&run, false),
            json!({ "apiVersion": "tekton.dev/v1", "kind": "PipelineRun",
                "metadata": { "generateName": "r-", "namespace": "ns", "labels": { "team": "a" }, "annotations": { "note": "x" } },
                "spec": { "pipelineSpec": { "tasks": [] }, "params": [{ "name": "a", "value": "b" }] } })
        );
        assert_eq!(
            again(&run, true)["metadata"]["annotations"],
            json!({ "note": "x", "spindrift.dev/rerun-of": "r-1" })
        );
        let plain = json!({ "metadata": { "name": "r", "namespace": "ns" }, "spec": {} });
        assert_eq!(
            again(&plain, false)["metadata"],
            json!({ "generateName": "r-", "namespace": "ns" })
        );
    }

    #[test]
    fn the_first_step_that_failed_is_found() {
        let step = |name: &str, code: i64, time: &str, reason: &str| {
            json!({ "name": name, "terminationReason": reason,
            "terminated": { "exitCode": code, "finishedAt": time } })
        };
        let run = |name: &str, steps: Vec<Value>| {
            json!({ "metadata": { "name": name, "labels": { "tekton.dev/pipelineTask": format!("{name}-task") } },
            "status": { "steps": steps } })
        };
        let runs = [
            run("b", vec![step("late", 2, "2026-01-01T00:00:09Z", "Error")]),
            run(
                "a",
                vec![
                    step("fine", 0, "2026-01-01T00:00:01Z", "Completed"),
                    step("broke", 7, "2026-01-01T00:00:05Z", "Error"),
                    step("after", 1, "2026-01-01T00:00:02Z", "Skipped"),
                ],
            ),
        ];
        let found = failing(&runs).unwrap();
        assert_eq!(
            (
                found.task_run.as_str(),
                found.task.as_str(),
                found.step.as_str(),
                found.code
            ),
            ("a", "a-task", "broke", 7)
        );
        assert_eq!(failing(&runs[..0]), None);
    }
}
