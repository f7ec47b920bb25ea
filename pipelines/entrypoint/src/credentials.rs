//! Credentials from secrets, as the files that git, ssh and docker read.
//!
//! They are written to a folder in memory, and copied to the home of the step's user. No message has anything of a
//! secret but its name.

mod docker;
mod git;
mod ssh;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::{paths, say};

/// The secrets to use, as the flags name them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// `-basic-git=<secret>=<url>`
    pub basic_git: Vec<Target>,
    /// `-ssh-git=<secret>=<host[:port][/path]>`
    pub ssh_git: Vec<Target>,
    /// `-basic-docker=<secret>=<registry>`
    pub basic_docker: Vec<Target>,
    /// `-docker-config=<secret>`
    pub docker_config: Vec<String>,
    /// `-docker-cfg=<secret>`
    pub docker_cfg: Vec<String>,
    /// `-creds_secrets_dir`: one folder per secret.
    pub secrets: PathBuf,
    /// `-creds_dir`: where the files go.
    pub folder: PathBuf,
}

/// A secret, and where it is used.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    pub secret: String,
    pub url: String,
}

impl Default for Credentials {
    fn default() -> Self {
        Self {
            basic_git: Vec::new(),
            ssh_git: Vec::new(),
            basic_docker: Vec::new(),
            docker_config: Vec::new(),
            docker_cfg: Vec::new(),
            secrets: paths::CREDENTIAL_SECRETS.into(),
            folder: paths::CREDENTIALS.into(),
        }
    }
}

impl Target {
    /// Reads `<secret>=<url>`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (secret, url) = text.split_once('=')?;
        let is_name = !secret.is_empty() && !secret.contains('/') && !secret.starts_with('.');
        (is_name && !url.is_empty()).then(|| Self {
            secret: secret.to_owned(),
            url: url.to_owned(),
        })
    }
}

/// Files by their path below a home.
type Files = BTreeMap<String, Vec<u8>>;

/// Writes the files, also into `home`. What cannot be written is told, and is no reason not to run the step: its
/// command says better than anybody else whether it needed them.
pub(crate) fn place(credentials: &Credentials, home: Option<&Path>) {
    let mut files = Files::new();
    git::files(credentials, home, &mut files);
    docker::files(credentials, &mut files);
    for (name, content) in &files {
        for folder in [Some(credentials.folder.as_path()), home].into_iter().flatten() {
            if let Err(error) = write(&folder.join(name), content) {
                say(&format!(
                    "cannot write {name} below {}: {error}",
                    folder.display()
                ));
            }
        }
    }
}

/// Only the owner may read it.
fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    // One that was there already may be open to others.
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    file.write_all(content)
}

/// A key of a secret; told if it is not there.
fn read(credentials: &Credentials, secret: &str, key: &str) -> Option<String> {
    match fs::read_to_string(credentials.secrets.join(secret).join(key)) {
        Ok(text) => Some(text),
        Err(error) => {
            say(&format!("cannot read {key} of secret {secret}: {error}"));
            None
        }
    }
}

/// User and password of a secret. Newlines at the end come from editors.
fn basic(credentials: &Credentials, secret: &str) -> Option<(String, String)> {
    let of = |key| read(credentials, secret, key).map(|text| text.trim_end_matches(['\r', '\n']).to_owned());
    Some((of("username")?, of("password")?))
}

#[cfg(test)]
mod tests;
