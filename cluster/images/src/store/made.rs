//! What was built last under each name, and from which files, so that a start does not pack the same programs again.
//!
//! ```text
//! made/<hex of the SHA-256 of the name>    hex of the SHA-256 of the inputs, a space, the manifest's digest
//! ```
//! A file counts as the same while its inode, size and times are. The program that builds is one of the inputs: another
//! version of it may build otherwise.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::Inner;
use crate::build::{FileSource, LayerBuild};
use crate::digest::Digest;
use crate::durable;
use crate::error::ImageError;
use crate::manifest::Document;
use crate::names::Repository;

/// The inputs of a build, known without reading its files.
pub(super) struct Inputs {
    record: PathBuf,
    digest: Digest,
}

impl Inputs {
    /// `None` for builds that are not remembered: those on a base, which may be another one by now, those without a file
    /// of the host, which are no work, and those whose files cannot be looked at, which is for the build to tell.
    pub(super) fn of(inner: &Inner, build: &LayerBuild) -> Option<Self> {
        let hosts = build.files.iter().filter_map(|file| match &file.source {
            FileSource::Host(path) => Some(path),
            _ => None,
        });
        let builder = std::env::current_exe().ok()?;
        let mut paths = vec![&builder];
        paths.extend(hosts);
        if build.base.is_some() || paths.len() == 1 {
            return None;
        }
        let mut hasher = Sha256::new();
        hasher.update(format!("{build:?}"));
        for path in paths {
            hasher.update(stamp(path).ok()?);
        }
        let name = Digest::of(build.name.as_bytes());
        Some(Self {
            record: inner.config.dir.join("made").join(name.hex()),
            digest: Digest::from_hasher(hasher),
        })
    }

    /// The manifest that these inputs gave, if the tag still names it and all of it is here.
    pub(super) fn known(
        &self,
        inner: &Inner,
        repository: &Repository,
        tag: &str,
    ) -> Result<Option<Digest>, ImageError> {
        let Ok(record) = fs::read_to_string(&self.record) else {
            return Ok(None);
        };
        let Some((inputs, made)) = record.split_once(' ') else {
            return Ok(None);
        };
        let Ok(made) = made.parse::<Digest>() else {
            return Ok(None);
        };
        if inputs != self.digest.hex() || inner.names.resolve_tag(repository, tag)?.as_ref() != Some(&made) {
            return Ok(None);
        }
        let _guard = inner.sweep.read();
        let Some(Document::Manifest(manifest)) = inner.document(repository, &made)? else {
            return Ok(None);
        };
        for part in std::iter::once(&manifest.config).chain(&manifest.layers) {
            if inner.blobs.touch(&part.digest)?.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(made))
    }

    /// Remembers what the inputs gave.
    pub(super) fn remember(&self, inner: &Inner, made: &Digest) -> Result<(), ImageError> {
        let record = format!("{} {made}", self.digest.hex());
        durable::write(&inner.tmp, &self.record, record.as_bytes())
    }
}

/// What changes when a file does: the time of its inode's last change cannot be set back.
fn stamp(path: &Path) -> io::Result<String> {
    let file = fs::metadata(path)?;
    Ok(format!(
        "{} {} {} {} {} {} {};",
        file.dev(),
        file.ino(),
        file.size(),
        file.mtime(),
        file.mtime_nsec(),
        file.ctime(),
        file.ctime_nsec()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::LayerFile;
    use crate::store::{ImageStore, StoreConfig, parse};

    const NAME: &str = "localhost:5000/program:latest";

    fn program(path: &Path) -> LayerBuild {
        LayerBuild {
            name: NAME.to_owned(),
            files: vec![LayerFile {
                path: "/program".to_owned(),
                source: FileSource::Host(path.to_owned()),
                mode: 0o755,
            }],
            ..LayerBuild::default()
        }
    }

    fn known(store: &ImageStore, build: &LayerBuild) -> Option<Digest> {
        let reference = parse(&build.name).unwrap();
        let inner = &store.inner;
        let inputs = Inputs::of(inner, build).unwrap();
        let repository = inner.repository(&reference);
        inputs.known(inner, &repository, reference.identifier()).unwrap()
    }

    #[tokio::test]
    async fn a_build_is_known_until_its_file_its_name_or_its_content_changes() {
        let dir = tempfile::tempdir().unwrap();
        let store = ImageStore::open(StoreConfig::new(dir.path().join("store"))).unwrap();
        let file = dir.path().join("program");
        fs::write(&file, "one").unwrap();
        let build = program(&file);
        assert_eq!(known(&store, &build), None);
        let one = store.build(build.clone()).await.unwrap();
        assert_eq!(known(&store, &build), Some(one));
        let other_user = LayerBuild {
            user: Some("1".to_owned()),
            ..build.clone()
        };
        assert_eq!(known(&store, &other_user), None);

        // The same size, and the time set back: another inode tells it.
        let modified = fs::metadata(&file).unwrap().modified().unwrap();
        let next = dir.path().join("next");
        fs::write(&next, "two").unwrap();
        fs::File::open(&next).unwrap().set_modified(modified).unwrap();
        fs::rename(&next, &file).unwrap();
        assert_eq!(known(&store, &build), None);
        let two = store.build(build.clone()).await.unwrap();
        assert_ne!(one, two);
        assert_eq!(known(&store, &build), Some(two));

        // Somebody else has taken the name.
        let inner = &store.inner;
        let repository = inner.repository(&parse(NAME).unwrap());
        inner.names.set_tag(&repository, "latest", &one).unwrap();
        assert_eq!(known(&store, &build), None);
        assert_eq!(store.build(build.clone()).await.unwrap(), two);
        assert_eq!(known(&store, &build), Some(two));

        let Some(Document::Manifest(manifest)) = inner.document(&repository, &two).unwrap() else {
            panic!("no manifest");
        };
        inner.blobs.remove(&manifest.layers[0].digest).unwrap();
        assert_eq!(known(&store, &build), None);
        assert_eq!(store.build(build.clone()).await.unwrap(), two);
        assert_eq!(known(&store, &build), Some(two));
    }

    #[test]
    fn what_may_differ_without_a_file_is_not_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let store = ImageStore::open(StoreConfig::new(dir.path().join("store"))).unwrap();
        let file = dir.path().join("program");
        assert!(Inputs::of(&store.inner, &program(&file)).is_none());
        fs::write(&file, "one").unwrap();
        assert!(Inputs::of(&store.inner, &program(&file)).is_some());
        let on_base = LayerBuild {
            base: Some("localhost:5000/base".to_owned()),
            ..program(&file)
        };
        assert!(Inputs::of(&store.inner, &on_base).is_none());
    }
}
