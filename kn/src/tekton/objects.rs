//! What there is to find in a run.

use std::collections::HashSet;

use serde_json::Value;

use super::times::instant;
use crate::commands::list::text;

/// What the names of the containers of steps begin with.
const STEP: &str = "step-";

/// A TaskRun that a PipelineRun made.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Child {
    pub name: String,
    /// Name of the task within the pipeline.
    pub task: String,
}

/// Will nothing change any more?
pub fn is_over(run: &Value) -> bool {
    matches!(
        run.pointer("/status/conditions/0/status").and_then(Value::as_str),
        Some("True" | "False")
    )
}

/// Sorts the newest first: what has not started yet is the newest of all.
pub fn newness(run: &Value) -> i64 {
    match instant(&run["status"]["startTime"]) {
        Some(start) => start.as_second().saturating_neg(),
        None => i64::MIN,
    }
}

/// The run that started last.
pub fn newest<'a>(runs: impl IntoIterator<Item = &'a Value>) -> Option<&'a Value> {
    let created = |run: &Value| {
        instant(&run["metadata"]["creationTimestamp"]).map_or(0, |time| time.as_second().saturating_neg())
    };
    runs.into_iter()
        .min_by_key(|run| (newness(run), created(run), text(run, "/metadata/name")))
}

/// The pods of a TaskRun: those of the attempts that failed, then the present one.
pub fn attempts(task_run: &Value) -> Vec<String> {
    let status = &task_run["status"];
    let before = status["retriesStatus"].as_array().into_iter().flatten();
    let mut known = HashSet::new();
    before
        .chain([status])
        .map(|status| text(status, "/podName"))
        .filter(|pod| !pod.is_empty() && known.insert(pod.clone()))
        .collect()
}

/// The TaskRuns of a PipelineRun, in the order of the pipeline's tasks.
pub fn children(pipeline_run: &Value) -> Vec<Child> {
    let specs = ["/status/pipelineSpec", "/spec/pipelineSpec"];
    let spec = specs.iter().find_map(|pointer| pipeline_run.pointer(pointer));
    let order: Vec<&str> = ["tasks", "finally"]
        .iter()
        .flat_map(|list| spec.and_then(|spec| spec[*list].as_array()).into_iter().flatten())
        .filter_map(|task| task["name"].as_str())
        .collect();
    let references = pipeline_run["status"]["childReferences"].as_array();
    let mut children: Vec<Child> = references
        .into_iter()
        .flatten()
        .filter(|child| child["kind"] == "TaskRun")
        .map(|child| Child {
            name: text(child, "/name"),
            task: text(child, "/pipelineTaskName"),
        })
        .collect();
    children.sort_by_key(|child| {
        order
            .iter()
            .position(|task| *task == child.task)
            .unwrap_or(order.len())
    });
    children
}

/// The containers of a pod that are steps, in order, and their steps' names.
pub fn steps(pod: &Value) -> Vec<(String, String)> {
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    containers
        .filter_map(|container| container["name"].as_str())
        .filter_map(|name| Some((name.to_owned(), name.strip_prefix(STEP)?.to_owned())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_did_not_start_is_newest() {
        let run = |name: &str, start: Option<&str>| json!({ "metadata": { "name": name, "creationTimestamp": "2026-01-01T00:00:00Z" }, "status": { "startTime": start } });
        let runs = [
            run("old", Some("2026-01-01T00:00:00Z")),
            run("new", Some("2026-01-02T00:00:00Z")),
        ];
        assert_eq!(text(newest(&runs).unwrap(), "/metadata/name"), "new");
        let waiting = run("waiting", None);
        assert_eq!(
            text(newest(runs.iter().chain([&waiting])).unwrap(), "/metadata/name"),
            "waiting"
        );
        assert!(newest([]).is_none());
    }

    #[test]
    fn pods_are_those_of_every_attempt() {
        let run = json!({ "status": { "podName": "a-pod-retry1", "retriesStatus": [{ "podName": "a-pod" }, { "podName": "" }] } });
        assert_eq!(attempts(&run), ["a-pod", "a-pod-retry1"]);
        assert_eq!(
            attempts(&json!({ "status": { "podName": "a", "retriesStatus": [{ "podName": "a" }] } })),
            ["a"]
        );
        assert!(attempts(&json!({})).is_empty());
    }

    #[test]
    fn children_follow_the_pipeline() {
        let child = |kind: &str, task: &str| json!({ "kind": kind, "name": format!("r-{task}"), "pipelineTaskName": task });
        let run = json!({ "status": {
            "pipelineSpec": { "tasks": [{ "name": "build" }, { "name": "test" }], "finally": [{ "name": "clean" }] },
            "childReferences": [child("TaskRun", "clean"), child("TaskRun", "test"), child("CustomRun", "wait"), child("TaskRun", "build")] } });
        let names: Vec<String> = children(&run).into_iter().map(|child| child.task).collect();
        assert_eq!(names, ["build", "test", "clean"]);
    }

    #[test]
    fn sidecars_are_no_steps() {
        let pod = json!({ "spec": { "containers": [{ "name": "step-a" }, { "name": "sidecar-b" }, { "name": "step-step-c" }] } });
        let names: Vec<String> = steps(&pod).into_iter().map(|(_, step)| step).collect();
        assert_eq!(names, ["a", "step-c"]);
    }
}
