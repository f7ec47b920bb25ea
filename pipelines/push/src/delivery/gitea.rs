//! Webhooks of Gitea and Forgejo. They look like GitHub's, with less in them.

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
    #[serde(default)]
    commits: Option<Vec<Commit>>,
    #[serde(default)]
    total_commits: usize,
    #[serde(default)]
    head_commit: Option<Commit>,
}

/// A branch or tag that was deleted.
#[derive(Deserialize)]
struct Deletion {
    #[serde(rename = "ref")]
    name: String,
    ref_type: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Commit {
    id: String,
    message: String,
    author: Author,
    added: Option<Vec<String>>,
    removed: Option<Vec<String>>,
    modified: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Author {
    name: String,
}

pub(super) fn event(name: &str, body: &[u8]) -> Result<Event, serde_json::Error> {
    match name {
        "push" => {}
        "delete" => {
            let deletion: Deletion = serde_json::from_slice(body)?;
            let kind = if deletion.ref_type == "tag" {
                "tags"
            } else {
                "heads"
            };
            return Ok(Event::Pushes(vec![Push {
                git_ref: format!("refs/{kind}/{}", deletion.name),
                ..Push::default()
            }]));
        }
        other => return Ok(Event::Other(other.to_owned())),
    }
    let payload: Payload = serde_json::from_slice(body)?;
    let commits = payload.commits.unwrap_or_default();
    let complete = payload.total_commits <= commits.len() && !commits.is_empty();
    let lists = commits
        .iter()
        .flat_map(|commit| [&commit.added, &commit.removed, &commit.modified])
        .flatten();
    let paths = complete.then(|| joined(lists));
    let mut all = payload.head_commit.into_iter().chain(commits);
    let head = all.find(|commit| commit.id == payload.after).unwrap_or_default();
    Ok(Event::Pushes(vec![Push {
        git_ref: payload.git_ref,
        before: payload.before,
        after: payload.after,
        paths,
        author: head.author.name,
        message: head.message,
        ..Push::default()
    }]))
}
