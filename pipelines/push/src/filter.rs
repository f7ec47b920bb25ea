//! Which pushes are built.

use crds::spindrift::RepositorySpec;

use crate::delivery::Push;
use crate::glob::meant;

const HEADS: &str = "refs/heads/";
const TAGS: &str = "refs/tags/";

/// In the message of the newest commit: nothing is built (as GitHub Actions has them).
const SKIP_TOKENS: [&str; 5] = [
    "[skip ci]",
    "[ci skip]",
    "[no ci]",
    "[skip actions]",
    "[actions skip]",
];

/// What is to be done about a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Build,
    /// The ref is gone; nothing is built of it, and what runs of it goes too.
    Gone,
    /// Nothing is built, and why.
    Skip(String),
}

/// Decides about a push.
pub(crate) fn verdict(spec: &RepositorySpec, push: &Push) -> Verdict {
    if push.after.is_empty() {
        return Verdict::Gone;
    }
    let filters = &spec.filters;
    if let Some(branch) = push.git_ref.strip_prefix(HEADS) {
        if branch != spec.branch && !spec.previews {
            return Verdict::Skip(format!(
                "only the branch {} is built: previews are off",
                spec.branch
            ));
        }
        if !meant(&filters.branches, branch) {
            return Verdict::Skip(format!("the filters leave out the branch {branch}"));
        }
    } else if push.git_ref.starts_with(TAGS) {
        if !filters.tags {
            return Verdict::Skip("tags are not built".to_owned());
        }
    } else {
        return Verdict::Skip(format!("{} is neither a branch nor a tag", push.git_ref));
    }
    if let Some(token) = skip_token(&push.message) {
        return Verdict::Skip(format!("the commit says {token}"));
    }
    let left_out = push
        .paths
        .as_ref()
        .filter(|_| !filters.paths.is_empty())
        .is_some_and(|paths| !paths.iter().any(|path| meant(&filters.paths, path)));
    if left_out {
        return Verdict::Skip("the filters leave out all files that changed".to_owned());
    }
    Verdict::Build
}

/// What in a commit's message says that nothing is to be built.
fn skip_token(message: &str) -> Option<&'static str> {
    let lower = message.to_ascii_lowercase();
    let token = SKIP_TOKENS.into_iter().find(|token| lower.contains(token));
    token.or_else(|| {
        let last = lower.trim_end().rsplit("\n\n").next().unwrap_or_default();
        let is_trailer = lower.trim_end().contains("\n\n")
            && last.lines().any(|line| {
                line.split_once(':')
                    .is_some_and(|(key, value)| key.trim() == "skip-checks" && value.trim() == "true")
            });
        is_trailer.then_some("skip-checks: true")
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn spec(fields: Value) -> RepositorySpec {
        let mut spec = json!({"url": "http://git/app", "branch": "main", "service": "web"});
        for (key, value) in fields.as_object().unwrap() {
            spec[key] = value.clone();
        }
        serde_json::from_value(spec).unwrap()
    }

    fn push(git_ref: &str) -> Push {
        Push {
            git_ref: git_ref.to_owned(),
            after: "a".repeat(40),
            ..Push::default()
        }
    }

    fn changed(names: &[&str]) -> Push {
        Push {
            paths: Some(names.iter().map(|name| (*name).to_owned()).collect()),
            ..push("refs/heads/main")
        }
    }

    fn saying(message: &str) -> Push {
        Push {
            message: message.to_owned(),
            ..push("refs/heads/main")
        }
    }

    #[test]
    fn pushes_are_built_unless_something_is_against_it() {
        let previews = json!({"previews": true, "filters": {"branches": {"exclude": ["dependabot/**"]}}});
        let paths = json!({"filters": {"paths": {"include": ["src/**"], "exclude": ["**/*.md"]}}});
        for (spec_of, push, builds) in [
            (json!({}), push("refs/heads/main"), true),
            (json!({}), push("refs/heads/other"), false),
            (json!({}), push("refs/tags/v1"), false),
            (json!({"filters": {"tags": true}}), push("refs/tags/v1"), true),
            (json!({"previews": true}), push("refs/notes/commits"), false),
            (previews.clone(), push("refs/heads/feature/x"), true),
            (previews, push("refs/heads/dependabot/x/y"), false),
            (paths.clone(), changed(&["src/a.rs", "README.md"]), true),
            (paths.clone(), changed(&["src/README.md"]), false),
            (paths.clone(), changed(&["docs/a"]), false),
            (paths.clone(), changed(&[]), false),
            (json!({}), changed(&[]), true),
            // What changed is not known.
            (paths, push("refs/heads/main"), true),
            (json!({}), saying("Fix\n\n[skip ci] for now"), false),
            (json!({}), saying("[CI SKIP]"), false),
            (json!({}), saying("Fix\n\nBody\n\nskip-checks: true\n"), false),
            (
                json!({}),
                saying("Fix\n\nReviewed-by: x\nskip-checks:true"),
                false,
            ),
            (json!({}), saying("skip-checks: true"), true),
            (json!({}), saying("Fix\n\nskip-checks: true\n\nMore"), true),
            (json!({}), saying("skip ci"), true),
        ] {
            let verdict = verdict(&spec(spec_of.clone()), &push);
            assert_eq!(
                verdict == Verdict::Build,
                builds,
                "{spec_of} {push:?}: {verdict:?}"
            );
        }
    }

    #[test]
    fn what_is_gone_is_not_built() {
        let gone = Push {
            after: String::new(),
            ..push("refs/heads/other")
        };
        assert_eq!(verdict(&spec(json!({})), &gone), Verdict::Gone);
    }
}
