//! The layer builder: files on an empty root or a base image, as one reproducible layer.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tar::{EntryType, Header};

use super::made::Inputs;
use super::publish::Publication;
use super::{Inner, parse};
use crate::blob::BlobWriter;
use crate::build::{FileSource, LayerBuild, LayerFile};
use crate::digest::Digest;
use crate::error::ImageError;
use crate::manifest::{
    Descriptor, Document, MAX_DOCUMENT, Manifest, OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST, Platform,
};
use crate::names::EMBEDDED;

/// Largest layer built, compressed.
const MAX_LAYER: u64 = 4 << 30;

/// The time of everything built, so that equal inputs give an equal digest.
const EPOCH: &str = "1970-01-01T00:00:00Z";

pub(super) fn build(inner: &Inner, build: &LayerBuild) -> Result<Digest, ImageError> {
    let reference = parse(&build.name)?;
    let repository = inner.repository(&reference);
    let invalid = |reason: &str| Err(ImageError::InvalidBuild(reason.to_owned()));
    if repository.registry != EMBEDDED {
        return invalid(&format!(
            "`{}` is not a name of the embedded registry",
            build.name
        ));
    }
    if reference.digest().is_some() {
        return invalid("a digest cannot be chosen; name a tag");
    }
    let inputs = Inputs::of(inner, build);
    if let Some(inputs) = &inputs
        && let Some(made) = inputs.known(inner, &repository, reference.identifier())?
    {
        return Ok(made);
    }
    let base = build
        .base
        .as_deref()
        .map(|base| read_base(inner, base))
        .transpose()?;
    let (layer, diff_id) = write_layer(inner, &build.files)?;
    let (mut config, mut layers) = match base {
        Some(base) => (base.config, base.layers),
        None => (empty_config(), Vec::new()),
    };
    layers.push(layer);
    apply(&mut config, build, diff_id)?;
    let config = serde_json::to_vec(&config).map_err(|error| ImageError::InvalidBuild(error.to_string()))?;
    let config_digest = inner.blobs.write(&config)?;
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(OCI_MANIFEST.into()),
        artifact_type: None,
        config: Descriptor::new(OCI_CONFIG, config_digest, config.len() as u64),
        layers,
        subject: None,
        annotations: BTreeMap::new(),
    };
    let bytes = serde_json::to_vec(&manifest).map_err(|error| ImageError::InvalidBuild(error.to_string()))?;
    let made = inner.publish(Publication {
        repository: &repository,
        bytes: &bytes,
        media_type: Some(OCI_MANIFEST),
        tag: Some(reference.identifier()),
        partial: false,
    })?;
    if let Some(inputs) = inputs {
        inputs.remember(inner, &made)?;
    }
    Ok(made)
}

struct Base {
    config: Value,
    layers: Vec<Descriptor>,
}

fn read_base(inner: &Inner, name: &str) -> Result<Base, ImageError> {
    let reference = parse(name)?;
    let repository = inner.repository(&reference);
    let missing = || {
        ImageError::InvalidBuild(format!(
            "base image `{name}` is not in the store; pull or import it first"
        ))
    };
    let digest = match reference.identifier().parse::<Digest>() {
        Ok(digest) => digest,
        Err(_) => inner
            .names
            .resolve_tag(&repository, reference.identifier())?
            .ok_or_else(missing)?,
    };
    let manifest = match inner.document(&repository, &digest)?.ok_or_else(missing)? {
        Document::Manifest(manifest) => manifest,
        Document::Index(index) => {
            let child = index.choose(&Platform::host()).ok_or_else(missing)?;
            match inner.document(&repository, &child.digest)?.ok_or_else(missing)? {
                Document::Manifest(manifest) => manifest,
                Document::Index(_) => return Err(missing()),
            }
        }
    };
    let config = serde_json::from_slice(&inner.blobs.read(&manifest.config.digest, MAX_DOCUMENT)?).map_err(
        |error| ImageError::InvalidContent {
            what: format!("configuration of `{name}`"),
            reason: error.to_string(),
        },
    )?;
    Ok(Base {
        config,
        layers: manifest.layers,
    })
}

fn empty_config() -> Value {
    let platform = Platform::host();
    json!({
        "architecture": platform.architecture,
        "os": platform.os,
        "config": {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]},
        "rootfs": {"type": "layers", "diff_ids": []},
    })
}

