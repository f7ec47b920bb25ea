//! Builds: PipelineRuns that belong to a Repository.

use jiff::Timestamp;
use serde_json::Value;

use super::status::status;
use super::times::{ago, lasted};
use crate::commands::list::text;
use crate::conditions::indent;
use crate::{describe, table};

/// Characters of a commit that people read.
const SHORT: usize = 7;
/// Most characters of the first line of a commit's message.
const MESSAGE: usize = 60;

/// Labels and annotations of builds.
pub struct Marks;

impl Marks {
    /// Label: name of the Repository.
    pub const REPOSITORY: &str = "spindrift.dev/repository";
    /// Label: name of the Service.
    pub const SERVICE: &str = "spindrift.dev/service";
    /// Annotation of Services: how the last build went, as JSON.
    pub const LAST_BUILD: &str = "spindrift.dev/last-build";
    /// Annotation of Repositories: another value asks for a build.
    pub const REBUILD: &str = "spindrift.dev/rebuild";
}

/// The annotation `spindrift.dev/<name>`. What comes from a commit must not steer the terminal.
fn mark(run: &Value, name: &str) -> String {
    let plain = |letter: char| if letter.is_control() { ' ' } else { letter };
    let mark = text(run, &format!("/metadata/annotations/spindrift.dev~1{name}"));
    mark.chars().map(plain).collect()
}

/// Whether a run is a build.
pub fn is_build(run: &Value) -> bool {
    run["metadata"]["labels"][Marks::REPOSITORY].is_string()
}

/// The commit as people read it; of an uploaded folder the beginning of its digest.
fn commit(run: &Value) -> String {
    let commit = full_commit(run, &[]);
    if !commit.is_empty() {
        return commit.chars().take(SHORT).collect();
    }
    let source = mark(run, "source");
    match source.split_once("@sha256:") {
        Some((_, digest)) => format!("upload {}", digest.chars().take(SHORT).collect::<String>()),
        None => String::new(),
    }
}

/// `main` for `refs/heads/main`, `v1 (tag)` for `refs/tags/v1`.
fn branch(run: &Value) -> String {
    let name = mark(run, "ref");
    if let Some(branch) = name.strip_prefix("refs/heads/") {
        return branch.to_owned();
    }
    match name.strip_prefix("refs/tags/") {
        Some(tag) => format!("{tag} (tag)"),
        None => name,
    }
}

/// How many builds are before one that waits, and itself; `None` unless it waits.
fn position(run: &Value) -> Option<String> {
    let waits = run
        .pointer("/status/conditions/0/reason")
        .is_some_and(|reason| reason == "PipelineRunPending")
        || run["spec"]["status"] == "PipelineRunPending";
    let position = mark(run, "position");
    (waits && !position.is_empty()).then_some(position)
}

/// The status; with its place in the queue while it waits.
fn state(run: &Value) -> String {
    match position(run) {
        Some(position) => format!("Pending({position})"),
        None => status(run),
    }
}

/// The cells of a build in a list, behind its name: service, commit, branch, author, started, duration, status, message.
pub fn build_rows(run: &Value, now: Timestamp) -> [String; 8] {
    let message: String = table::one_line(&mark(run, "message"))
        .chars()
        .take(MESSAGE)
        .collect();
    [
        text(run, "/metadata/labels/spindrift.dev~1service"),
        commit(run),
        branch(run),
        author(run, &[]),
        ago(&run["status"]["startTime"], now),
        lasted(&run["status"]["startTime"], &run["status"]["completionTime"]),
        state(run),
        message,
    ]
}

/// The result of this name among those of a run and of its TaskRuns.
fn result(run: &Value, task_runs: &[Value], name: &str) -> String {
    let all = std::iter::once(run).chain(task_runs);
    let mut found = all
        .flat_map(|run| run["status"]["results"].as_array().into_iter().flatten())
        .filter(|result| result["name"] == name)
        .filter_map(|result| result["value"].as_str());
    found.next().unwrap_or_default().trim().to_owned()
}

