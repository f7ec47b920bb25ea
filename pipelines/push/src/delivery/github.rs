//! Webhooks of GitHub.

use serde::Deserialize;

use super::{Event, Push, joined};

/// A payload has no more commits than this; then it may have had more.
const MOST_COMMITS: usize = 2048;

#[derive(Deserialize)]
struct Payload {
    #[serde(rename = "ref")]
    git_ref: String,
    #[serde(default)]
    before: String,
    #[serde(default)]
    after: String,
    #[serde(default)]
    forced: bool,
    #[serde(default)]
    commits: Vec<Commit>,
    #[serde(default)]
    head_commit: Option<Commit>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Commit {
    id: String,
    tree_id: String,
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
    username: String,
}

pub(super) fn event(name: &str, body: &[u8]) -> Result<Event, serde_json::Error> {
    match name {
        "ping" => return Ok(Event::Ping),
        "push" => {}
        other => return Ok(Event::Other(other.to_owned())),
    }
    let payload: Payload = serde_json::from_slice(body)?;
    let complete = payload.commits.len() < MOST_COMMITS;
    let lists = payload
        .commits
        .iter()
        .flat_map(|commit| [&commit.added, &commit.removed, &commit.modified]);
    let paths = complete.then(|| joined(lists));
    let mut commits = payload.head_commit.into_iter().chain(payload.commits);
    // The commit is that of the ref; a page that was made a moment later may show another head.
    let head = commits
        .find(|commit| commit.id == payload.after)
        .unwrap_or_default();
    Ok(Event::Pushes(vec![Push {
        git_ref: payload.git_ref,
        before: payload.before,
        after: payload.after,
        forced: payload.forced,
        paths,
        author: if head.author.name.is_empty() {
            head.author.username
        } else {
            head.author.name
        },
        message: head.message,
        tree: head.tree_id,
    }]))
}