/// Changes a configuration as the build asks. A base that is no proper configuration is the builder's error to see.
fn apply(config: &mut Value, build: &LayerBuild, diff_id: Digest) -> Result<(), ImageError> {
    let damaged = || ImageError::InvalidBuild("the base image's configuration is damaged".into());
    let top = config.as_object_mut().ok_or_else(damaged)?;
    top.insert("created".into(), json!(EPOCH));
    let rootfs = top
        .get_mut("rootfs")
        .and_then(|rootfs| rootfs.get_mut("diff_ids"));
    rootfs
        .and_then(Value::as_array_mut)
        .ok_or_else(damaged)?
        .push(json!(diff_id));
    if let Some(history) = top.get_mut("history").and_then(Value::as_array_mut) {
        history.push(json!({"created": EPOCH, "created_by": "spindrift layer build"}));
    }
    let run = top.entry("config").or_insert_with(|| json!({}));
    if run.is_null() {
        *run = json!({});
    }
    let run = run.as_object_mut().ok_or_else(damaged)?;
    if !build.entrypoint.is_empty() {
        run.insert("Entrypoint".into(), json!(build.entrypoint));
        run.remove("Cmd");
    }
    if !build.cmd.is_empty() {
        run.insert("Cmd".into(), json!(build.cmd));
    }
    if let Some(user) = &build.user {
        run.insert("User".into(), json!(user));
    }
    if let Some(dir) = &build.working_dir {
        run.insert("WorkingDir".into(), json!(dir));
    }
    let env: Vec<String> = run
        .get("Env")
        .and_then(|env| serde_json::from_value(env.clone()).ok())
        .unwrap_or_default();
    run.insert("Env".into(), json!(merged_env(env, &build.env)?));
    if !build.labels.is_empty() {
        let labels = run.entry("Labels").or_insert_with(|| json!({}));
        if !labels.is_object() {
            *labels = json!({});
        }
        for (key, value) in &build.labels {
            labels
                .as_object_mut()
                .ok_or_else(damaged)?
                .insert(key.clone(), json!(value));
        }
    }
    Ok(())
}

/// Sets variables: a name that is there already keeps its place and gets the new value.
fn merged_env(base: Vec<String>, added: &[String]) -> Result<Vec<String>, ImageError> {
    let mut env = base;
    for entry in added {
        let Some((name, _)) = entry.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            return Err(ImageError::InvalidBuild(format!(
                "environment entry `{entry}` is not NAME=value"
            )));
        };
        let same = |old: &&mut String| old.split_once('=').is_some_and(|(old, _)| old == name);
        match env.iter_mut().find(same) {
            Some(old) => old.clone_from(entry),
            None => env.push(entry.clone()),
        }
    }
    Ok(env)
}

/// Entries by path, with all parents; later files win.
fn layout(files: &[LayerFile]) -> Result<BTreeMap<String, (u32, &FileSource)>, ImageError> {
    let mut entries: BTreeMap<String, (u32, &FileSource)> = BTreeMap::new();
    for file in files {
        let refuse = |reason: &str| ImageError::InvalidBuild(format!("file `{}`: {reason}", file.path));
        let parts: Vec<&str> = file
            .path
            .split('/')
            .filter(|part| !matches!(*part, "" | "."))
            .collect();
        if parts.contains(&"..") {
            return Err(refuse("`..` is not allowed"));
        }
        if parts
            .iter()
            .any(|part| part.starts_with(".wh.") || part.contains('\0'))
        {
            return Err(refuse("names with NUL or starting with .wh. are not allowed"));
        }
        let Some((_, parents)) = parts.split_last() else {
            return Err(refuse("it names no file"));
        };
        let mut parent = String::new();
        for part in parents {
            parent = if parent.is_empty() {
                (*part).to_owned()
            } else {
                format!("{parent}/{part}")
            };
            entries
                .entry(parent.clone())
                .or_insert((0o755, &FileSource::Directory));
        }
        if file.mode & !0o7777 != 0 {
            return Err(refuse("its mode has more than permission bits"));
        }
        entries.insert(parts.join("/"), (file.mode, &file.source));
    }
    for path in entries.keys() {
        let mut ancestors = path
            .match_indices('/')
            .map(|(at, _)| path.get(..at).unwrap_or_default());
        if ancestors.any(|a| !matches!(entries.get(a), Some((_, FileSource::Directory)))) {
            return Err(ImageError::InvalidBuild(format!(
                "file `{path}` lies below something that is no directory"
            )));
        }
    }
    Ok(entries)
}

