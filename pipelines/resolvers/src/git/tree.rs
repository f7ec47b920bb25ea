//! A file of a commit, by a path that may lead over links; all of it stays within the commit.

use std::collections::VecDeque;
use std::future::Future;

use crate::question::{Failure, MAX_DATA};

/// Links on one path.
const MAX_LINKS: usize = 16;
/// Longest target of a link.
const MAX_TARGET: usize = 4096;
const MAX_DEPTH: usize = 64;

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Folder,
    File(String),
    Link(String),
    /// Another repository.
    Module,
}

/// The trees of a commit.
pub(super) trait Trees {
    /// What is at a path of plain names.
    fn entry(&self, path: &str) -> impl Future<Output = Result<Option<Entry>, Failure>> + Send;

    /// The content of a file or link, which may have as many bytes at most.
    fn blob(&self, id: &str, most: usize) -> impl Future<Output = Result<Vec<u8>, Failure>> + Send;
}

/// The content of the file at `path`.
///
/// # Errors
/// If there is none, or the path leads out of the repository.
pub(super) async fn file(trees: &impl Trees, path: &str) -> Result<Vec<u8>, Failure> {
    let mut todo: VecDeque<String> = parts(path.trim_start_matches('/')).collect();
    let (mut at, mut links) = (Vec::<String>::new(), 0);
    while let Some(part) = todo.pop_front() {
        if part == ".." {
            if at.pop().is_none() {
                return Failure::never(format!("the path {path:?} leads out of the repository"));
            }
            continue;
        }
        at.push(part);
        if at.len() > MAX_DEPTH {
            return Failure::never(format!("the path {path:?} is too deep"));
        }
        let here = at.join("/");
        match trees.entry(&here).await? {
            None => {
                return Failure::never(format!("there is no {here:?} in the repository at that revision"));
            }
            Some(Entry::Module) => {
                return Failure::never(format!("{here:?} is a submodule, which is not fetched"));
            }
            Some(Entry::Folder) => {}
            Some(Entry::File(id)) if todo.is_empty() => return trees.blob(&id, MAX_DATA).await,
            Some(Entry::File(_)) => return Failure::never(format!("{here:?} is a file, not a folder")),
            Some(Entry::Link(id)) => {
                links += 1;
                if links > MAX_LINKS {
                    return Failure::never(format!("the path {path:?} leads over too many links"));
                }
                let target = trees.blob(&id, MAX_TARGET).await?;
                let Ok(target) = String::from_utf8(target) else {
                    return Failure::never(format!("the link {here:?} leads to what is no text"));
                };
                if target.starts_with('/') {
                    return Failure::never(format!("the link {here:?} leads out of the repository"));
                }
                at.pop();
                for part in parts(&target).collect::<Vec<_>>().into_iter().rev() {
                    todo.push_front(part);
                }
            }
        }
    }
    Failure::never(format!("{path:?} is a folder, not a file"))
}

fn parts(path: &str) -> impl Iterator<Item = String> {
    let parts = path.split('/').filter(|part| !part.is_empty() && *part != ".");
    parts.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    struct Fake(BTreeMap<&'static str, Entry>);

    impl Trees for Fake {
        async fn entry(&self, path: &str) -> Result<Option<Entry>, Failure> {
            Ok(self.0.get(path).cloned())
        }

        async fn blob(&self, id: &str, most: usize) -> Result<Vec<u8>, Failure> {
            assert!(id.len() <= most);
            Ok(id.as_bytes().to_vec())
        }
    }

    #[tokio::test]
    async fn paths_stay_inside_after_links() {
        let (file_of, link) = (
            |id: &str| Entry::File(id.to_owned()),
            |to: &str| Entry::Link(to.to_owned()),
        );
        let trees = Fake(BTreeMap::from([
            ("task", Entry::Folder),
            ("task/a.yaml", file_of("content")),
            ("task/b.yaml", link("a.yaml")),
            ("task/up", link("..")),
            ("latest", link("task")),
            ("out", link("../../etc/passwd")),
            ("abs", link("/etc/passwd")),
            ("loop", link("loop")),
            ("sneaky", link("task/../../etc")),
            ("module", Entry::Module),
        ]));
        for (path, expected) in [
            ("task/a.yaml", Ok(())),
            ("/task//./a.yaml", Ok(())),
            ("task/b.yaml", Ok(())),
            ("latest/b.yaml", Ok(())),
            ("task/up/latest/a.yaml", Ok(())),
            ("task/../task/a.yaml", Ok(())),
            ("task", Err("is a folder")),
            ("", Err("is a folder")),
            ("none", Err("there is no \"none\"")),
            ("task/a.yaml/b", Err("is a file, not a folder")),
            ("../a", Err("leads out")),
            ("task/../../a", Err("leads out")),
            ("out", Err("leads out")),
            ("abs", Err("leads out")),
            ("sneaky/passwd", Err("leads out")),
            ("loop", Err("too many links")),
            ("module/x", Err("submodule")),
        ] {
            match (file(&trees, path).await, expected) {
                (Ok(found), Ok(())) => assert_eq!(found, b"content", "{path}"),
                (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{path}: {error}"),
                (found, _) => panic!("{path}: {found:?}"),
            }
        }
    }
}
