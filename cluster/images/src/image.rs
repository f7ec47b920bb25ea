//! What a caller gets and gives: images ready to mount, pull requests, archives' summaries.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// An image whose layers are unpacked on disk.
///
/// As long as one clone of it lives, [`ImageStore::collect`](crate::ImageStore::collect) keeps its blobs and layers.
#[derive(Debug, Clone)]
pub struct Image {
    /// Canonical reference it was asked for by, such as `docker.io/library/busybox:latest`.
    pub reference: String,
    /// Digest of the platform's manifest (never of an index).
    pub digest: Digest,
    /// Digest of the configuration blob: what container runtimes call the image id.
    pub id: Digest,
    /// Reference by digest (`registry/repository@sha256:…`), as it goes into a container's `imageID`.
    pub repo_digest: String,
    /// What the image says about how to run it.
    pub config: RunConfig,
    /// Unpacked layer directories, lowest first; for overlayfs `lowerdir=` reverse them. Read-only for everyone else.
    pub layers: Vec<PathBuf>,
    /// Keeps the collector away.
    pub(crate) _lease: Arc<Lease>,
}

/// Holds an image's content against collection until dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) manifest: Digest,
    pub(crate) held: Arc<parking_lot::Mutex<std::collections::HashMap<Digest, usize>>>,
}

impl Lease {
    pub(crate) fn new(
        manifest: Digest,
        held: &Arc<parking_lot::Mutex<std::collections::HashMap<Digest, usize>>>,
    ) -> Arc<Self> {
        *held.lock().entry(manifest).or_insert(0) += 1;
        Arc::new(Self {
            manifest,
            held: Arc::clone(held),
        })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut held = self.held.lock();
        if let Some(count) = held.get_mut(&self.manifest) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.manifest);
            }
        }
    }
}

/// The `config` section of an image configuration. Absent and `null` members are empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct RunConfig {
    /// `user`, `uid`, `uid:gid`, `user:group` or empty for root.
    #[serde(deserialize_with = "null_is_default")]
    pub user: String,
    /// `NAME=value` entries.
    #[serde(deserialize_with = "null_is_default")]
    pub env: Vec<String>,
    /// First words of the command line.
    #[serde(deserialize_with = "null_is_default")]
    pub entrypoint: Vec<String>,
    /// Words appended to the entrypoint when the pod gives no `args`.
    #[serde(deserialize_with = "null_is_default")]
    pub cmd: Vec<String>,
    /// Absolute path, or empty for `/`.
    #[serde(deserialize_with = "null_is_default")]
    pub working_dir: String,
    /// Signal that asks the process to end, such as `SIGTERM`; empty for the default.
    #[serde(deserialize_with = "null_is_default")]
    pub stop_signal: String,
    /// `port/protocol` keys.
    #[serde(
        deserialize_with = "null_is_default",
        skip_serializing_if = "std::collections::BTreeMap::is_empty"
    )]
    pub exposed_ports: std::collections::BTreeMap<String, serde_json::Value>,
    /// Free labels.
    #[serde(
        deserialize_with = "null_is_default",
        skip_serializing_if = "std::collections::BTreeMap::is_empty"
    )]
    pub labels: std::collections::BTreeMap<String, String>,
}

/// Docker writes `null` where it means "nothing".
pub(crate) fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// When to ask the registry (the `imagePullPolicy` of a container).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullPolicy {
    /// Ask the registry each time; content that is here already is not fetched again.
    Always,
    /// Use what is here; ask only when it is absent.
    IfNotPresent,
    /// Use what is here or fail.
    Never,
}

/// User name and password (or token) for one registry.
///
/// They are sent to the registry the image names and to the token service that registry points to, nowhere else:
/// redirects of blobs to a CDN carry no credentials.
#[derive(Clone)]
pub struct Credentials {
    /// User name; may be empty when `password` is an identity token.
    pub username: String,
    /// Password or token. Never logged.
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// How far a pull is. Sent on a bounded channel with `try_send`: a slow reader misses steps, never delays the pull.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The manifest is known: so many layers and compressed bytes in total, of which so many bytes are here already.
    Resolved {
        /// Number of layers.
        layers: usize,
        /// Compressed bytes of all layers.
        total: u64,
        /// Bytes that need no download.
        present: u64,
    },
    /// Bytes of one layer arrived so far.
    Downloading {
        /// The layer's blob.
        layer: Digest,
        /// Bytes so far.
        received: u64,
        /// Bytes in all.
        total: u64,
    },
    /// One layer is unpacked.
    Unpacked {
        /// The layer's blob.
        layer: Digest,
    },
}

/// One line of an image list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageSummary {
    /// `registry/repository`.
    pub repository: String,
    /// Tag, when the image has one.
    pub tag: Option<String>,
    /// Digest of the manifest or index the tag points to.
    pub digest: Digest,
    /// Compressed bytes of configuration and layers (of all platforms that are here).
    pub size: u64,
    /// When the tag was written here.
    pub created: jiff::Timestamp,
}

/// What a collection removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// Manifests forgotten.
    pub manifests: usize,
    /// Blobs removed.
    pub blobs: usize,
    /// Unpacked layers removed.
    pub layers: usize,
    /// Bytes freed.
    pub bytes: u64,
}
