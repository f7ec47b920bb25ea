//! Images of the platform's own programs, built from the binaries that lie beside this one.

use std::path::{Path, PathBuf};

use anyhow::Context;
use cluster_images::{FileSource, ImageStore, LayerBuild, LayerFile};

/// A program that becomes an image.
struct Program {
    binary: &'static str,
    /// Repository within the embedded registry.
    repository: &'static str,
    required: bool,
}

const PROGRAMS: [Program; 8] = [
    Program {
        binary: "queue-proxy",
        repository: "spindrift/queue-proxy",
        required: true,
    },
    Program {
        binary: "entrypoint",
        repository: "spindrift/entrypoint",
        required: true,
    },
    Program {
        binary: "event-listener",
        repository: "spindrift/event-listener",
        required: true,
    },
    Program {
        binary: "hello",
        repository: "hello",
        required: false,
    },
    Program {
        binary: "ab",
        repository: "ab",
        required: false,
    },
    Program {
        binary: "echo",
        repository: "echo",
        required: false,
    },
    Program {
        binary: "autoscale",
        repository: "autoscale",
        required: false,
    },
    Program {
        binary: "event-display",
        repository: "event-display",
        required: false,
    },
];

/// User and group that the programs run as: nobody, as no file of the image belongs to them.
const USER: &str = "65532:65532";

/// The images that the platform's own pods need, by digest.
pub struct Required {
    /// Of the sidecar of revisions.
    pub sidecar: String,
    /// Of the entrypoint of steps.
    pub entrypoint: String,
    /// Of the pods of EventListeners.
    pub event_listener: String,
}

/// Builds the images into `store`; equal binaries give equal digests, so a restart changes nothing.
///
/// # Errors
/// If a binary that is needed is not beside this one.
pub async fn build(store: &ImageStore, registry: &str) -> anyhow::Result<Required> {
    // In the order of the list, whose first are all needed and therefore there.
    let mut all = build_all(store, registry).await?.into_iter();
    let mut next = || all.next().context("an image was not made");
    Ok(Required {
        sidecar: next()?,
        entrypoint: next()?,
        event_listener: next()?,
    })
}

/// Like [`build`], but returns the references of all programs that are there; the sidecar's comes first.
///
/// # Errors
/// If a binary that is needed is not beside this one.
pub async fn build_all(store: &ImageStore, registry: &str) -> anyhow::Result<Vec<String>> {
    let folder = beside()?;
    let mut references = Vec::new();
    for program in PROGRAMS {
        let path = folder.join(program.binary);
        if !path.is_file() {
            anyhow::ensure!(
                !program.required,
                "{} is missing beside {}: build the whole workspace with `cargo build --release`",
                program.binary,
                folder.display()
            );
            continue;
        }
        let digest = store
            .build(layer(&program, path, registry))
            .await
            .with_context(|| format!("cannot make the image of {}", program.binary))?;
        references.push(format!("{registry}/{}@{digest}", program.repository));
    }
    Ok(references)
}

fn layer(program: &Program, path: PathBuf, registry: &str) -> LayerBuild {
    let inside = format!("/{}", program.binary);
    LayerBuild {
        name: format!("{registry}/{}:latest", program.repository),
        files: vec![
            LayerFile {
                path: inside.clone(),
                source: FileSource::Host(path),
                mode: 0o755,
            },
            // The container contract promises a /tmp that everybody may write to.
            LayerFile {
                path: "/tmp".to_owned(),
                source: FileSource::Directory,
                mode: 0o1777,
            },
        ],
        entrypoint: vec![inside],
        user: Some(USER.to_owned()),
        ..LayerBuild::default()
    }
}

/// The folder of this binary; the others are built into the same one.
fn beside() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("cannot tell where this program lies")?;
    own.parent()
        .map(Path::to_path_buf)
        .context("this program lies in no folder")
}
