//! The status of a Repository from what was observed.

use std::sync::Arc;

use crds::Addressable;
use crds::serving::Service;
use crds::spindrift::{PushState, Repository, RepositoryStatus};
use crds::tekton::PipelineRun;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use reconciler::ConditionSet;

use super::Started;
use super::last_build::{State, last_build};
use super::plan::overtaken;
use crate::ledger::is_at;
use crate::run::Unbuildable;

/// Whether there is a pipeline that builds.
const BUILDABLE: &str = "Buildable";
/// How the last build went; for information, since what runs stays.
const BUILT: &str = "Built";

const CONDITIONS: ConditionSet = ConditionSet::new(&[BUILDABLE]);

/// What there is.
pub(super) struct Observed<'a> {
    pub runs: &'a [Arc<PipelineRun>],
    pub service: Option<&'a Service>,
    pub started: &'a Started,
    /// Address of the git repository.
    pub url: &'a str,
    /// Where the receiver is reached from outside.
    pub external: Option<&'a str>,
    pub now: Timestamp,
}

/// Brings the status up to date.
pub(super) fn observe(repository: &mut Repository, observed: &Observed<'_>) {
    let mut status = repository.status.clone().unwrap_or_default();
    let before = status.conditions.clone();
    let generation = repository.metadata.generation;
    CONDITIONS.begin(&mut status, generation, observed.now);
    pushes(&mut status, observed);
    status.address = observed
        .external
        .filter(|_| !repository.spec.url.is_empty())
        .and_then(|external| address(external, repository))
        .map(|url| Addressable {
            url: Some(url),
            ..Addressable::default()
        });
    for preview in &mut status.previews {
        let targets = observed.service.and_then(|service| service.status.as_ref());
        let mut targets = targets.iter().flat_map(|status| &status.traffic);
        let target = targets.find(|target| target.tag.as_ref() == Some(&preview.tag));
        if let Some(url) = target.and_then(|target| target.url.clone()) {
            preview.url = url;
        }
    }
    let told = last_build(
        &Repository {
            status: Some(status.clone()),
            ..repository.clone()
        },
        observed.runs,
    );
    let mut conditions = CONDITIONS.manage(&mut status, observed.now);
    match &observed.started.problem {
        None => conditions.mark_true(BUILDABLE),
        Some(Unbuildable::NotYet(what)) => conditions.mark_unknown(BUILDABLE, "NotYetBuildable", what),
        Some(Unbuildable::No(problem)) => conditions.mark_false(BUILDABLE, "NotBuildable", problem),
    }
    match told {
        None => conditions.mark_unknown(BUILT, "NoBuild", "nothing was built yet"),
        Some(told) => match told.state {
            State::Building => conditions.mark_unknown(BUILT, "Building", &format!("{} builds", told.run)),
            State::Succeeded => conditions.mark_true(BUILT),
            State::Failed => {
                let message = format!("{}: {}", told.run, told.message.unwrap_or_default());
                conditions.mark_false(BUILT, "BuildFailed", &message);
            }
        },
    }
    CONDITIONS.finish(&mut status, &before, generation, observed.now);
    repository.status = Some(status);
}

/// What became of the pushes whose runs were made, or were overtaken.
fn pushes(status: &mut RepositoryStatus, observed: &Observed<'_>) {
    let overtaken: Vec<(String, i64)> = overtaken(&status.pushes, observed.runs)
        .into_iter()
        .map(|(run, by)| (run.name_any(), by))
        .collect();
    let marked = observed.runs.iter().filter_map(|run| {
        let by = run
            .annotations()
            .get(crds::spindrift::annotations::SUPERSEDED_BY)?;
        Some((run.name_any(), by.parse().ok()?))
    });
    let overtaken: Vec<(String, i64)> = overtaken.into_iter().chain(marked).collect();
    for push in &mut status.pushes {
        if push.state == PushState::Accepted && !is_at(push, observed.url) {
            push.state = PushState::Superseded;
            "the Repository has another address by now".clone_into(&mut push.reason);
        }
        if push.state == PushState::Accepted && observed.started.runs.contains(&push.run) {
            push.state = PushState::Started;
        }
        if push.state == PushState::Started
            && let Some((_, by)) = overtaken.iter().find(|(run, _)| *run == push.run)
        {
            push.state = PushState::Superseded;
            push.reason = format!("push {by} came before it was done");
        }
    }
}

