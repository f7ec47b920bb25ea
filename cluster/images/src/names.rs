//! Which repository has which manifests, tags and blobs: small files, so that every change is one synced rename.
//!
//! ```text
//! names/<registry>/<repository…>/_manifests/<hex>            media type
//!                               /_tags/<tag>                 digest
//!                               /_blobs/<hex>                (empty) the repository may read the blob
//!                               /_referrers/<subject>/<hex>  (empty) the manifest names the subject
//! ```
//! Path components of repositories start with a letter or digit, so the names with `_` cannot collide with them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::digest::Digest;
use crate::durable;
use crate::error::ImageError;

/// Directory that stands for the embedded registry under all its names; no host can be called so.
pub(crate) const EMBEDDED: &str = "_embedded";

const MANIFESTS: &str = "_manifests";
const TAGS: &str = "_tags";
const BLOBS: &str = "_blobs";
const REFERRERS: &str = "_referrers";

/// Deepest repository path.
const MAX_DEPTH: usize = 32;

/// A repository of one registry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Repository {
    /// Host of the registry, or [`EMBEDDED`].
    pub(crate) registry: String,
    /// Validated path, such as `library/busybox`.
    pub(crate) path: String,
}

/// A manifest a repository knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Linked {
    pub(crate) digest: Digest,
    /// When it was last pushed or used.
    pub(crate) used: SystemTime,
}

/// The tree of names.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    dir: PathBuf,
    tmp: PathBuf,
}

impl Names {
    pub(crate) fn open(dir: PathBuf, tmp: PathBuf) -> Result<Self, ImageError> {
        durable::create_dir(&dir)?;
        Ok(Self { dir, tmp })
    }

    fn repository(&self, repository: &Repository) -> PathBuf {
        self.dir.join(&repository.registry).join(&repository.path)
    }

    fn manifest(&self, repository: &Repository, digest: &Digest) -> PathBuf {
        self.repository(repository).join(MANIFESTS).join(digest.hex())
    }

    fn tag(&self, repository: &Repository, tag: &str) -> PathBuf {
        self.repository(repository).join(TAGS).join(tag)
    }

    fn blob(&self, repository: &Repository, digest: &Digest) -> PathBuf {
        self.repository(repository).join(BLOBS).join(digest.hex())
    }

    /// Whether the repository has ever been written to.
    pub(crate) fn exists(&self, repository: &Repository) -> bool {
        let dir = self.repository(repository);
        [MANIFESTS, TAGS, BLOBS]
            .iter()
            .any(|kind| dir.join(kind).is_dir())
    }

    pub(crate) fn link_manifest(
        &self,
        repository: &Repository,
        digest: &Digest,
        media_type: &str,
    ) -> Result<(), ImageError> {
        durable::write(
            &self.tmp,
            &self.manifest(repository, digest),
            media_type.as_bytes(),
        )
    }

