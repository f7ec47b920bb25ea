//! Import of image archives: what `docker save`, `skopeo copy docker-archive:` or `oci-archive:` write.
//!
//! The archive is indexed once (names to offsets) and its parts are then read where they lie, so a large layer is
//! copied once, into the store.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::Path;
use std::time::SystemTime;

use serde::Deserialize;

use super::publish::Publication;
use super::{Inner, parse};
use crate::blob::Temporary;
use crate::digest::Digest;
use crate::error::ImageError;
use crate::image::{ImageSummary, null_is_default};
use crate::layer;
use crate::manifest::{
    Descriptor, Document, Index, MAX_DOCUMENT, Manifest, OCI_CONFIG, OCI_LAYER, OCI_LAYER_GZIP, OCI_MANIFEST,
};
use crate::names::Repository;

/// Most entries of an archive.
const MAX_ENTRIES: usize = 10_000;

/// Largest archive once decompressed, and largest blob in it.
const MAX_BYTES: u64 = 64 << 30;

/// Repository of images that come without a name.
const UNNAMED: &str = "docker.io/library/imported";

/// Annotations that name an image in an OCI layout; containerd's holds a full reference, the standard one often only
/// a tag.
const NAME_ANNOTATIONS: [&str; 2] = ["io.containerd.image.name", "org.opencontainers.image.ref.name"];

/// Where an entry's bytes are.
#[derive(Debug, Clone, Copy)]
struct Extent {
    offset: u64,
    size: u64,
}

struct Archive<'a> {
    inner: &'a Inner,
    path: &'a Path,
    file: File,
    entries: HashMap<String, Extent>,
}

/// One image of a docker archive's `manifest.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: String,
    #[serde(default, deserialize_with = "null_is_default")]
    repo_tags: Vec<String>,
    #[serde(default, deserialize_with = "null_is_default")]
    layers: Vec<String>,
}

pub(super) fn load(inner: &Inner, path: &Path) -> Result<Vec<ImageSummary>, ImageError> {
    let invalid = |reason: String| ImageError::InvalidArchive {
        path: path.into(),
        reason,
    };
    let opened = File::open(path).map_err(ImageError::io("open", path))?;
    let (file, _temporary) = plain(inner, opened).map_err(&invalid)?;
    let entries = index(&file).map_err(invalid)?;
    let mut archive = Archive {
        inner,
        path,
        file,
        entries,
    };
    // Docker writes both forms since version 25; its own names the images.
    if archive.entries.contains_key("manifest.json") {
        archive.load_docker()
    } else if archive.entries.contains_key("index.json") {
        archive.load_oci()
    } else {
        Err(archive.invalid("it has neither manifest.json (docker archive) nor index.json (OCI layout)"))
    }
}

/// The archive itself may be compressed; a plain one is read in place.
fn plain(inner: &Inner, file: File) -> Result<(File, Option<Temporary>), String> {
    let mut magic = [0u8; 2];
    let mut file = file;
    let told = |error: io::Error| error.to_string();
    let count = file.read(&mut magic).map_err(told)?;
    file.seek(SeekFrom::Start(0)).map_err(told)?;
    if count < 2 || !matches!(magic, [0x1f, 0x8b] | [0x28, 0xb5]) {
        return Ok((file, None));
    }
    let temporary = Temporary::new(inner.tmp.join(uuid::Uuid::new_v4().to_string()));
    let mut plain = File::create_new(temporary.path()).map_err(told)?;
    let copied = io::copy(&mut layer::decompress(file)?.take(MAX_BYTES + 1), &mut plain).map_err(told)?;
    if copied > MAX_BYTES {
        return Err(format!("it is larger than {MAX_BYTES} bytes"));
    }
    Ok((File::open(temporary.path()).map_err(told)?, Some(temporary)))
}

