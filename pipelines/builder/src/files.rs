//! An image of the files themselves: one layer, onto nothing or onto a base image.

mod base;
mod guess;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use source::{Entry, Kind, gather, write_tar};

use crate::elf::{self, Program};
use crate::error::Error;
use crate::output::say;
use crate::place::STORAGE;
use crate::settings::Settings;
use base::Base;
use guess::{Candidate, Guess};

pub(crate) const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
pub(crate) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
/// Where the files are put.
const FOLDER: &str = "app";
/// Nobody, as no file of the image belongs to them.
const USER: &str = "65532:65532";
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// An image in pieces.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Layers {
    pub manifest: String,
    /// Files by digest.
    pub blobs: BTreeMap<String, PathBuf>,
    /// Digests of the layers that only the base's repository has.
    pub of_base: Vec<(String, u64)>,
    pub base: String,
}

pub(crate) async fn build(settings: &Settings, context: &Path) -> Result<Layers, Error> {
    let entries = gather(context, true, &settings.limits())?;
    let base = match settings.base.as_str() {
        "" => None,
        name => Some(Base::read(settings, name).await?),
    };
    let guess = guess::guess(&candidates(context, &entries), base.is_some()).map_err(Error::Usage)?;
    if let Some(program) = &guess.program {
        say(&format!("The image runs {program}"));
    }
    let layer = layer(context, &entries)?;
    let base = base.unwrap_or_else(|| Base::empty(guess.architecture.unwrap_or("amd64")));
    let config = configuration(&base, &guess, &layer.diff_id).to_string();
    let config_digest = digest(config.as_bytes());
    let mut layers = base.layers.clone();
    layers.push(json!({"mediaType": LAYER_TYPE, "digest": layer.digest, "size": layer.size}));
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": CONFIG_TYPE, "digest": config_digest, "size": config.len()},
        "layers": layers,
    });
    let config_file = Path::new(STORAGE).join("config.json");
    std::fs::write(&config_file, config).map_err(|error| Error::io("write the configuration", error))?;
    Ok(Layers {
        manifest: manifest.to_string(),
        blobs: BTreeMap::from([(layer.digest, layer.file), (config_digest, config_file)]),
        of_base: base.digests(),
        base: settings.base.clone(),
    })
}

/// The files that can be run.
fn candidates(context: &Path, entries: &[Entry]) -> Vec<Candidate> {
    let executable = |entry: &&Entry| matches!(entry.kind, Kind::File { executable: true, .. });
    entries
        .iter()
        .filter(executable)
        .filter_map(|entry| {
            let mut head = Vec::new();
            let file = File::open(context.join(&entry.path)).ok()?;
            file.take(elf::HEAD as u64).read_to_end(&mut head).ok()?;
            Some(Candidate {
                path: entry.path.display().to_string(),
                program: Program::read(&head)?,
            })
        })
        .collect()
}

struct Layer {
    file: PathBuf,
    digest: String,
    diff_id: String,
    size: u64,
}

fn layer(context: &Path, entries: &[Entry]) -> Result<Layer, Error> {
    let file = Path::new(STORAGE).join("layer.tar.gz");
    let failed = |error| Error::io("write the layer", error);
    let out = Hashing::new(File::create(&file).map_err(failed)?);
    let mut plain = Hashing::new(GzEncoder::new(out, Compression::default()));
    // The folder itself, then what is in it.
    let mut all = vec![Entry {
        path: PathBuf::new(),
        kind: Kind::Folder,
    }];
    all.extend_from_slice(entries);
    write_tar(context, Path::new(FOLDER), &all, &mut plain)?;
    let diff_id = plain.digest();
    let packed = plain.inner.finish().map_err(failed)?;
    Ok(Layer {
        file,
        digest: packed.digest(),
        diff_id,
        size: packed.written,
    })
}