/// The URL that webhooks of a Repository call. `external` is where the receiver is reached from outside.
fn address(external: &str, repository: &Repository) -> Option<String> {
    let mut url = url::Url::parse(external).ok()?;
    url.path_segments_mut()
        .ok()?
        .pop_if_empty()
        .extend([repository.namespace().unwrap_or_default(), repository.name_any()]);
    Some(url.into())
}

#[cfg(test)]
mod tests {
    use crds::conditions::ConditionedStatus as _;
    use serde_json::{Value, json};

    use super::*;

    fn observed(
        spec: Value,
        status: Value,
        runs: &[Arc<PipelineRun>],
        started: &Started,
    ) -> RepositoryStatus {
        let spec_url = spec["url"].as_str().unwrap_or_default().to_owned();
        let mut repository: Repository = serde_json::from_value(json!({
            "apiVersion": "spindrift.dev/v1alpha1", "kind": "Repository",
            "metadata": {"name": "web", "namespace": "default", "generation": 2},
            "spec": spec, "status": status,
        }))
        .unwrap();
        let observed = Observed {
            runs,
            service: None,
            started,
            url: spec_url.as_str(),
            external: Some("http://push.example.com:8080"),
            now: Timestamp::UNIX_EPOCH,
        };
        observe(&mut repository, &observed);
        let once = repository.clone();
        observe(&mut repository, &observed);
        assert_eq!(repository, once, "the second look changes nothing");
        repository.status.unwrap()
    }

    fn git() -> Value {
        json!({"url": "http://git/app", "branch": "main", "service": "web"})
    }

    #[test]
    fn pushes_follow_their_runs() {
        let run = json!({
            "apiVersion": "tekton.dev/v1", "kind": "PipelineRun",
            "metadata": {"name": "one", "annotations": {"spindrift.dev/superseded-by": "2"}}, "spec": {},
        });
        let pushes = json!({"sequence": 2, "pushes": [
            {"sequence": 1, "ref": "refs/heads/main", "after": "a", "run": "one", "state": "Started"},
            {"sequence": 2, "ref": "refs/heads/main", "after": "b", "run": "two", "state": "Accepted"},
            {"sequence": 3, "ref": "refs/heads/x", "after": "c", "run": "three", "state": "Accepted", "url": "http://old/app"},
        ]});
        let started = Started {
            runs: vec!["two".to_owned()],
            problem: None,
        };
        let status = observed(
            git(),
            pushes,
            &[Arc::new(serde_json::from_value(run).unwrap())],
            &started,
        );
        let states: Vec<PushState> = status.pushes.iter().map(|push| push.state).collect();
        assert_eq!(
            states,
            [PushState::Superseded, PushState::Started, PushState::Superseded]
        );
        assert!(status.condition("Ready").unwrap().is_true());
        assert_eq!(
            status.address.unwrap().url.as_deref(),
            Some("http://push.example.com:8080/default/web")
        );
    }

    #[test]
    fn what_cannot_be_built_is_told() {
        let started = Started {
            runs: Vec::new(),
            problem: Some(Unbuildable::No("there is no builder image".to_owned())),
        };
        let source = json!({"source": "r@sha256:0", "service": "web"});
        let status = observed(source, json!({}), &[], &started);
        let ready = status.condition("Ready").unwrap();
        assert!(ready.is_false());
        assert_eq!(ready.message.as_deref(), Some("there is no builder image"));
        assert_eq!(status.address, None);

        let started = Started {
            problem: Some(Unbuildable::NotYet("it is being made".to_owned())),
            ..started
        };
        let source = json!({"source": "r@sha256:0", "service": "web"});
        let status = observed(source, json!({}), &[], &started);
        assert!(status.condition("Ready").unwrap().is_unknown());
    }
}
