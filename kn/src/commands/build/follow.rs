//! Waits for builds, and tells how they went.

use std::time::Duration;

use kube::api::{LogParams, Patch, PatchParams};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::find::of_repository;
use crate::archive::Archive;
use crate::commands::list::{Query, fetch, text};
use crate::commands::runs::logs::{Wanted, show};
use crate::conditions;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::interrupt;
use crate::kind::Kind;
use crate::output::Output;
use crate::tekton::{self, Marks, PIPELINE_RUN};

/// Longest time until a build that was asked for is there, once the platform can build.
const LIMIT: Duration = Duration::from_secs(60);
/// Longest time until the platform can build: it may make what builds run in first.
const PREPARATION: Duration = Duration::from_secs(600);
/// Reason of a Repository that cannot be built yet.
const PREPARING: &str = "NotYetBuildable";
/// Pause between looks.
const PAUSE: Duration = Duration::from_millis(300);
/// Lines of the failing step that are shown.
const LINES: usize = 20;

/// Asks for a build of what was built last.
///
/// # Errors
/// There is no such Repository, or it may not be changed.
pub async fn rebuild(context: &Context, namespace: &str, repository: &str) -> Result<(), CliError> {
    let change = Patch::Merge(json!({ "metadata": { "annotations": again() } }));
    let api = context.api(Kind::Repository, namespace).await?;
    api.patch(repository, &PatchParams::default(), &change).await?;
    Ok(())
}

/// The annotations of a Repository by which it is built again.
pub fn again() -> Value {
    json!({ Marks::REBUILD: uuid::Uuid::new_v4().to_string() })
}

/// The next build of a Repository that is none of `before`.
///
/// # Errors
/// The Repository is not ready, or nothing happens for a minute.
pub async fn next_build(
    context: &Context,
    namespace: &str,
    repository: &str,
    before: &[Value],
    output: &mut Output,
) -> Result<Value, CliError> {
    let begun = Instant::now();
    let mut deadline = begun + LIMIT;
    let mut told = String::new();
    let known = |run: &Value| {
        before
            .iter()
            .any(|old| old["metadata"]["uid"] == run["metadata"]["uid"])
    };
    loop {
        let mut runs = of_repository(context, namespace, repository).await?;
        runs.retain(|run| !known(run));
        if let Some(run) = tekton::newest(&runs) {
            return Ok(run.clone());
        }
        let found = context.get(Kind::Repository, namespace, repository).await?;
        let seen = found["metadata"]["generation"] == found["status"]["observedGeneration"];
        if let Some(what) = preparation(&found) {
            deadline = (Instant::now() + LIMIT).min(begun + PREPARATION);
            if what != told {
                output.progress(format!("Waiting: {what} ..."));
                told = what;
            }
        }
        let over = Instant::now() >= deadline;
        if (seen && conditions::ready(&found) == "False") || over {
            let why = conditions::reason(&found);
            let message = match why.is_empty() {
                true => format!(
                    "timeout: repository '{repository}' has not begun a build after {} seconds",
                    begun.elapsed().as_secs()
                ),
                false => format!("repository '{repository}' does not build: {why}"),
            };
            let exit = if over { Exit::Timeout } else { Exit::NotReady };
            return Err(CliError::new(exit, message).with_hint(format!(
                "`kubectl get repository {repository} -o yaml` shows what it says"
            )));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// What the platform does before it can build a Repository; `None` if it can, or never will.
fn preparation(repository: &Value) -> Option<String> {
    let ready = conditions::get(repository, "Ready")?;
    let waits = ready["status"] == "Unknown" && ready["reason"] == PREPARING;
    waits.then(|| text(ready, "/message"))
}

/// Shows the log of a build until it is over; with `aside` beside the data.
///
/// # Errors
/// The build failed: with the last lines of the step that did.
pub async fn to_the_end(
    context: &Context,
    namespace: &str,
    name: &str,
    aside: bool,
    output: &mut Output,
) -> Result<(), CliError> {
    let wanted = Wanted {
        params: LogParams {
            follow: true,
            ..LogParams::default()
        },
        aside,
        ..Wanted::default()
    };
    let log = show(context, Kind::PipelineRun, namespace, name, &wanted, output);
    let goes_on = format!(
        "the build goes on: `kn build logs {name} --follow --namespace {namespace}` follows it, `kn build cancel {name} --namespace {namespace}` ends it"
    );
    let error = match interrupt::or(log, goes_on).await {
        Ok(_) => return Ok(()),
        Err(error) if error.exit == Exit::Interrupted => return Err(error),
        Err(error) => error,
    };
    let query = Query::within(namespace).labelled(format!("{PIPELINE_RUN}={name}"));
    let task_runs = fetch(context, Kind::TaskRun, &query).await.unwrap_or_default();
    Err(CliError {
        details: failure(context, namespace, &task_runs).await,
        ..error
    }
    .with_hint(format!(
        "`kn build describe {name}` shows more; what runs is left as it is"
    )))
}

/// What the step that failed has said last; `None` if none did.
pub async fn failure(context: &Context, namespace: &str, task_runs: &[Value]) -> Option<String> {
    let failing = tekton::failing(task_runs)?;
    let task_run = task_runs
        .iter()
        .find(|run| text(run, "/metadata/name") == failing.task_run)?;
    let lines = last_lines(context, namespace, task_run, &failing.step).await;
    let head = format!(
        "Step '{}' of task '{}' ended with exit code {}",
        failing.step, failing.task, failing.code
    );
    Some(match lines.is_empty() {
        true => format!("{head}."),
        false => format!(
            "{head}. Its last lines:\n{}",
            conditions::indent(&lines.join("\n"))
        ),
    })
}

async fn last_lines(context: &Context, namespace: &str, task_run: &Value, step: &str) -> Vec<String> {
    let pod = text(task_run, "/status/podName");
    let Ok(client) = context.client().await else {
        return Vec::new();
    };
    let pods: kube::Api<k8s_openapi::api::core::v1::Pod> = kube::Api::namespaced(client, namespace);
    let params = LogParams {
        container: Some(format!("step-{step}")),
        tail_lines: i64::try_from(LINES).ok(),
        ..LogParams::default()
    };
    if let Ok(log) = pods.logs(&pod, &params).await {
        return log.lines().map(str::to_owned).collect();
    }
    let archive = Archive::new(context, namespace);
    let Ok(Some(mut kept)) = archive.log(&pod, &text(task_run, "/metadata/uid")).await else {
        return Vec::new();
    };
    let mut lines = Vec::new();
    while let Ok(Some(line)) = kept.next().await {
        if text(&line, "/step") != step {
            continue;
        }
        let log = text(&line, "/log");
        lines.push(
            log.split_once(' ')
                .map_or_else(String::new, |(_, rest)| rest.to_owned()),
        );
        if lines.len() > LINES {
            lines.remove(0);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_being_prepared_is_waited_for() {
        let repository = |status: &str, reason: &str| {
            json!({ "status": { "conditions": [{ "type": "Ready", "status": status, "reason": reason,
                "message": "the builder image is being made" }] } })
        };
        let preparing = preparation(&repository("Unknown", "NotYetBuildable"));
        assert_eq!(preparing.as_deref(), Some("the builder image is being made"));
        for other in [
            repository("False", "NotBuildable"),
            repository("Unknown", "NoBuild"),
            json!({}),
        ] {
            assert_eq!(preparation(&other), None, "{other}");
        }
    }
}
