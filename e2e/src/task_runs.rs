//! TaskRuns and PipelineRuns as people start them: kubectl, YAML, and images of the embedded registry.

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::{Platform, busybox, eventually, shared, turn};

/// The platform, with an image that has a shell.
///
/// # Errors
/// If the platform does not come up.
pub fn platform() -> anyhow::Result<(&'static Platform, String)> {
    let platform = shared()?;
    let _turn = turn();
    let image = busybox::load(platform, "busybox:tasks")?;
    Ok((platform, image))
}

/// `kubectl create`, which takes names from the server; gives `taskrun.tekton.dev/<name>`.
///
/// # Errors
/// If kubectl cannot.
pub fn create(platform: &Platform, object: &Value) -> anyhow::Result<String> {
    let file = tempfile::Builder::new().suffix(".json").tempfile()?;
    std::fs::write(file.path(), object.to_string())?;
    let path = file.path().to_string_lossy().into_owned();
    let name = platform.kubectl(&["create", "-o", "name", "-f", &path])?.ok()?;
    Ok(name.trim().to_owned())
}

/// A TaskRun whose name begins with `name`.
pub fn run_of(name: &str, spec: Value) -> Value {
    let mut metadata = json!({});
    metadata["generateName"] = json!(format!("{name}-"));
    json!({"apiVersion": "tekton.dev/v1", "kind": "TaskRun", "metadata": metadata, "spec": spec})
}

/// Creates a run and waits for its end.
///
/// # Errors
/// If it does not end.
pub fn ended(platform: &Platform, object: &Value) -> anyhow::Result<Value> {
    let name = create(platform, object)?;
    finished(platform, &name)
}

/// Waits for the end of a run.
///
/// # Errors
/// If it does not end.
pub fn finished(platform: &Platform, name: &str) -> anyhow::Result<Value> {
    eventually(&format!("the end of {name}"), || {
        let run = platform.get(&[name])?;
        let status = &run["status"]["conditions"][0]["status"];
        ensure!(status == "True" || status == "False", "{}", run["status"]);
        Ok(run)
    })
}

/// Checks status, reason, and words of the message of a run that has ended.
///
/// # Errors
/// With its status, if it is another.
pub fn expect(run: &Value, status: &str, reason: &str, message: &str) -> anyhow::Result<()> {
    let condition = &run["status"]["conditions"][0];
    ensure!(
        condition["type"] == "Succeeded"
            && condition["status"] == status
            && condition["reason"] == reason
            && condition["message"]
                .as_str()
                .unwrap_or_default()
                .contains(message)
            && run["status"]["completionTime"].is_string(),
        "not {status} {reason} {message:?}: {}",
        run["status"]
    );
    Ok(())
}

/// The name of an object.
///
/// # Errors
/// If it has none.
pub fn name_of(run: &Value) -> anyhow::Result<&str> {
    run["metadata"]["name"].as_str().context("no name")
}

/// A PipelineRun whose name begins with `name`.
pub fn pipeline_run_of(name: &str, spec: Value) -> Value {
    let mut run = run_of(name, spec);
    run["kind"] = json!("PipelineRun");
    run
}
