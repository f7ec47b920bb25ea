//! How the last build of a Service went, as its annotation tells.

use std::sync::Arc;

use crds::conditions::ConditionStatus;
use crds::spindrift::Repository;
use crds::tekton::{PipelineRun, PipelineRunSpecStatus, RunStatus as _};
use kube::ResourceExt;
use serde::Serialize;

use crate::ledger::newest;

/// The annotation, before it is JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct LastBuild {
    pub run: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub commit: String,
    pub state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    Building,
    Succeeded,
    Failed,
}

impl LastBuild {
    pub(super) fn is_failed(&self) -> bool {
        self.state == State::Failed
    }

    /// Does the annotation say the same of the same run, whatever else it says?
    pub(super) fn is_told_by(&self, annotation: &str) -> bool {
        let known: serde_json::Value = serde_json::from_str(annotation).unwrap_or_default();
        let state = serde_json::to_value(self.state).unwrap_or_default();
        known["run"] == self.run.as_str() && known["state"] == state
    }
}

/// Of the newest push to the branch that the Service runs, or the newest upload; `None` if nothing of it was built.
pub(super) fn last_build(repository: &Repository, runs: &[Arc<PipelineRun>]) -> Option<LastBuild> {
    let git_ref = if repository.spec.url.is_empty() {
        String::new()
    } else {
        repository.spec.main_ref()
    };
    let status = repository.status.as_ref()?;
    let push = newest(&status.pushes, &git_ref).filter(|push| !push.run.is_empty())?;
    let run = runs.iter().find(|run| run.name_any() == push.run)?;
    let condition = run.status.as_ref().and_then(|status| status.succeeded());
    let state = match condition.map(|condition| condition.status) {
        Some(ConditionStatus::True) => State::Succeeded,
        Some(ConditionStatus::False) => State::Failed,
        _ => State::Building,
    };
    let waits = run.spec.status == Some(PipelineRunSpecStatus::PipelineRunPending);
    let result = |name: &str| {
        let results = run.status.iter().flat_map(|status| &status.results);
        let found = results.filter(|result| result.name == name);
        found
            .filter_map(|result| result.value.as_str())
            .next()
            .map(str::to_owned)
    };
    let deployed = status
        .deployed
        .as_ref()
        .filter(|deployed| deployed.run == push.run);
    let commit = match push.after.as_str() {
        "" => deployed
            .map(|deployed| deployed.commit.clone())
            .or_else(|| result("commit"))
            .unwrap_or_default(),
        after => after.to_owned(),
    };
    Some(LastBuild {
        run: push.run.clone(),
        commit,
        reason: match state {
            State::Failed => condition.and_then(|condition| condition.reason.clone()),
            State::Building if waits => Some("Pending".to_owned()),
            _ => None,
        },
        message: condition
            .filter(|_| state == State::Failed)
            .and_then(|condition| condition.message.clone()),
        state,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn told(succeeded: Value) -> Value {
        let repository: Repository = serde_json::from_value(json!({
            "apiVersion": "spindrift.dev/v1alpha1", "kind": "Repository", "metadata": {"name": "web"},
            "spec": {"url": "http://git/app", "branch": "main", "service": "web"},
            "status": {"pushes": [
                {"sequence": 2, "ref": "refs/heads/main", "after": "b", "run": "new"},
                {"sequence": 3, "ref": "refs/heads/other", "after": "c", "run": "other"},
            ]},
        }))
        .unwrap();
        let run: PipelineRun = serde_json::from_value(json!({
            "apiVersion": "tekton.dev/v1", "kind": "PipelineRun", "metadata": {"name": "new"},
            "spec": {}, "status": {"conditions": [succeeded]},
        }))
        .unwrap();
        serde_json::to_value(last_build(&repository, &[Arc::new(run)])).unwrap()
    }

    #[test]
    fn the_newest_build_of_the_branch_is_told() {
        for (condition, expected) in [
            (
                json!({"type": "Succeeded", "status": "Unknown", "reason": "Running"}),
                json!({"run": "new", "commit": "b", "state": "building"}),
            ),
            (
                json!({"type": "Succeeded", "status": "True", "reason": "Succeeded", "message": "m"}),
                json!({"run": "new", "commit": "b", "state": "succeeded"}),
            ),
            (
                json!({"type": "Succeeded", "status": "False", "reason": "Failed", "message": "m"}),
                json!({"run": "new", "commit": "b", "state": "failed", "reason": "Failed", "message": "m"}),
            ),
        ] {
            assert_eq!(told(condition), expected);
        }
    }

    #[test]
    fn a_failure_is_told_once() {
        let told = LastBuild {
            run: "new".to_owned(),
            commit: String::new(),
            state: State::Failed,
            reason: None,
            message: None,
        };
        for (known, same) in [
            (
                r#"{"run": "new", "state": "failed", "message": "of the task"}"#,
                true,
            ),
            (r#"{"run": "new", "state": "building"}"#, false),
            (r#"{"run": "old", "state": "failed"}"#, false),
            ("no JSON", false),
        ] {
            assert_eq!(told.is_told_by(known), same, "{known}");
        }
    }
}