fn index(file: &File) -> Result<HashMap<String, Extent>, String> {
    let told = |error: io::Error| error.to_string();
    let mut reader = file.try_clone().map_err(told)?;
    reader.seek(SeekFrom::Start(0)).map_err(told)?;
    let mut archive = tar::Archive::new(reader);
    let mut entries = HashMap::new();
    let mut links = Vec::new();
    for entry in archive.entries_with_seek().map_err(told)? {
        let entry = entry.map_err(told)?;
        if entries.len() + links.len() >= MAX_ENTRIES {
            return Err(format!("it has more than {MAX_ENTRIES} entries"));
        }
        let name = normal(&entry.path_bytes());
        if entry.header().entry_type().is_file() {
            entries.insert(
                name,
                Extent {
                    offset: entry.raw_file_position(),
                    size: entry.size(),
                },
            );
        } else if let Some(target) = entry.link_name_bytes() {
            links.push((name, String::from_utf8_lossy(&target).into_owned()));
        }
    }
    // Older docker archives store a layer once and link the others to it, relative to the link.
    for (name, target) in links {
        let dir = name.rsplit_once('/').map_or("", |(dir, _)| dir);
        let (joined, plain) = (resolve(dir, &target), normal(target.as_bytes()));
        if let Some(extent) = entries.get(&joined).or_else(|| entries.get(&plain)).copied() {
            entries.insert(name, extent);
        }
    }
    Ok(entries)
}

fn normal(name: &[u8]) -> String {
    resolve("", &String::from_utf8_lossy(name))
}

