//! Image building from plain files: one reproducible layer, no container run, no privileges.

use std::path::PathBuf;

/// What to build. Equal inputs give an equal digest: entries are sorted, times are 0, owner is root.
#[derive(Debug, Clone, Default)]
pub struct LayerBuild {
    /// Where the image goes, such as `localhost:5000/hello:latest`. The registry must be the embedded one.
    pub name: String,
    /// Image to put the layer on; `None` for an empty root. It must be in the store.
    pub base: Option<String>,
    /// Files of the new layer.
    pub files: Vec<LayerFile>,
    /// Replaces the base's entrypoint (and clears its `cmd`) unless empty.
    pub entrypoint: Vec<String>,
    /// Replaces the base's command unless empty.
    pub cmd: Vec<String>,
    /// `NAME=value` entries added to the base's.
    pub env: Vec<String>,
    /// `uid`, `uid:gid` or a name; `None` keeps the base's.
    pub user: Option<String>,
    /// `None` keeps the base's.
    pub working_dir: Option<String>,
    /// Labels added to the base's.
    pub labels: Vec<(String, String)>,
}

/// One file of a layer.
#[derive(Debug, Clone)]
pub struct LayerFile {
    /// Path inside the image, absolute or relative to `/`; `..` is refused. Missing parents are made (mode 0755).
    pub path: String,
    /// Where its bytes come from.
    pub source: FileSource,
    /// Permission bits, such as `0o755`.
    pub mode: u32,
}

/// Content of a [`LayerFile`].
#[derive(Debug, Clone)]
pub enum FileSource {
    /// These bytes.
    Bytes(Vec<u8>),
    /// The regular file at this path on the host, streamed.
    Host(PathBuf),
    /// A symbolic link with this target.
    Symlink(String),
    /// An empty directory.
    Directory,
}
