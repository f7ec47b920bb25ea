//! Webhooks of Bitbucket: those of the cloud (`repo:push`), and those of its data centers (`repo:refs_changed`). Neither
//! tells which files changed.

use serde::Deserialize;

use super::{Event, Push};

#[derive(Deserialize)]
struct Cloud {
    push: Changes,
}

#[derive(Deserialize)]
struct Changes {
    changes: Vec<Change>,
}

#[derive(Deserialize)]
struct Change {
    #[serde(default)]
    old: Option<Ref>,
    #[serde(default)]
    new: Option<Ref>,
    #[serde(default)]
    forced: bool,
}

#[derive(Deserialize)]
struct Ref {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    target: Target,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Target {
    hash: String,
    message: String,
    author: Author,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Author {
    /// `Name <address>`
    raw: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DataCenter {
    changes: Vec<RefChange>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RefChange {
    #[serde(rename = "ref")]
    moved: MovedRef,
    #[serde(default)]
    from_hash: String,
    #[serde(default)]
    to_hash: String,
}

#[derive(Deserialize)]
struct MovedRef {
    id: String,
}

pub(super) fn event(name: &str, body: &[u8]) -> Result<Event, serde_json::Error> {
    match name {
        "diagnostics:ping" => Ok(Event::Ping),
        "repo:push" => {
            let payload: Cloud = serde_json::from_slice(body)?;
            let pushes = payload.push.changes.into_iter().filter_map(of_cloud);
            Ok(Event::Pushes(pushes.collect()))
        }
        "repo:refs_changed" => {
            let payload: DataCenter = serde_json::from_slice(body)?;
            let pushes = payload.changes.into_iter().map(|change| Push {
                git_ref: change.moved.id,
                before: change.from_hash,
                after: change.to_hash,
                ..Push::default()
            });
            Ok(Event::Pushes(pushes.collect()))
        }
        other => Ok(Event::Other(other.to_owned())),
    }
}

fn of_cloud(change: Change) -> Option<Push> {
    let present = change.new.as_ref().or(change.old.as_ref())?;
    let kind = if present.kind == "tag" || present.kind == "annotated_tag" {
        "tags"
    } else {
        "heads"
    };
    let git_ref = format!("refs/{kind}/{}", present.name);
    let target = change.new.map(|new| new.target).unwrap_or_default();
    let author = target.author.raw.split('<').next().unwrap_or_default();
    Some(Push {
        git_ref,
        before: change.old.map(|old| old.target.hash).unwrap_or_default(),
        author: author.trim().to_owned(),
        after: target.hash,
        forced: change.forced,
        message: target.message,
        ..Push::default()
    })
}
