//! What follows from the record of pushes.

use std::sync::Arc;

use crds::spindrift::annotations::{REBUILD, REF};
use crds::spindrift::{Preview, PushRecord, Repository, RepositorySpec, RepositoryStatus};
use crds::tekton::{PipelineRun, PipelineRunSpecStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use crate::ledger::{is_at, newest, note};
use crate::{names, queue};

/// Previews that a Service shows; those that were pushed to longest ago go first.
const MOST_PREVIEWS: usize = 20;

/// The status with a note of what nobody pushed but has to be built: an uploaded folder, the branch as it was when the
/// Repository was made, or what somebody wants built again. `None` if there is nothing of that.
pub(super) fn noted(repository: &Repository, now: Timestamp) -> Option<RepositoryStatus> {
    let spec = &repository.spec;
    let mut status = repository.status.clone().unwrap_or_default();
    let git_ref = if spec.url.is_empty() {
        String::new()
    } else {
        spec.main_ref()
    };
    let last = newest(&status.pushes, &git_ref).cloned();
    // Another repository has other commits: of what it has, nothing is known.
    let elsewhere = last.as_ref().is_some_and(|last| !is_at(last, &spec.url));
    let deployed = status
        .deployed
        .as_ref()
        .filter(|deployed| deployed.git_ref == git_ref);
    let wanted = repository.annotations().get(REBUILD).cloned().unwrap_or_default();
    let again = !wanted.is_empty() && wanted != status.rebuilt;
    status.rebuilt.clone_from(&wanted);
    let known_source = last
        .as_ref()
        .map(|last| &last.tree)
        .or_else(|| deployed.map(|deployed| &deployed.tree));
    let push = if !spec.source.is_empty() {
        let changed = known_source != Some(&spec.source);
        (changed || again).then(|| PushRecord {
            tree: spec.source.clone(),
            ..PushRecord::default()
        })
    } else if elsewhere || (last.is_none() && deployed.is_none()) {
        Some(PushRecord {
            git_ref: git_ref.clone(),
            ..PushRecord::default()
        })
    } else {
        again.then(|| {
            let commit = deployed
                .map(|deployed| deployed.commit.clone())
                .unwrap_or_default();
            last.unwrap_or(PushRecord {
                git_ref: git_ref.clone(),
                after: commit,
                ..PushRecord::default()
            })
        })
    }?;
    // Something that was built before gets a run of its own.
    let nonce = if again {
        wanted
    } else if status.sequence > 0 {
        (status.sequence + 1).to_string()
    } else {
        String::new()
    };
    let uid = repository.uid().unwrap_or_default();
    let mut parts = [push.git_ref.as_str(), push.before.as_str(), push.after.as_str()];
    if !spec.source.is_empty() {
        parts = ["", "", push.tree.as_str()];
    }
    let run = names::run(&repository.name_any(), &uid, parts, &nonce);
    let push = PushRecord {
        run,
        url: spec.url.clone(),
        delivery: String::new(),
        reason: String::new(),
        at: Some(Time(now)),
        ..push
    };
    note(status, push)
}

/// Runs that are not over although a newer push to their ref came, and its number.
pub(super) fn overtaken<'a>(
    pushes: &[PushRecord],
    runs: &'a [Arc<PipelineRun>],
) -> Vec<(&'a PipelineRun, i64)> {
    let unfinished = runs.iter().map(Arc::as_ref).filter(|run| !queue::is_done(run));
    unfinished
        .filter(|run| {
            !matches!(
                run.spec.status,
                Some(PipelineRunSpecStatus::Cancelled | PipelineRunSpecStatus::CancelledRunFinally)
            )
        })
        .filter_map(|run| {
            let git_ref = run.annotations().get(REF).map(String::as_str).unwrap_or_default();
            let newest = newest(pushes, git_ref)?.sequence;
            (queue::sequence(run) < newest).then_some((run, newest))
        })
        .collect()
}

/// Does a Repository want a URL for this ref? Those of branches and of tags are asked for apart.
pub(crate) fn is_preview_wanted(spec: &RepositorySpec, git_ref: &str) -> bool {
    if git_ref.starts_with("refs/tags/") {
        spec.filters.tags
    } else {
        spec.previews && git_ref != spec.main_ref()
    }
}