/// The image by its digest.
fn image(run: &Value, task_runs: &[Value]) -> String {
    let url = result(run, task_runs, "IMAGE_URL");
    let digest = result(run, task_runs, "IMAGE_DIGEST");
    match url.is_empty() || digest.is_empty() {
        true => format!("{url}{digest}"),
        false => format!("{url}@{digest}"),
    }
}

/// What was built; of the first build of a branch, what was found there.
fn full_commit(run: &Value, task_runs: &[Value]) -> String {
    match mark(run, "commit") {
        commit if commit.is_empty() => result(run, task_runs, "commit"),
        commit => commit,
    }
}

fn author(run: &Value, task_runs: &[Value]) -> String {
    match mark(run, "author") {
        author if author.is_empty() => result(run, task_runs, "author"),
        author => author,
    }
}

fn duration(run: &Value) -> String {
    lasted(&run["status"]["startTime"], &run["status"]["completionTime"])
}

/// What else there is to know of the build that a service runs; what is not known is empty.
pub fn build_facts(run: &Value, task_runs: &[Value]) -> Vec<(&'static str, String)> {
    let duration = match run.is_null() {
        true => String::new(),
        false => duration(run),
    };
    vec![
        ("Source", mark(run, "source")),
        ("Author", author(run, task_runs)),
        ("Message", mark(run, "message")),
        ("Image", image(run, task_runs)),
        ("Duration", duration),
    ]
}

/// A line for each step of these TaskRuns: how long it took, and how it ended; `None` if there are none.
pub fn step_table(task_runs: &[Value]) -> Option<String> {
    let steps: Vec<Vec<String>> = task_runs.iter().flat_map(steps).collect();
    (!steps.is_empty()).then(|| table::render(&["TASK", "STEP", "DURATION", "STATUS"], &steps, true))
}

