//! Descriptions of tasks, pipelines and their runs: a head, then a table for each thing there is any of.

use jiff::Timestamp;
use serde_json::Value;

use super::params::type_of;
use super::status::status;
use super::times::{ago, lasted, words};
use crate::commands::list::text;
use crate::conditions::indent;
use crate::{describe, table};

/// What stands for nothing.
const NONE: &str = "---";
/// Most characters of one cell; `--verbose` and `-o` show all.
const WIDTH: usize = 80;

/// A description as it grows.
struct Page {
    parts: Vec<String>,
    verbose: bool,
}

impl Page {
    /// Begins with name and namespace, then `rows` as far as they say anything, then labels and annotations.
    fn new(object: &Value, rows: Vec<(&'static str, String)>, verbose: bool, now: Timestamp) -> Self {
        let metadata = describe::metadata(object, verbose, now);
        let (names, others): (Vec<_>, Vec<_>) = metadata
            .into_iter()
            .filter(|(label, _)| *label != "Age")
            .partition(|(label, _)| ["Name", "Namespace"].contains(label));
        let rows = rows.into_iter().filter(|(_, value)| !value.is_empty());
        let head: Vec<_> = names.into_iter().chain(rows).chain(others).collect();
        Self {
            parts: vec![describe::block(&head)],
            verbose,
        }
    }

    fn part(&mut self, title: &str, body: &str) {
        if !body.is_empty() {
            self.parts.push(format!("{title}:\n{}", indent(body)));
        }
    }

    fn table(&mut self, title: &str, headers: &[&str], rows: &[Vec<String>]) {
        if rows.is_empty() {
            return;
        }
        let rows: Vec<Vec<String>> = rows
            .iter()
            .map(|row| row.iter().map(|cell| self.cell(cell)).collect())
            .collect();
        self.part(title, &table::render(headers, &rows, true));
    }

    fn cell(&self, text: &str) -> String {
        let line = table::one_line(text);
        match line.is_empty() {
            true => NONE.to_owned(),
            false if self.verbose || line.chars().count() <= WIDTH => line,
            false => line.chars().take(WIDTH - 4).chain(" ...".chars()).collect(),
        }
    }

    fn text(self) -> String {
        self.parts.join("\n\n")
    }

    /// What every run has: status, message, and what it was told and said.
    fn run_status(&mut self, run: &Value, now: Timestamp) {
        let headers = ["STARTED", "DURATION", "STATUS"];
        self.table("Status", &headers, &[state(run, now)]);
        let condition = &run["status"]["conditions"][0];
        if condition["status"] != "True" {
            let message = text(condition, "/message");
            self.part("Message", message.trim());
        }
    }

    fn run_values(&mut self, run: &Value) {
        for (title, list) in [
            ("Params", &run["spec"]["params"]),
            ("Results", &run["status"]["results"]),
        ] {
            let rows: Vec<Vec<String>> = items(list)
                .map(|item| vec![text(item, "/name"), shown(&item["value"])])
                .collect();
            self.table(title, &["NAME", "VALUE"], &rows);
        }
        let rows: Vec<Vec<String>> = items(&run["spec"]["workspaces"])
            .map(|bound| vec![text(bound, "/name"), text(bound, "/subPath"), binding(bound)])
            .collect();
        let headers = ["NAME", "SUB PATH", "WORKSPACE BINDING"];
        self.table("Workspaces", &headers, &rows);
    }

    fn declared(&mut self, spec: &Value) {
        let rows: Vec<Vec<String>> = items(&spec["params"])
            .map(|param| {
                vec![
                    text(param, "/name"),
                    type_of(param).to_owned(),
                    text(param, "/description"),
                    shown(&param["default"]),
                ]
            })
            .collect();
        let headers = ["NAME", "TYPE", "DESCRIPTION", "DEFAULT VALUE"];
        self.table("Params", &headers, &rows);
        let rows: Vec<Vec<String>> = items(&spec["results"])
            .map(|result| vec![text(result, "/name"), text(result, "/description")])
            .collect();
        self.table("Results", &["NAME", "DESCRIPTION"], &rows);
        let rows: Vec<Vec<String>> = items(&spec["workspaces"])
            .map(|one| {
                let optional = one["optional"] == true;
                vec![
                    text(one, "/name"),
                    text(one, "/description"),
                    optional.to_string(),
                ]
            })
            .collect();
        self.table("Workspaces", &["NAME", "DESCRIPTION", "OPTIONAL"], &rows);
    }

    fn runs(&mut self, title: &str, runs: &[Value], now: Timestamp) {
        let rows: Vec<Vec<String>> = runs
            .iter()
            .map(|run| {
                std::iter::once(text(run, "/metadata/name"))
                    .chain(state(run, now))
                    .collect()
            })
            .collect();
        self.table(title, &["NAME", "STARTED", "DURATION", "STATUS"], &rows);
    }
}

/// A task, and its runs.
pub fn task(task: &Value, runs: &[Value], verbose: bool, now: Timestamp) -> String {
    let spec = &task["spec"];
    let mut page = Page::new(
        task,
        vec![("Description", text(spec, "/description"))],
        verbose,
        now,
    );
    page.declared(spec);
    let steps: Vec<Vec<String>> = items(&spec["steps"])
        .enumerate()
        .map(|(index, step)| match text(step, "/name") {
            name if name.is_empty() => vec![format!("unnamed-{index}")],
            name => vec![name],
        })
        .collect();
    page.table("Steps", &["NAME"], &steps);
    page.runs("Taskruns", runs, now);
    page.text()
}

/// A run of a task.
pub fn task_run(run: &Value, verbose: bool, now: Timestamp) -> String {
    let head = vec![
        ("Task Ref", reference(&run["spec"]["taskRef"])),
        ("Service Account", text(run, "/spec/serviceAccountName")),
        ("Timeout", words(&text(run, "/spec/timeout"))),
        ("Pod", text(run, "/status/podName")),
    ];
    let mut page = Page::new(run, head, verbose, now);
    page.run_status(run, now);
    page.run_values(run);
    for (title, list) in [("Steps", "steps"), ("Sidecars", "sidecars")] {
        let rows: Vec<Vec<String>> = items(&run["status"][list])
            .map(|step| vec![text(step, "/name"), step_state(step)])
            .collect();
        page.table(title, &["NAME", "STATUS"], &rows);
    }
    page.text()
}

/// A pipeline, and its runs.
pub fn pipeline(pipeline: &Value, runs: &[Value], verbose: bool, now: Timestamp) -> String {
    let spec = &pipeline["spec"];
    let head = vec![("Description", text(spec, "/description"))];
    let mut page = Page::new(pipeline, head, verbose, now);
    page.declared(spec);
    for (title, list) in [("Tasks", "tasks"), ("Finally", "finally")] {
        let rows: Vec<Vec<String>> = items(&spec[list])
            .map(|task| {
                let after: Vec<&str> = items(&task["runAfter"]).filter_map(Value::as_str).collect();
                let params: Vec<String> = items(&task["params"])
                    .map(|param| format!("{}: {}", text(param, "/name"), shown(&param["value"])))
                    .collect();
                vec![
                    text(task, "/name"),
                    reference(&task["taskRef"]),
                    after.join(", "),
                    match text(task, "/timeout") {
                        none if none.is_empty() => none,
                        timeout => words(&timeout),
                    },
                    params.join(", "),
                ]
            })
            .collect();
        let headers = ["NAME", "TASKREF", "RUNAFTER", "TIMEOUT", "PARAMS"];
        page.table(title, &headers, &rows);
    }
    page.runs("PipelineRuns", runs, now);
    page.text()
}

/// A run of a pipeline, and the TaskRuns that it made.
pub fn pipeline_run(run: &Value, task_runs: &[Value], verbose: bool, now: Timestamp) -> String {
    let head = vec![
        ("Pipeline Ref", reference(&run["spec"]["pipelineRef"])),
        (
            "Service Account",
            text(run, "/spec/taskRunTemplate/serviceAccountName"),
        ),
    ];
    let mut page = Page::new(run, head, verbose, now);
    page.run_status(run, now);
    let timeouts: Vec<(&str, String)> = [
        ("Pipeline", "pipeline"),
        ("Tasks", "tasks"),
        ("Finally", "finally"),
    ]
    .into_iter()
    .filter_map(|(label, field)| Some((label, words(run["spec"]["timeouts"][field].as_str()?))))
    .collect();
    page.part("Timeouts", &describe::block(&timeouts));
    page.run_values(run);
    let children: Vec<Vec<String>> = items(&run["status"]["childReferences"])
        .map(|child| {
            let name = text(child, "/name");
            let found = task_runs.iter().find(|run| text(run, "/metadata/name") == name);
            let state = found.map_or_else(|| vec![NONE.to_owned(); 3], |run| state(run, now));
            [vec![name, text(child, "/pipelineTaskName")], state].concat()
        })
        .collect();
    let headers = ["NAME", "TASK NAME", "STARTED", "DURATION", "STATUS"];
    page.table("Taskruns", &headers, &children);
    let skipped: Vec<Vec<String>> = items(&run["status"]["skippedTasks"])
        .map(|task| vec![text(task, "/name"), text(task, "/reason")])
        .collect();
    page.table("Skipped Tasks", &["NAME", "REASON"], &skipped);
    page.text()
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// STARTED, DURATION and STATUS.
fn state(run: &Value, now: Timestamp) -> Vec<String> {
    let times = &run["status"];
    vec![
        ago(&times["startTime"], now),
        lasted(&times["startTime"], &times["completionTime"]),
        status(run),
    ]
}

/// The name, or who finds it elsewhere.
fn reference(reference: &Value) -> String {
    match (reference["name"].as_str(), reference["resolver"].as_str()) {
        (Some(name), _) => name.to_owned(),
        (None, Some(resolver)) => format!("(resolver {resolver})"),
        (None, None) => String::new(),
    }
}

/// A value of a param or a result; nothing if there is none.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn binding(bound: &Value) -> String {
    let named = |pointer: &str, kind: &str, key: &str| {
        let name = bound.pointer(pointer).and_then(Value::as_str)?;
        Some(format!("{kind} ({key}={name})"))
    };
    let sources = [
        (
            "/persistentVolumeClaim/claimName",
            "PersistentVolumeClaim",
            "ClaimName",
        ),
        ("/configMap/name", "ConfigMap", "config"),
        ("/secret/secretName", "Secret", "secret"),
        ("/csi/driver", "CSI", "Driver"),
    ];
    sources
        .iter()
        .find_map(|(pointer, kind, key)| named(pointer, kind, key))
        .unwrap_or_else(|| {
            let kinds = [
                ("emptyDir", "EmptyDir (emptyDir=)"),
                ("volumeClaimTemplate", "VolumeClaimTemplate"),
                ("projected", "Projected"),
            ];
            let found = kinds.iter().find(|(field, _)| bound[*field].is_object());
            found.map_or_else(String::new, |(_, kind)| (*kind).to_owned())
        })
}

fn step_state(step: &Value) -> String {
    if step["running"].is_object() {
        return "Running".to_owned();
    }
    let reasons = ["/terminationReason", "/terminated/reason", "/waiting/reason"];
    let reason = reasons
        .iter()
        .map(|pointer| text(step, pointer))
        .find(|reason| !reason.is_empty());
    reason.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: &str = "2026-01-01T00:10:00Z";

    fn run(name: &str) -> Value {
        json!({ "metadata": { "name": name, "namespace": "d", "labels": { "a": "b" } },
            "spec": { "taskRef": { "name": "build" }, "serviceAccountName": "default", "timeout": "1h0m0s",
                "params": [{ "name": "flags", "value": ["x", "y"] }],
                "workspaces": [{ "name": "src", "emptyDir": {} }, { "name": "cfg", "configMap": { "name": "c" }, "subPath": "s" }] },
            "status": { "podName": "p", "startTime": "2026-01-01T00:00:00Z", "completionTime": "2026-01-01T00:01:05Z",
                "conditions": [{ "type": "Succeeded", "status": "False", "reason": "StepFailed", "message": "it broke" }],
                "results": [{ "name": "digest", "value": "sha256:1" }],
                "steps": [{ "name": "a", "terminated": { "reason": "Completed" } }, { "name": "b", "terminated": { "reason": "Error" }, "terminationReason": "TimeoutExceeded" },
                    { "name": "c", "running": {} }, { "name": "d", "waiting": { "reason": "PodInitializing" } }] } })
    }

    #[test]
    fn a_task_run_is_described() {
        let text = task_run(&run("r"), false, NOW.parse().unwrap());
        assert_eq!(
            text,
            "Name:             r
Namespace:        d
Task Ref:         build
Service Account:  default
Timeout:          1 hour
Pod:              p
Labels:           a=b

Status:
  STARTED          DURATION   STATUS
  10 minutes ago   1m5s       Failed(StepFailed)

Message:
  it broke

Params:
  NAME     VALUE
  flags    [\"x\",\"y\"]

Results:
  NAME     VALUE
  digest   sha256:1

Workspaces:
  NAME     SUB PATH   WORKSPACE BINDING
  src      ---        EmptyDir (emptyDir=)
  cfg      s          ConfigMap (config=c)

Steps:
  NAME     STATUS
  a        Completed
  b        TimeoutExceeded
  c        Running
  d        PodInitializing"
        );
    }

    #[test]
    fn a_pipeline_run_is_described_with_its_children() {
        let object = json!({ "metadata": { "name": "r", "namespace": "d" },
            "spec": { "pipelineRef": { "resolver": "git" }, "timeouts": { "pipeline": "1h0m0s", "tasks": "30m" } },
            "status": { "conditions": [{ "status": "True", "reason": "Completed", "message": "Tasks Completed: 1" }],
                "childReferences": [{ "kind": "TaskRun", "name": "r-a", "pipelineTaskName": "a" }, { "kind": "TaskRun", "name": "r-b", "pipelineTaskName": "b" }],
                "skippedTasks": [{ "name": "c", "reason": "When Expressions evaluated to false" }] } });
        let text = pipeline_run(&object, &[run("r-a")], false, NOW.parse().unwrap());
        assert_eq!(
            text,
            "Name:          r
Namespace:     d
Pipeline Ref:  (resolver git)

Status:
  STARTED   DURATION   STATUS
  ---       ---        Succeeded

Timeouts:
  Pipeline:  1 hour
  Tasks:     30 minutes

Taskruns:
  NAME     TASK NAME   STARTED          DURATION   STATUS
  r-a      a           10 minutes ago   1m5s       Failed(StepFailed)
  r-b      b           ---              ---        ---

Skipped Tasks:
  NAME     REASON
  c        When Expressions evaluated to false"
        );
    }

    #[test]
    fn a_pipeline_is_described() {
        let object = json!({ "metadata": { "name": "p", "namespace": "d" }, "spec": { "description": "Builds.",
            "params": [{ "name": "url" }, { "name": "flags", "default": ["a"], "description": "Words." }],
            "workspaces": [{ "name": "src" }],
            "tasks": [{ "name": "a", "taskRef": { "name": "build" }, "params": [{ "name": "url", "value": "$(params.url)" }] },
                { "name": "b", "taskSpec": {}, "runAfter": ["a"], "timeout": "90s" }] } });
        let text = pipeline(&object, &[], false, NOW.parse().unwrap());
        assert_eq!(
            text,
            "Name:         p
Namespace:    d
Description:  Builds.

Params:
  NAME     TYPE     DESCRIPTION   DEFAULT VALUE
  url      string   ---           ---
  flags    array    Words.        [\"a\"]

Workspaces:
  NAME     DESCRIPTION   OPTIONAL
  src      ---           false

Tasks:
  NAME     TASKREF   RUNAFTER   TIMEOUT               PARAMS
  a        build     ---        ---                   url: $(params.url)
  b        ---       a          1 minute 30 seconds   ---"
        );
    }
}
