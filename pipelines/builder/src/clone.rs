//! The step that fetches one commit of a git repository.

use std::path::Path;

use crate::error::Error;
use crate::git::{Repository, WORDS, mentions, public_url};
use crate::output::{result, say};
use crate::place::SOURCE;
use crate::settings::Settings;

/// Where the history of the branch goes if the host does not give single commits.
const FETCHED: &str = "refs/builder/source";

pub(crate) fn run(settings: &Settings) -> Result<(), Error> {
    check(settings)?;
    let folder = Path::new(SOURCE);
    std::fs::create_dir(folder).map_err(|error| Error::io(format!("make {SOURCE}"), error))?;
    let repository = Repository {
        folder,
        settings: &settings.git,
        limit: settings.max_source,
    };
    repository.run(&["init", "--quiet", "--template="])?;
    let commit = fetch(settings, &repository)?;
    check_size(settings, &repository, &commit)?;
    repository.run(&["checkout", "--quiet", "--force", "--detach", &commit])?;
    for (file, word, told) in [
        (
            ".gitmodules",
            "[submodule",
            "The repository has submodules, which are not fetched: their folders are empty.",
        ),
        (
            ".gitattributes",
            "filter=lfs",
            "The repository keeps files in Git LFS, which are not fetched: they are pointers.",
        ),
    ] {
        if mentions(&folder.join(file), word) {
            say(told);
        }
    }
    tell(settings, &repository, &commit)
}

/// Everything that becomes an argument of git; a run may have been written by anybody.
fn check(settings: &Settings) -> Result<(), Error> {
    let git = &settings.git;
    let refuse = |text: &str| Err(Error::Usage(text.to_owned()));
    let hash =
        git.commit.bytes().all(|byte| byte.is_ascii_hexdigit()) && matches!(git.commit.len(), 0 | 40 | 64);
    if git.url.is_empty() || git.url.starts_with('-') {
        return refuse("the address of the repository must not begin with a dash");
    }
    // What git takes as the name of a helper program, for instance `ext::sh`.
    if git.url.contains("::") && !git.url.contains("://[") {
        return refuse("the address of the repository must begin with a protocol, such as https://");
    }
    if !hash {
        return refuse("the commit must be a full hash");
    }
    if git.reference.starts_with(['-', '+']) || git.reference.contains([':', '*', '^', '~', ' ']) {
        return refuse("the branch is not the name of one");
    }
    if git.commit.is_empty() && git.reference.is_empty() {
        return refuse("neither a commit nor a branch is given");
    }
    Ok(())
}

/// Fetches what is asked for and gives the full hash of it.
fn fetch(settings: &Settings, repository: &Repository<'_>) -> Result<String, Error> {
    let git = &settings.git;
    let (url, commit) = (git.url.as_str(), git.commit.as_str());
    let shallow = ["fetch", "--quiet", "--no-tags", "--depth=1", "--", url];
    let wanted = if commit.is_empty() {
        &git.reference
    } else {
        &git.commit
    };
    let mut arguments = shallow.to_vec();
    arguments.push(wanted);
    let first = repository.run(&arguments);
    match first {
        Ok(_) => {
            return Ok(repository
                .run(&["rev-parse", "--verify", "FETCH_HEAD^{commit}"])?
                .trim()
                .to_owned());
        }
        // Not every host gives single commits; the branch has it unless it was replaced.
        Err(error) if commit.is_empty() || git.reference.is_empty() => {
            return Err(explained(settings, error));
        }
        Err(_) => {}
    }
    let refspec = format!("+{}:{FETCHED}", git.reference);
    repository
        .run(&["fetch", "--quiet", "--no-tags", "--", url, &refspec])
        .map_err(|error| explained(settings, error))?;
    let found = repository.run(&["merge-base", "--is-ancestor", commit, FETCHED]);
    match found {
        Ok(_) => Ok(commit.to_owned()),
        Err(_) => Err(vanished(settings)),
    }
}

fn explained(settings: &Settings, error: Error) -> Error {
    let text = error.to_string();
    let gone = [
        "not our ref",
        "couldn't find remote ref",
        "Could not find remote ref",
    ];
    match gone.iter().any(|words| text.contains(words)) {
        true => vanished(settings),
        false => error,
    }
}

fn vanished(settings: &Settings) -> Error {
    let git = &settings.git;
    let what = match git.commit.as_str() {
        "" => git.reference.clone(),
        commit => format!("commit {commit}"),
    };
    Error::Usage(format!(
        "{what} is not in {} any more: a forced push or a deleted branch took it away; push again to build what is there now",
        public_url(&git.url)
    ))
}

/// What a checkout would write, before it does.
fn check_size(settings: &Settings, repository: &Repository<'_>, commit: &str) -> Result<(), Error> {
    let listed = repository.run(&["ls-tree", "-r", "--full-tree", "--format=%(objectsize)", commit]);
    let limits = settings.limits();
    let listed = listed?;
    if listed.len() as u64 >= WORDS || listed.lines().count() > limits.entries {
        return Err(Error::Usage(format!(
            "there are more than {} files, which is the most that is built",
            limits.entries
        )));
    }
    let sizes = listed.lines().filter_map(|line| line.trim().parse::<u64>().ok());
    let total = sizes.fold(0_u64, u64::saturating_add);
    if total > limits.bytes {
        return Err(Error::Usage(format!(
            "the files are more than {} bytes, which is the most that is built",
            limits.bytes
        )));
    }
    Ok(())
}

fn tell(settings: &Settings, repository: &Repository<'_>, commit: &str) -> Result<(), Error> {
    let text = repository.run(&[
        "log",
        "-1",
        "--no-show-signature",
        "--format=%ct%n%T%n%an <%ae>%n%s",
        commit,
    ])?;
    let mut lines = text.lines();
    let mut next = || lines.next().unwrap_or_default();
    let (date, tree, author, subject) = (next(), next(), next(), next());
    let url = public_url(&settings.git.url);
    say(&format!("Checked out {commit} of {url}: {subject}"));
    result("commit", commit)?;
    result("url", &url)?;
    result("committer-date", date)?;
    result("author", author)?;
    result("tree", tree)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Git;

    #[test]
    fn what_looks_like_an_option_or_a_program_is_refused() {
        let sha = "a".repeat(40);
        for (url, commit, reference, fine) in [
            ("https://example.com/a.git", sha.as_str(), "refs/heads/main", true),
            ("https://example.com/a.git", "", "main", true),
            ("http://[::1]:80/a.git", &sha, "", true),
            ("--upload-pack=/bin/sh", &sha, "", false),
            ("ext::sh -c id", &sha, "", false),
            ("", &sha, "", false),
            ("https://a/b", "HEAD", "", false),
            ("https://a/b", "--all", "", false),
            ("https://a/b", &sha, "--upload-pack=x", false),
            ("https://a/b", &sha, "a:b", false),
            ("https://a/b", "", "", false),
        ] {
            let settings = Settings {
                git: Git {
                    url: url.to_owned(),
                    commit: commit.to_owned(),
                    reference: reference.to_owned(),
                    protocols: vec![],
                },
                ..Settings::default()
            };
            assert_eq!(check(&settings).is_ok(), fine, "{url} {commit} {reference}");
        }
    }
}