/// The description of a build; `task_runs` are those that it made, `deployed` what its Repository says to run.
pub fn build(run: &Value, task_runs: &[Value], deployed: &Value, now: Timestamp) -> String {
    let name = text(run, "/metadata/name");
    let revision = match deployed["run"] == name.as_str() {
        true => text(deployed, "/revision"),
        false => String::new(),
    };
    let rows: Vec<(&str, String)> = [
        ("Name", name),
        ("Namespace", text(run, "/metadata/namespace")),
        ("Service", text(run, "/metadata/labels/spindrift.dev~1service")),
        (
            "Repository",
            text(run, "/metadata/labels/spindrift.dev~1repository"),
        ),
        ("Branch", branch(run)),
        ("Commit", full_commit(run, task_runs)),
        ("Source", mark(run, "source")),
        ("Author", author(run, task_runs)),
        ("Message", mark(run, "message")),
        ("Image", image(run, task_runs)),
        ("Revision", revision),
        ("Superseded by", mark(run, "superseded-by")),
        ("Status", state(run)),
        ("Started", ago(&run["status"]["startTime"], now)),
        ("Duration", duration(run)),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .collect();
    let mut parts = vec![describe::block(&rows)];
    if let Some(table) = step_table(task_runs) {
        parts.push(format!("Steps:\n{}", indent(&table)));
    }
    let message = text(run, "/status/conditions/0/message");
    if run
        .pointer("/status/conditions/0/status")
        .is_some_and(|status| status != "True")
        && !message.is_empty()
    {
        parts.push(format!("Message:\n{}", indent(&message)));
    }
    parts.join("\n\n")
}

/// Task, step, duration and status of each step.
fn steps(task_run: &Value) -> Vec<Vec<String>> {
    let task = text(task_run, "/metadata/labels/tekton.dev~1pipelineTask");
    let steps = task_run["status"]["steps"].as_array().into_iter().flatten();
    steps
        .map(|step| {
            let ended = &step["terminated"];
            let state = if ended.is_object() {
                let reason = text(step, "/terminationReason");
                let reason = if reason.is_empty() {
                    text(ended, "/reason")
                } else {
                    reason
                };
                match ended["exitCode"].as_i64() {
                    Some(code) if code != 0 => format!("{reason} ({code})"),
                    _ => reason,
                }
            } else if step["running"].is_object() {
                "Running".to_owned()
            } else {
                "---".to_owned()
            };
            let length = lasted(&ended["startedAt"], &ended["finishedAt"]);
            vec![task.clone(), text(step, "/name"), length, state]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn run() -> Value {
        json!({ "metadata": { "name": "web-1", "namespace": "ns",
                "labels": { "spindrift.dev/repository": "web", "spindrift.dev/service": "web" },
                "annotations": { "spindrift.dev/commit": "0123456789abcdef", "spindrift.dev/ref": "refs/heads/main",
                    "spindrift.dev/author": "Ada", "spindrift.dev/message": "Say\thello" } },
            "status": { "startTime": "2026-01-01T00:00:00Z", "completionTime": "2026-01-01T00:00:30Z",
                "conditions": [{ "status": "True", "reason": "Succeeded", "message": "all done" }] } })
    }

    #[test]
    fn builds_are_listed_by_what_people_know_of_them() {
        let now = "2026-01-01T00:05:00Z".parse().unwrap();
        assert_eq!(
            build_rows(&run(), now),
            [
                "web",
                "0123456",
                "main",
                "Ada",
                "5 minutes ago",
                "30s",
                "Succeeded",
                "Say hello"
            ]
            .map(str::to_owned)
        );
        let mut upload = run();
        upload["metadata"]["annotations"] =
            json!({ "spindrift.dev/source": "localhost:5000/ns/web-source@sha256:abcdef0123" });
        assert_eq!(commit(&upload), "upload abcdef0");
        let mut first = run();
        first["metadata"]["annotations"] = json!({ "spindrift.dev/ref": "refs/heads/main" });
        first["status"]["results"] =
            json!([{ "name": "commit", "value": "fedcba9876543210" }, { "name": "author", "value": "Ada" }]);
        let row = build_rows(&first, now);
        assert_eq!((row[1].as_str(), row[3].as_str()), ("fedcba9", "Ada"));
        upload["metadata"]["annotations"] =
            json!({ "spindrift.dev/ref": "refs/tags/v1", "spindrift.dev/position": "2 of 3" });
        upload["spec"] = json!({ "status": "PipelineRunPending" });
        let row = build_rows(&upload, now);
        assert_eq!(
            (row[2].as_str(), row[6].as_str()),
            ("v1 (tag)", "Pending(2 of 3)")
        );
        assert!(is_build(&upload) && !is_build(&json!({})));
    }

    #[test]
    fn a_description_has_the_image_and_every_step() {
        let task_run = json!({ "metadata": { "labels": { "tekton.dev/pipelineTask": "build" } }, "status": {
            "results": [{ "name": "IMAGE_URL", "value": "localhost:5000/ns/web" }, { "name": "IMAGE_DIGEST", "value": "sha256:1\n" }],
            "steps": [
                { "name": "clone", "terminationReason": "Completed", "terminated": { "exitCode": 0, "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:02Z" } },
                { "name": "build", "terminated": { "exitCode": 3, "reason": "Error", "startedAt": "2026-01-01T00:00:02Z", "finishedAt": "2026-01-01T00:00:30Z" } },
                { "name": "push", "waiting": {} } ] } });
        let now = "2026-01-01T00:05:00Z".parse().unwrap();
        let shown = build(
            &run(),
            &[task_run],
            &json!({ "run": "web-1", "revision": "web-00002" }),
            now,
        );
        for part in [
            "Commit:      0123456789abcdef\n",
            "Image:       localhost:5000/ns/web@sha256:1\n",
            "Revision:    web-00002\n",
            "clone    2s         Completed",
            "build    28s        Error (3)",
            "push     ---        ---",
        ] {
            assert!(shown.contains(part), "{part:?} in {shown}");
        }
        assert!(
            !shown.contains("all done") && !shown.contains("Source"),
            "{shown}"
        );
        let other = build(
            &run(),
            &[],
            &json!({ "run": "web-2", "revision": "web-00003" }),
            now,
        );
        assert!(!other.contains("Revision"), "{other}");
    }
}
