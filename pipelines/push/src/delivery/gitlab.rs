//! Webhooks of GitLab.

use serde::Deserialize;

use super::{Event, Push, joined};

#[derive(Deserialize)]
struct Payload {
    #[serde(rename = "ref")]
    git_ref: String,
    #[serde(default)]
    before: String,
    #[serde(default)]
    after: String,
    /// The commit; `after` of a tag may be the tag itself.
    #[serde(default)]
    checkout_sha: Option<String>,
    #[serde(default)]
    user_name: String,
    #[serde(default)]
    total_commits_count: usize,
    #[serde(default)]
    commits: Vec<Commit>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Commit {
    id: String,
    message: String,
    author: Author,
    added: Vec<String>,
    removed: Vec<String>,
    modified: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Author {
    name: String,
}

pub(super) fn event(name: &str, body: &[u8]) -> Result<Event, serde_json::Error> {
    if !matches!(name, "Push Hook" | "Tag Push Hook") {
        return Ok(Event::Other(name.to_owned()));
    }
    let payload: Payload = serde_json::from_slice(body)?;
    // No more than twenty commits are shown.
    let complete = payload.total_commits_count <= payload.commits.len() && !payload.commits.is_empty();
    let lists = payload
        .commits
        .iter()
        .flat_map(|commit| [&commit.added, &commit.removed, &commit.modified]);
    let paths = complete.then(|| joined(lists));
    let after = payload
        .checkout_sha
        .filter(|commit| !commit.is_empty())
        .unwrap_or(payload.after);
    let head = payload
        .commits
        .into_iter()
        .find(|commit| commit.id == after)
        .unwrap_or_default();
    Ok(Event::Pushes(vec![Push {
        git_ref: payload.git_ref,
        before: payload.before,
        after,
        paths,
        author: if head.author.name.is_empty() {
            payload.user_name
        } else {
            head.author.name
        },
        message: head.message,
        ..Push::default()
    }]))
}
