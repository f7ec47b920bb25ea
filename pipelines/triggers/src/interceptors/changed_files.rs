//! Which files a push changes, as its payload tells.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// Commits that a payload of GitHub lists at most; of a push with more the files are not all known.
const MOST_COMMITS: usize = 2048;

/// The extension with the files that the commits of a push add, remove or modify; `None` if they are not all listed.
pub fn of_push(body: &Value) -> Option<Map<String, Value>> {
    let commits = body.get("commits")?.as_array()?;
    if commits.len() >= MOST_COMMITS {
        return None;
    }
    let mut files = BTreeSet::new();
    for commit in commits {
        for kind in ["added", "removed", "modified"] {
            let listed = commit.get(kind).and_then(Value::as_array);
            files.extend(listed.into_iter().flatten().filter_map(Value::as_str));
        }
    }
    let list: Vec<&str> = files.into_iter().collect();
    Some(Map::from_iter([(
        "changed_files".to_owned(),
        json!(list.join(",")),
    )]))
}
