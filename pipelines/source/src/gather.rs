//! What of a folder belongs to its source, in the order of names.

use std::ffi::OsStr;
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::Limits;
use crate::ignore::Ignore;
use crate::link;
use crate::pack::PackError;

/// Ignore files longer than this are not read.
const MAX_IGNORE: u64 = 1 << 20;
/// Nobody nests deeper, and recursion needs an end.
const MAX_DEPTH: usize = 128;
/// What a build needs though a `.dockerignore` names it, as it may for the image's sake.
const KEPT: [&str; 3] = ["Dockerfile", "Containerfile", ".dockerignore"];

/// Something in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Relative to the folder.
    pub path: PathBuf,
    /// What it is.
    pub kind: Kind,
}

/// What an [`Entry`] is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Folder,
    /// A file of that many bytes.
    File {
        /// Its length.
        size: u64,
        /// May it be run?
        executable: bool,
    },
    /// A symbolic link to there.
    Link(PathBuf),
}

/// Everything in `folder` but `.git` and, with `ignores`, what `.gitignore` and `.dockerignore` leave out; by name,
/// each folder before what is in it. Blocks.
///
/// # Errors
/// [`PackError`]: what cannot be read, is no file, leads out of the folder, or is too much.
pub fn gather(folder: &Path, ignores: bool, limits: &Limits) -> Result<Vec<Entry>, PackError> {
    let mut walk = Walk {
        folder,
        ignores,
        limits,
        docker: Ignore::default(),
        git: Vec::new(),
        entries: Vec::new(),
        bytes: 0,
    };
    if ignores && let Some(text) = read_ignore(&folder.join(".dockerignore"))? {
        walk.docker =
            Ignore::docker(&text).map_err(|error| PackError::Ignore(folder.join(".dockerignore"), error))?;
    }
    walk.folder(Path::new(""), 0, false)?;
    Ok(walk.entries)
}

struct Walk<'a> {
    folder: &'a Path,
    ignores: bool,
    limits: &'a Limits,
    docker: Ignore,
    /// Of the folder and those above it, with where they lie.
    git: Vec<(PathBuf, Ignore)>,
    entries: Vec<Entry>,
    bytes: u64,
}

impl Walk<'_> {
    fn folder(&mut self, inside: &Path, depth: usize, within_docker: bool) -> Result<(), PackError> {
        let place = self.folder.join(inside);
        if depth > MAX_DEPTH {
            return Err(PackError::Deep(place, MAX_DEPTH));
        }
        let rules = match self.ignores {
            true => read_ignore(&place.join(".gitignore"))?,
            false => None,
        };
        let own = rules.is_some();
        if let Some(text) = rules {
            let rules =
                Ignore::git(&text).map_err(|error| PackError::Ignore(place.join(".gitignore"), error))?;
            self.git.push((inside.to_path_buf(), rules));
        }
        let mut names = Vec::new();
        let listed = std::fs::read_dir(&place).map_err(|error| PackError::Read(place.clone(), error))?;
        for entry in listed {
            let entry = entry.map_err(|error| PackError::Read(place.clone(), error))?;
            names.push(entry.file_name());
            if names.len() > self.limits.entries {
                return Err(PackError::Entries(self.limits.entries));
            }
        }
        names.sort_unstable_by(|left, right| left.as_bytes().cmp(right.as_bytes()));
        for name in names {
            self.entry(inside, &name, depth, within_docker)?;
        }
        if own {
            self.git.pop();
        }
        Ok(())
    }

    fn entry(
        &mut self,
        inside: &Path,
        name: &OsStr,
        depth: usize,
        within_docker: bool,
    ) -> Result<(), PackError> {
        if name == ".git" {
            return Ok(());
        }
        let (path, place) = (inside.join(name), self.folder.join(inside).join(name));
        let found =
            std::fs::symlink_metadata(&place).map_err(|error| PackError::Read(place.clone(), error))?;
        let folder = found.is_dir();
        if self.left_out(&path, folder) {
            return Ok(());
        }
        // What lies in a folder that a `.dockerignore` leaves out is left out with it, unless it is taken back.
        let kept = inside == Path::new("") && KEPT.iter().any(|kept| *kept == name);
        let docker = !kept && self.docker.decide(&path, folder).unwrap_or(within_docker);
        if docker && !(folder && self.docker.has_exceptions()) {
            return Ok(());
        }
        let before = self.entries.len();
        let kind = self.kind(&path, &place, &found)?;
        self.entries.push(Entry {
            path: path.clone(),
            kind,
        });
        if self.entries.len() > self.limits.entries {
            return Err(PackError::Entries(self.limits.entries));
        }
        if folder {
            self.folder(&path, depth + 1, docker)?;
            if docker && self.entries.len() == before + 1 {
                self.entries.truncate(before);
            }
        }
        Ok(())
    }

    /// The nearest `.gitignore` that says anything decides.
    fn left_out(&self, path: &Path, folder: bool) -> bool {
        let mut said = self.git.iter().rev().filter_map(|(place, rules)| {
            let relative = path.strip_prefix(place).ok()?;
            rules.decide(relative, folder)
        });
        said.next().unwrap_or(false)
    }

    fn kind(&mut self, path: &Path, place: &Path, found: &Metadata) -> Result<Kind, PackError> {
        if found.is_dir() {
            return Ok(Kind::Folder);
        }
        if found.is_symlink() {
            let target =
                std::fs::read_link(place).map_err(|error| PackError::Read(place.to_path_buf(), error))?;
            link::check(path, &target)?;
            return Ok(Kind::Link(target));
        }
        if !found.is_file() {
            return Err(PackError::Special(place.to_path_buf()));
        }
        self.bytes = self.bytes.saturating_add(found.len());
        if self.bytes > self.limits.bytes {
            return Err(PackError::Bytes(self.limits.bytes));
        }
        Ok(Kind::File {
            size: found.len(),
            executable: found.permissions().mode() & 0o100 != 0,
        })
    }
}

/// The text of an ignore file; `None` if there is none. A link is not followed.
fn read_ignore(place: &Path) -> Result<Option<String>, PackError> {
    let failed = |error| PackError::Read(place.to_path_buf(), error);
    match std::fs::symlink_metadata(place) {
        Ok(found) if found.is_file() && found.len() <= MAX_IGNORE => Ok(Some(
            String::from_utf8_lossy(&std::fs::read(place).map_err(failed)?).into_owned(),
        )),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
    }
}