    /// The media type of a manifest the repository knows.
    pub(crate) fn media_type(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Option<String>, ImageError> {
        read_optional(&self.manifest(repository, digest))
    }

    /// Marks a manifest as used now.
    pub(crate) fn touch_manifest(&self, repository: &Repository, digest: &Digest) -> Result<(), ImageError> {
        let path = self.manifest(repository, digest);
        let touched = fs::File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        touched.map_err(ImageError::io("touch", path))
    }

    /// Forgets a manifest with its tags and its place among the referrers.
    pub(crate) fn unlink_manifest(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<bool, ImageError> {
        for tag in self.tags(repository)? {
            if self.resolve_tag(repository, &tag)?.as_ref() == Some(digest) {
                self.unlink_tag(repository, &tag)?;
            }
        }
        for subject in list(&self.repository(repository).join(REFERRERS))? {
            durable::remove(
                &self
                    .repository(repository)
                    .join(REFERRERS)
                    .join(subject)
                    .join(digest.hex()),
            )?;
        }
        durable::remove(&self.manifest(repository, digest))
    }

    pub(crate) fn manifests(&self, repository: &Repository) -> Result<Vec<Linked>, ImageError> {
        let dir = self.repository(repository).join(MANIFESTS);
        let names = list(&dir)?;
        Ok(names
            .iter()
            .filter_map(|name| {
                let used = fs::metadata(dir.join(name))
                    .and_then(|metadata| metadata.modified())
                    .ok()?;
                Some(Linked {
                    digest: Digest::from_hex(name)?,
                    used,
                })
            })
            .collect())
    }

    pub(crate) fn set_tag(
        &self,
        repository: &Repository,
        tag: &str,
        digest: &Digest,
    ) -> Result<(), ImageError> {
        durable::write(
            &self.tmp,
            &self.tag(repository, tag),
            digest.to_string().as_bytes(),
        )
    }

    pub(crate) fn resolve_tag(
        &self,
        repository: &Repository,
        tag: &str,
    ) -> Result<Option<Digest>, ImageError> {
        let path = self.tag(repository, tag);
        let Some(text) = read_optional(&path)? else {
            return Ok(None);
        };
        text.parse()
            .map(Some)
            .map_err(|error: crate::digest::DigestError| ImageError::InvalidContent {
                what: format!("tag file {}", path.display()),
                reason: error.to_string(),
            })
    }

    /// When the tag was written.
    pub(crate) fn tag_time(&self, repository: &Repository, tag: &str) -> SystemTime {
        fs::metadata(self.tag(repository, tag))
            .and_then(|metadata| metadata.modified())
            .unwrap_or(SystemTime::UNIX_EPOCH)
    }

    pub(crate) fn unlink_tag(&self, repository: &Repository, tag: &str) -> Result<bool, ImageError> {
        durable::remove(&self.tag(repository, tag))
    }

    /// All tags in lexical order.
    pub(crate) fn tags(&self, repository: &Repository) -> Result<Vec<String>, ImageError> {
        list(&self.repository(repository).join(TAGS))
    }

    pub(crate) fn link_blob(&self, repository: &Repository, digest: &Digest) -> Result<(), ImageError> {
        let path = self.blob(repository, digest);
        match path.exists() {
            true => Ok(()),
            false => durable::write(&self.tmp, &path, b""),
        }
    }

    pub(crate) fn has_blob(&self, repository: &Repository, digest: &Digest) -> bool {
        self.blob(repository, digest).exists()
    }

    pub(crate) fn unlink_blob(&self, repository: &Repository, digest: &Digest) -> Result<bool, ImageError> {
        durable::remove(&self.blob(repository, digest))
    }

    pub(crate) fn blobs(&self, repository: &Repository) -> Result<Vec<Digest>, ImageError> {
        let names = list(&self.repository(repository).join(BLOBS))?;
        Ok(names.iter().filter_map(|name| Digest::from_hex(name)).collect())
    }

    pub(crate) fn link_referrer(
        &self,
        repository: &Repository,
        subject: &Digest,
        manifest: &Digest,
    ) -> Result<(), ImageError> {
        let path = self
            .repository(repository)
            .join(REFERRERS)
            .join(subject.hex())
            .join(manifest.hex());
        durable::write(&self.tmp, &path, b"")
    }

    /// Manifests that name `subject`, in lexical order.
    pub(crate) fn referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
    ) -> Result<Vec<Digest>, ImageError> {
        let names = list(&self.repository(repository).join(REFERRERS).join(subject.hex()))?;
        Ok(names.iter().filter_map(|name| Digest::from_hex(name)).collect())
    }

    /// All repositories in lexical order of registry and path.
    pub(crate) fn repositories(&self) -> Result<Vec<Repository>, ImageError> {
        let mut found = Vec::new();
        for registry in list(&self.dir)? {
            walk(&self.dir.join(&registry), &registry, String::new(), 0, &mut found)?;
        }
        found.sort();
        Ok(found)
    }
}

fn walk(
    dir: &Path,
    registry: &str,
    path: String,
    depth: usize,
    found: &mut Vec<Repository>,
) -> Result<(), ImageError> {
    if depth > MAX_DEPTH {
        return Ok(());
    }
    let mut is_repository = false;
    for name in list(dir)? {
        if name.starts_with('_') {
            is_repository = true;
        } else {
            let inner = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}/{name}")
            };
            walk(&dir.join(&name), registry, inner, depth + 1, found)?;
        }
    }
    if is_repository && !path.is_empty() {
        found.push(Repository {
            registry: registry.to_owned(),
            path,
        });
    }
    Ok(())
}

/// Names in a directory, sorted; none when it is absent.
fn list(dir: &Path) -> Result<Vec<String>, ImageError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if durable::absent(&error) => return Ok(Vec::new()),
        Err(source) => {
            return Err(ImageError::Io {
                action: "read",
                path: dir.into(),
                source,
            });
        }
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(ImageError::io("read", dir))?;
        if let Ok(name) = entry.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn read_optional(path: &Path) -> Result<Option<String>, ImageError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if durable::absent(&error) => Ok(None),
        Err(source) => Err(ImageError::Io {
            action: "read",
            path: path.into(),
            source,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_manifests_and_nested_repositories() {
        let dir = tempfile::tempdir().unwrap();
        durable::create_dir(&dir.path().join("tmp")).unwrap();
        let names = Names::open(dir.path().join("names"), dir.path().join("tmp")).unwrap();
        let repository = |path: &str| Repository {
            registry: EMBEDDED.into(),
            path: path.into(),
        };
        let (outer, inner) = (repository("team"), repository("team/app"));
        let (one, two) = (Digest::of(b"1"), Digest::of(b"2"));
        for repository in [&outer, &inner] {
            names.link_manifest(repository, &one, "type").unwrap();
        }
        names.set_tag(&inner, "v1", &one).unwrap();
        names.set_tag(&inner, "latest", &two).unwrap();
        names.link_referrer(&inner, &two, &one).unwrap();
        assert_eq!(names.repositories().unwrap(), [outer.clone(), inner.clone()]);
        assert_eq!(names.tags(&inner).unwrap(), ["latest", "v1"]);
        assert_eq!(names.resolve_tag(&inner, "v1").unwrap(), Some(one));
        assert_eq!(names.media_type(&inner, &one).unwrap().as_deref(), Some("type"));
        assert_eq!(names.referrers(&inner, &two).unwrap(), [one]);
        assert!(names.unlink_manifest(&inner, &one).unwrap());
        assert_eq!(names.tags(&inner).unwrap(), ["latest"]);
        assert_eq!(names.referrers(&inner, &two).unwrap(), []);
        assert_eq!(names.media_type(&outer, &one).unwrap().as_deref(), Some("type"));
        assert!(!names.unlink_manifest(&inner, &one).unwrap());
    }
}