/// Writes the layer as gzip and returns its descriptor and diff id.
fn write_layer(inner: &Inner, files: &[LayerFile]) -> Result<(Descriptor, Digest), ImageError> {
    let entries = layout(files)?;
    let writer = inner.blobs.writer(MAX_LAYER)?;
    let sink = Sink { writer, error: None };
    let gzip = flate2::GzBuilder::new()
        .mtime(0)
        .write(sink, flate2::Compression::fast());
    let mut archive = tar::Builder::new(Hashed {
        inner: gzip,
        hasher: Sha256::new(),
    });
    archive.mode(tar::HeaderMode::Deterministic);
    for (path, (mode, source)) in &entries {
        append(&mut archive, path, *mode, source)
            .map_err(|error| ImageError::InvalidBuild(format!("file `{path}`: {error}")))?;
    }
    let unwritten = |error: io::Error| ImageError::InvalidBuild(format!("cannot write the layer: {error}"));
    let hashed = archive.into_inner().map_err(unwritten)?;
    let diff_id = Digest::from_hasher(hashed.hasher);
    let sink = hashed.inner.finish().map_err(unwritten)?;
    if let Some(error) = sink.error {
        return Err(error);
    }
    let (digest, size) = sink.writer.commit(None)?;
    Ok((Descriptor::new(OCI_LAYER_GZIP, digest, size), diff_id))
}

fn append<W: Write>(
    archive: &mut tar::Builder<W>,
    path: &str,
    mode: u32,
    source: &FileSource,
) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(0);
    match source {
        FileSource::Directory => {
            header.set_entry_type(EntryType::Directory);
            archive.append_data(&mut header, format!("{path}/"), io::empty())
        }
        FileSource::Symlink(target) => {
            header.set_entry_type(EntryType::Symlink);
            archive.append_link(&mut header, path, target)
        }
        FileSource::Bytes(bytes) => {
            header.set_entry_type(EntryType::Regular);
            header.set_size(bytes.len() as u64);
            archive.append_data(&mut header, path, bytes.as_slice())
        }
        FileSource::Host(host) => {
            let file = File::open(host)?;
            let metadata = file.metadata()?;
            if !metadata.is_file() {
                return Err(io::Error::other(format!("{} is no regular file", host.display())));
            }
            header.set_entry_type(EntryType::Regular);
            header.set_size(metadata.len());
            let mut exact = file.take(metadata.len());
            archive.append_data(&mut header, path, &mut exact)?;
            match exact.limit() {
                0 => Ok(()),
                _ => Err(io::Error::other(format!(
                    "{} changed while it was read",
                    host.display()
                ))),
            }
        }
    }
}

/// Hashes what passes.
struct Hashed<W> {
    inner: W,
    hasher: Sha256,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hasher.update(bytes.get(..count).unwrap_or_default());
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A blob writer as [`Write`]; keeps the first real error.
struct Sink {
    writer: BlobWriter,
    error: Option<ImageError>,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.writer.write(bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(error) => {
                let text = error.to_string();
                self.error.get_or_insert(error);
                Err(io::Error::other(text))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, source: FileSource) -> LayerFile {
        LayerFile {
            path: path.into(),
            source,
            mode: 0o644,
        }
    }

    #[test]
    fn parents_are_made_and_entries_sorted() {
        let files = [
            file("/b/c/x", FileSource::Bytes(vec![])),
            file("a", FileSource::Symlink("b".into())),
        ];
        let paths: Vec<String> = layout(&files).unwrap().into_keys().collect();
        assert_eq!(paths, ["a", "b", "b/c", "b/c/x"]);
    }

    #[test]
    fn names_that_make_no_sense_are_refused() {
        let bytes = || FileSource::Bytes(vec![]);
        let cases: [(&str, Vec<LayerFile>); 5] = [
            ("`..`", vec![file("a/../../etc/passwd", bytes())]),
            ("no file", vec![file("/", bytes())]),
            (".wh.", vec![file("a/.wh.b", bytes())]),
            ("no directory", vec![file("a/b", bytes()), file("a", bytes())]),
            (
                "permission bits",
                vec![LayerFile {
                    path: "a".into(),
                    source: bytes(),
                    mode: 0o100_644,
                }],
            ),
        ];
        for (expected, files) in cases {
            let error = layout(&files).unwrap_err().to_string();
            assert!(error.contains(expected), "{expected}: {error}");
        }
    }

    #[test]
    fn environment_keeps_its_order_and_takes_new_values() {
        let base = vec!["PATH=/bin".to_owned(), "A=1".to_owned()];
        let merged = merged_env(base, &["A=2".to_owned(), "B=x=y".to_owned()]).unwrap();
        assert_eq!(merged, ["PATH=/bin", "A=2", "B=x=y"]);
        assert!(merged_env(vec![], &["=x".to_owned()]).is_err());
        assert!(merged_env(vec![], &["novalue".to_owned()]).is_err());
    }
}