/// The base's configuration with what is new. Nothing in it depends on when or where it is made.
fn configuration(base: &Base, guess: &Guess, diff_id: &str) -> Value {
    let mut config = base.config.clone();
    // Fields that only say how the base was made.
    if let Some(fields) = config.as_object_mut() {
        for gone in ["container", "container_config", "docker_version", "created"] {
            fields.remove(gone);
        }
    }
    push(&mut config["rootfs"]["diff_ids"], json!(diff_id));
    config["rootfs"]["type"] = json!("layers");
    if config["history"].is_array() || base.layers.is_empty() {
        push(&mut config["history"], json!({"created_by": "files"}));
    }
    let run = &mut config["config"];
    if let Some(program) = &guess.program {
        run["Entrypoint"] = json!([format!("/{FOLDER}/{program}")]);
        if let Some(fields) = run.as_object_mut() {
            fields.remove("Cmd");
        }
    }
    if base.layers.is_empty() {
        run["Env"] = json!([PATH]);
        run["User"] = json!(USER);
    }
    if base.layers.is_empty() || guess.program.is_some() {
        run["WorkingDir"] = json!(format!("/{FOLDER}"));
    }
    config
}

fn push(list: &mut Value, value: Value) {
    match list.as_array_mut() {
        Some(list) => list.push(value),
        None => *list = json!([value]),
    }
}

pub(crate) fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(hash: &[u8]) -> String {
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

struct Hashing<W> {
    inner: W,
    hash: Sha256,
    written: u64,
}

impl<W> Hashing<W> {
    fn new(inner: W) -> Self {
        Self {
            inner,
            hash: Sha256::new(),
            written: 0,
        }
    }

    fn digest(&self) -> String {
        hex(&self.hash.clone().finalize())
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(bytes.get(..written).unwrap_or_default());
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guess(program: Option<&str>) -> Guess {
        Guess {
            program: program.map(str::to_owned),
            architecture: Some("amd64"),
        }
    }

    #[test]
    fn a_program_alone_gets_a_whole_configuration() {
        let config = configuration(&Base::empty("arm64"), &guess(Some("web")), "sha256:d");
        assert_eq!(
            config,
            json!({
                "architecture": "arm64", "os": "linux",
                "config": {"Entrypoint": ["/app/web"], "Env": [PATH], "User": USER, "WorkingDir": "/app"},
                "rootfs": {"type": "layers", "diff_ids": ["sha256:d"]},
                "history": [{"created_by": "files"}],
            })
        );
    }

    #[test]
    fn a_base_keeps_what_it_says() {
        let base = Base {
            config: json!({
                "architecture": "amd64", "os": "linux", "created": "2026-01-01T00:00:00Z",
                "config": {"Cmd": ["nginx"], "User": "web", "WorkingDir": "/srv"},
                "rootfs": {"type": "layers", "diff_ids": ["sha256:b"]},
            }),
            layers: vec![json!({"digest": "sha256:x", "size": 1})],
        };
        let kept = configuration(&base, &guess(None), "sha256:d");
        assert_eq!(kept["config"], base.config["config"]);
        assert_eq!(kept["rootfs"]["diff_ids"], json!(["sha256:b", "sha256:d"]));
        assert!(kept.get("created").is_none() && kept.get("history").is_none());
        let run = configuration(&base, &guess(Some("bin/web")), "sha256:d");
        assert_eq!(
            run["config"],
            json!({"Entrypoint": ["/app/bin/web"], "User": "web", "WorkingDir": "/app"})
        );
    }

    #[test]
    fn equal_files_make_equal_layers() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), "1").unwrap();
        let entries = gather(folder.path(), true, &source::Limits::default()).unwrap();
        let packed = |into: &mut Vec<u8>| {
            let mut all = vec![Entry {
                path: PathBuf::new(),
                kind: Kind::Folder,
            }];
            all.extend(entries.clone());
            write_tar(folder.path(), Path::new(FOLDER), &all, into).unwrap();
        };
        let (mut one, mut two) = (Vec::new(), Vec::new());
        packed(&mut one);
        packed(&mut two);
        assert_eq!(one, two);
        let text = String::from_utf8_lossy(&one);
        assert!(text.contains("app/") && text.contains("app/a"));
    }
}