/// Names are keys of a map here, never paths on disk; `..` at the top is dropped.
fn resolve(dir: &str, name: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in dir.split('/').chain(name.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

impl Archive<'_> {
    fn load_docker(&mut self) -> Result<Vec<ImageSummary>, ImageError> {
        let bytes = self.document("manifest.json")?;
        let images: Vec<DockerImage> = serde_json::from_slice(&bytes)
            .map_err(|error| self.invalid(&format!("manifest.json: {error}")))?;
        let mut loaded = Vec::new();
        for image in images {
            let config = self.document(&normal(image.config.as_bytes()))?;
            let config_digest = self.inner.blobs.write(&config)?;
            let mut layers = Vec::new();
            for layer in &image.layers {
                layers.push(self.import_layer(&normal(layer.as_bytes()))?);
            }
            let manifest = Manifest {
                schema_version: 2,
                media_type: Some(OCI_MANIFEST.into()),
                artifact_type: None,
                config: Descriptor::new(OCI_CONFIG, config_digest, config.len() as u64),
                layers,
                subject: None,
                annotations: BTreeMap::new(),
            };
            let bytes = serde_json::to_vec(&manifest).map_err(|error| self.invalid(&error.to_string()))?;
            self.publish_named(&bytes, OCI_MANIFEST, &image.repo_tags, &mut loaded)?;
        }
        Ok(loaded)
    }

    fn load_oci(&mut self) -> Result<Vec<ImageSummary>, ImageError> {
        let bytes = self.document("index.json")?;
        let index = match Document::parse(&bytes, None)? {
            Document::Index(index) => index,
            Document::Manifest(_) => return Err(self.invalid("index.json is no index")),
        };
        let mut loaded = Vec::new();
        for descriptor in &index.manifests {
            let name = NAME_ANNOTATIONS
                .iter()
                .find_map(|key| descriptor.annotations.get(*key))
                .cloned();
            let names: Vec<String> = name.into_iter().collect();
            let bytes = self.blob_document(&descriptor.digest)?;
            match Document::parse(&bytes, Some(&descriptor.media_type))? {
                Document::Manifest(manifest) => self.import_content(&manifest)?,
                Document::Index(inner) => self.import_children(&inner, &names)?,
            }
            self.publish_named(&bytes, &descriptor.media_type, &names, &mut loaded)?;
        }
        Ok(loaded)
    }

    /// An index may name platforms the archive leaves out.
    fn import_children(&mut self, index: &Index, names: &[String]) -> Result<(), ImageError> {
        for child in &index.manifests {
            if !self.entries.contains_key(&blob_name(&child.digest)) {
                continue;
            }
            let bytes = self.blob_document(&child.digest)?;
            let Document::Manifest(manifest) = Document::parse(&bytes, Some(&child.media_type))? else {
                continue;
            };
            self.import_content(&manifest)?;
            for (repository, _) in self.targets(names)? {
                self.inner.publish(Publication {
                    repository: &repository,
                    bytes: &bytes,
                    media_type: Some(&child.media_type),
                    tag: None,
                    partial: true,
                })?;
            }
        }
        Ok(())
    }

    fn import_content(&mut self, manifest: &Manifest) -> Result<(), ImageError> {
        for part in std::iter::once(&manifest.config).chain(&manifest.layers) {
            self.import_blob(&blob_name(&part.digest), Some(&part.digest))?;
        }
        Ok(())
    }

    /// A layer of a docker archive; its name says nothing reliable about its content.
    fn import_layer(&mut self, name: &str) -> Result<Descriptor, ImageError> {
        let (digest, size) = self.import_blob(name, None)?;
        let mut magic = [0u8; 2];
        let gzip = self.inner.blobs.file(&digest)?.read_exact(&mut magic).is_ok() && magic == [0x1f, 0x8b];
        Ok(Descriptor::new(
            if gzip { OCI_LAYER_GZIP } else { OCI_LAYER },
            digest,
            size,
        ))
    }

    fn import_blob(&mut self, name: &str, digest: Option<&Digest>) -> Result<(Digest, u64), ImageError> {
        if let Some(digest) = digest
            && let Some(size) = self.inner.blobs.touch(digest)?
        {
            return Ok((*digest, size));
        }
        let mut writer = self.inner.blobs.writer(MAX_BYTES)?;
        writer.write_from(self.part(name)?)?;
        writer.commit(digest)
    }

    fn document(&mut self, name: &str) -> Result<Vec<u8>, ImageError> {
        let mut bytes = Vec::new();
        let mut part = self.part(name)?;
        if part.limit() > MAX_DOCUMENT {
            return Err(ImageError::TooLarge {
                what: name.into(),
                limit: format!("{MAX_DOCUMENT} bytes"),
            });
        }
        part.read_to_end(&mut bytes)
            .map_err(ImageError::io("read", self.path))?;
        Ok(bytes)
    }

    fn blob_document(&mut self, digest: &Digest) -> Result<Vec<u8>, ImageError> {
        let bytes = self.document(&blob_name(digest))?;
        let actual = Digest::of(&bytes);
        match actual == *digest {
            true => Ok(bytes),
            false => Err(ImageError::DigestMismatch {
                expected: *digest,
                actual,
            }),
        }
    }

    fn part(&mut self, name: &str) -> Result<io::Take<&mut File>, ImageError> {
        let Some(extent) = self.entries.get(name).copied() else {
            return Err(self.invalid(&format!("`{name}` is missing")));
        };
        self.file
            .seek(SeekFrom::Start(extent.offset))
            .map_err(ImageError::io("read", self.path))?;
        Ok((&mut self.file).take(extent.size))
    }

    /// Repository and tag for each name; one without a tag for an image that has no usable name.
    fn targets(&self, names: &[String]) -> Result<Vec<(Repository, Option<String>)>, ImageError> {
        let mut targets = Vec::new();
        for name in names {
            // A bare tag (`latest`) names no repository.
            let full = if name.contains(['/', ':']) {
                name.clone()
            } else {
                format!("{UNNAMED}:{name}")
            };
            let reference = parse(&full)?;
            let tag = reference
                .digest()
                .is_none()
                .then(|| reference.identifier().to_owned());
            targets.push((self.inner.repository(&reference), tag));
        }
        if targets.is_empty() {
            targets.push((self.inner.repository(&parse(UNNAMED)?), None));
        }
        Ok(targets)
    }

    fn publish_named(
        &self,
        bytes: &[u8],
        media_type: &str,
        names: &[String],
        loaded: &mut Vec<ImageSummary>,
    ) -> Result<(), ImageError> {
        for (repository, tag) in self.targets(names)? {
            let digest = self.inner.publish(Publication {
                repository: &repository,
                bytes,
                media_type: Some(media_type),
                tag: tag.as_deref(),
                partial: true,
            })?;
            loaded.push(self.inner.summary(&repository, tag, digest, SystemTime::now())?);
        }
        Ok(())
    }

    fn invalid(&self, reason: &str) -> ImageError {
        ImageError::InvalidArchive {
            path: self.path.into(),
            reason: reason.into(),
        }
    }
}

fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_inside_archives_are_normalised() {
        let cases = [
            ("", "./manifest.json", "manifest.json"),
            ("abc", "../def/layer.tar", "def/layer.tar"),
            ("", "../../etc/passwd", "etc/passwd"),
            ("a/b", "x", "a/b/x"),
        ];
        for (dir, name, expected) in cases {
            assert_eq!(resolve(dir, name), expected);
        }
    }
}
