//! What a branch that was looked at says about pushes.

use crds::spindrift::Repository;

use crate::delivery::Push;
use crate::ledger::last_move;

/// The push that moved the branch to `commit`, if that is news. `before` is where it was seen the last time, and
/// `is_over` says of a run by its name whether it has ended.
pub(super) fn moved(
    repository: &Repository,
    commit: &str,
    before: Option<&str>,
    is_over: impl Fn(&str) -> bool,
) -> Option<Push> {
    let spec = &repository.spec;
    let status = repository.status.as_ref()?;
    // Without any, the branch is about to be built as it is.
    let last = last_move(&status.pushes, &spec.main_ref(), &spec.url)?;
    let known = if !last.after.is_empty() {
        Some(last.after.as_str())
    } else if last.run.is_empty() {
        // The branch was gone, and has come back.
        Some("")
    } else {
        // It was built as it was: as what, its build tells if it came that far.
        let deployed = status.deployed.as_ref();
        let built = deployed.filter(|deployed| deployed.run == last.run && !deployed.commit.is_empty());
        match built {
            Some(built) => Some(built.commit.as_str()),
            None if is_over(&last.run) => before,
            None => None,
        }
    }?;
    (known != commit).then(|| Push {
        git_ref: spec.main_ref(),
        before: known.to_owned(),
        after: commit.to_owned(),
        ..Push::default()
    })
}

/// Is the branch being built as it was, without it being known yet as what?
pub(super) fn is_undecided(repository: &Repository, is_over: impl Fn(&str) -> bool) -> bool {
    let Some(status) = &repository.status else {
        return false;
    };
    let last = last_move(&status.pushes, &repository.spec.main_ref(), &repository.spec.url);
    last.is_some_and(|last| {
        let built = status
            .deployed
            .as_ref()
            .is_some_and(|deployed| deployed.run == last.run);
        last.after.is_empty() && !last.run.is_empty() && !built && !is_over(&last.run)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn only_news_is_a_push() {
        let known = |after: &str| json!({"pushes": [{"sequence": 1, "ref": "refs/heads/main", "after": after, "run": "r"}]});
        let first = |commit: &str| {
            let mut status = known("");
            status["deployed"] = json!({"run": "r", "commit": commit, "ref": "refs/heads/main"});
            status
        };
        let gone = json!({"pushes": [
            {"sequence": 1, "ref": "refs/heads/main", "after": "a", "run": "r"},
            {"sequence": 2, "ref": "refs/heads/main", "reason": "it is gone"},
        ]});
        let elsewhere = json!({"pushes": [{"sequence": 1, "ref": "refs/heads/main", "after": "a", "run": "r", "url": "http://old"}]});
        let late = json!({"pushes": [
            {"sequence": 1, "ref": "refs/heads/main", "after": "b", "run": "r"},
            {"ref": "refs/heads/main", "after": "a", "reason": "a newer push had come before it"},
            {"sequence": 2, "ref": "refs/heads/other", "after": "c", "run": "s"},
        ]});
        // Status, where the branch was seen before, whether the run is over; then where the push came from.
        let table: [(Value, Option<&str>, bool, Option<&str>); 12] = [
            (json!({}), Some("x"), true, None),
            (known("b"), None, true, None),
            (known("a"), None, false, Some("a")),
            (first("b"), Some("x"), true, None),
            (first("a"), None, true, Some("a")),
            // It is not known yet what is being built, and never what failed.
            (known(""), Some("a"), false, None),
            (known(""), None, true, None),
            (known(""), Some("a"), true, Some("a")),
            (known(""), Some("b"), true, None),
            (gone, None, true, Some("")),
            (elsewhere, Some("a"), true, None),
            (late, None, true, None),
        ];
        for (status, before, over, expected) in table {
            let repository: Repository = serde_json::from_value(json!({
                "apiVersion": "spindrift.dev/v1alpha1", "kind": "Repository", "metadata": {"name": "web"},
                "spec": {"url": "http://git/app", "branch": "main", "service": "web"}, "status": status,
            }))
            .unwrap();
            let found = moved(&repository, "b", before, |_| over);
            assert_eq!(
                found.as_ref().map(|push| push.before.as_str()),
                expected,
                "{status}"
            );
            assert!(found.is_none_or(|push| push.after == "b" && push.git_ref == "refs/heads/main"));
            let first_build = status["pushes"][0]["after"] == "" && status["deployed"].is_null();
            assert_eq!(
                is_undecided(&repository, |_| over),
                first_build && !over,
                "{status}"
            );
        }
    }
}