/// Tags of previews whose refs are gone, or that are not wanted any more. `shown` are those that the Service shows,
/// which may not be noted yet.
pub(super) fn gone(repository: &Repository, shown: &[Preview]) -> Vec<String> {
    let Some(status) = &repository.status else {
        return Vec::new();
    };
    let goes = |preview: &&Preview| {
        let git_ref = preview.deployed.git_ref.as_str();
        let deleted = newest(&status.pushes, git_ref).is_some_and(|newest| newest.after.is_empty());
        deleted || !is_preview_wanted(&repository.spec, git_ref)
    };
    let noted = |tag: &str| status.previews.iter().any(|preview| preview.tag == tag);
    let unnoted = shown.iter().filter(|preview| !noted(&preview.tag));
    let all = status.previews.iter().chain(unnoted);
    let mut gone: Vec<String> = all.filter(goes).map(|preview| preview.tag.clone()).collect();
    let mut kept: Vec<_> = status
        .previews
        .iter()
        .filter(|preview| !gone.contains(&preview.tag))
        .collect();
    kept.sort_by_key(|preview| preview.deployed.sequence);
    let too_many = kept.len().saturating_sub(MOST_PREVIEWS);
    gone.extend(kept.iter().take(too_many).map(|preview| preview.tag.clone()));
    gone
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn repository(spec: Value, status: Value, rebuild: &str) -> Repository {
        serde_json::from_value(json!({
            "apiVersion": "spindrift.dev/v1alpha1", "kind": "Repository",
            "metadata": {"name": "web", "uid": "u", "annotations": {"spindrift.dev/rebuild": rebuild}},
            "spec": spec, "status": status,
        }))
        .unwrap()
    }

    fn git() -> Value {
        json!({"url": "http://git/app", "branch": "main", "service": "web"})
    }

    /// The ref, commit and artifact that are noted; and the run.
    fn note_of(repository: &Repository) -> Option<(String, String, String, String)> {
        let status = noted(repository, Timestamp::UNIX_EPOCH)?;
        let last = status.pushes.last()?.clone();
        Some((last.git_ref, last.after, last.tree, last.run))
    }

    #[test]
    fn a_new_repository_is_built_as_it_is() {
        let (git_ref, after, ..) = note_of(&repository(git(), json!({}), "")).unwrap();
        assert_eq!((git_ref.as_str(), after.as_str()), ("refs/heads/main", ""));
    }

    #[test]
    fn what_is_known_is_left_alone() {
        let pushed =
            json!({"sequence": 1, "pushes": [{"sequence": 1, "ref": "refs/heads/main", "after": "a"}]});
        let deployed = json!({"sequence": 9, "deployed": {"ref": "refs/heads/main"}});
        for status in [pushed, deployed] {
            assert_eq!(note_of(&repository(git(), status, "")), None);
        }
        let source = json!({"source": "r@sha256:1", "service": "web"});
        let built = json!({"sequence": 1, "pushes": [{"sequence": 1, "tree": "r@sha256:1"}]});
        assert_eq!(note_of(&repository(source.clone(), built, "")), None);
        let forgotten = json!({"sequence": 1, "deployed": {"tree": "r@sha256:1"}});
        assert_eq!(note_of(&repository(source, forgotten, "")), None);
    }

    #[test]
    fn another_address_is_built_as_it_is() {
        let pushed = |url: &str| {
            json!({"sequence": 3, "pushes": [
                {"sequence": 3, "ref": "refs/heads/main", "url": url, "before": "a", "after": "b", "run": "r"},
            ]})
        };
        assert_eq!(note_of(&repository(git(), pushed("http://git/app"), "")), None);
        assert_eq!(note_of(&repository(git(), pushed(""), "")), None);
        for rebuild in ["", "now"] {
            let (git_ref, after, _, run) =
                note_of(&repository(git(), pushed("http://old/app"), rebuild)).unwrap();
            assert_eq!((git_ref.as_str(), after.as_str()), ("refs/heads/main", ""));
            assert_ne!(run, "r");
        }
        let noted = noted(
            &repository(git(), pushed("http://old/app"), ""),
            Timestamp::UNIX_EPOCH,
        )
        .unwrap();
        let last = noted.pushes.last().unwrap();
        assert_eq!((last.url.as_str(), last.before.as_str()), ("http://git/app", ""));
        assert_eq!(note_of(&repository(git(), json!(noted), "")), None);
    }

    #[test]
    fn another_branch_is_built() {
        let deployed = json!({"sequence": 1, "deployed": {"ref": "refs/heads/old"}});
        assert!(note_of(&repository(git(), deployed, "")).is_some());
    }

    #[test]
    fn a_new_upload_is_built() {
        let source = |digest: &str| json!({"source": format!("r@sha256:{digest}"), "service": "web"});
        let first = note_of(&repository(source("1"), json!({}), "")).unwrap();
        let built = json!({"sequence": 1, "pushes": [{"sequence": 1, "tree": "r@sha256:1"}]});
        let second = note_of(&repository(source("2"), built, "")).unwrap();
        assert_eq!(
            (first.2.as_str(), second.2.as_str()),
            ("r@sha256:1", "r@sha256:2")
        );
        assert_ne!(first.3, second.3);
        // Back to the first: another run than the first time.
        let built = json!({"sequence": 2, "pushes": [{"sequence": 2, "tree": "r@sha256:2"}]});
        let again = note_of(&repository(source("1"), built, "")).unwrap();
        assert_ne!(first.3, again.3);
    }

    #[test]
    fn what_is_wanted_again_gets_another_run() {
        let status = json!({"sequence": 1, "rebuilt": "x", "pushes": [{"sequence": 1, "ref": "refs/heads/main", "after": "a", "run": "r"}]});
        assert_eq!(note_of(&repository(git(), status.clone(), "x")), None);
        let again = note_of(&repository(git(), status.clone(), "y")).unwrap();
        assert_eq!(again.1, "a");
        assert_ne!(again.3, "r");
        let noted = noted(&repository(git(), status, "y"), Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!((noted.rebuilt.as_str(), noted.sequence), ("y", 2));
    }

    fn run(git_ref: &str, sequence: i64, status: &str, succeeded: &str) -> Arc<PipelineRun> {
        let run = json!({
            "apiVersion": "tekton.dev/v1", "kind": "PipelineRun",
            "metadata": {
                "name": format!("run-{sequence}"),
                "annotations": {"spindrift.dev/ref": git_ref, "spindrift.dev/sequence": sequence.to_string()},
            },
            "spec": {"status": status}, "status": {"conditions": [{"type": "Succeeded", "status": succeeded}]},
        });
        Arc::new(serde_json::from_value(run).unwrap())
    }

    #[test]
    fn runs_of_older_pushes_to_the_same_ref_are_overtaken() {
        let pushes: Vec<PushRecord> = serde_json::from_value(json!([
            {"sequence": 5, "ref": "a"}, {"sequence": 6, "ref": "b"}, {"ref": "a"},
        ]))
        .unwrap();
        let runs = [
            run("a", 1, "", "True"),
            run("a", 2, "", "Unknown"),
            run("a", 3, "PipelineRunPending", "Unknown"),
            run("a", 4, "CancelledRunFinally", "Unknown"),
            run("a", 5, "", "Unknown"),
            run("b", 6, "", "Unknown"),
            run("c", 0, "", "Unknown"),
        ];
        let found: Vec<_> = overtaken(&pushes, &runs)
            .into_iter()
            .map(|(run, by)| (run.name_any(), by))
            .collect();
        assert_eq!(found, [("run-2".to_owned(), 5), ("run-3".to_owned(), 5)]);
    }

    #[test]
    fn previews_go_with_their_branches() {
        let status = json!({
            "previews": [
                {"tag": "here", "ref": "refs/heads/here"}, {"tag": "gone", "ref": "refs/heads/gone"},
                {"tag": "v1", "ref": "refs/tags/v1"},
            ],
            "pushes": [
                {"sequence": 1, "ref": "refs/heads/here", "after": "a"},
                {"sequence": 2, "ref": "refs/heads/gone", "after": "a"}, {"sequence": 3, "ref": "refs/heads/gone"},
            ],
        });
        let mut spec = git();
        assert_eq!(
            gone(&repository(spec.clone(), status.clone(), ""), &[]),
            ["here", "gone", "v1"]
        );
        (spec["previews"], spec["filters"]) = (json!(true), json!({"tags": true}));
        let wanted = repository(spec, status, "");
        assert_eq!(gone(&wanted, &[]), ["gone"]);
        // One whose branch went before it was noted.
        let shown = |tag: &str, git_ref: &str| -> Preview {
            serde_json::from_value(json!({"tag": tag, "ref": git_ref})).unwrap()
        };
        let mut late = wanted;
        late.status.as_mut().unwrap().previews.clear();
        let all = [shown("gone", "refs/heads/gone"), shown("new", "refs/heads/new")];
        assert_eq!(gone(&late, &all), ["gone"]);
    }
}
