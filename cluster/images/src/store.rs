//! The image store: blobs by digest, names to manifests, layers unpacked once.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::build::LayerBuild;
use crate::digest::Digest;
use crate::error::ImageError;
use crate::image::{Collected, Credentials, Image, ImageSummary, Progress, PullPolicy};

/// Where the store lives and how big it may grow.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// Directory of the store; made when absent. One process at a time.
    pub dir: PathBuf,
    /// Registry hosts that mean the embedded registry, such as `localhost:5000`; the first is the one shown in lists.
    pub embedded_registries: Vec<String>,
    /// Collection starts to forget unused images above this many bytes of blobs and unpacked layers.
    pub max_bytes: u64,
}

impl StoreConfig {
    /// A store in `dir` for the registry `localhost:5000`, bounded at 20 GiB.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            embedded_registries: vec!["localhost:5000".into()],
            max_bytes: 20 << 30,
        }
    }
}

/// Images of this machine. Clones share one store.
#[derive(Clone)]
pub struct ImageStore {
    inner: Arc<Inner>,
}

struct Inner {
    config: StoreConfig,
}

// The bodies of this impl follow in the next commits of this crate.
impl ImageStore {
    /// Opens or makes the store, and removes what an interrupted run left half-written.
    ///
    /// # Errors
    /// [`ImageError::Io`] when the directory cannot be used.
    pub fn open(config: StoreConfig) -> Result<Self, ImageError> {
        std::fs::create_dir_all(&config.dir).map_err(ImageError::io("create", &config.dir))?;
        Ok(Self {
            inner: Arc::new(Inner { config }),
        })
    }

    /// Gives the image named by `reference`, ready to mount: from the store, or fetched as `policy` says.
    ///
    /// Concurrent pulls of one layer share its download and unpacking.
    ///
    /// # Errors
    /// See [`ImageError`]; each names the image or registry and says what to change.
    pub async fn pull(
        &self,
        reference: &str,
        credentials: Option<Credentials>,
        policy: PullPolicy,
        progress: Option<tokio::sync::mpsc::Sender<Progress>>,
    ) -> Result<Image, ImageError> {
        let _ = (&self.inner.config, credentials, policy, progress);
        Err(ImageError::NeverPull(reference.into()))
    }

    /// Imports a docker archive (`docker save`) or OCI layout, as a tar file, and returns what it held.
    ///
    /// # Errors
    /// [`ImageError::InvalidArchive`] and those of unpacking.
    pub async fn load_archive(&self, archive: &Path) -> Result<Vec<ImageSummary>, ImageError> {
        Err(ImageError::InvalidArchive {
            path: archive.into(),
            reason: "not supported".into(),
        })
    }

    /// Builds an image with one new layer, stores it under its name and returns the manifest's digest.
    ///
    /// # Errors
    /// [`ImageError::InvalidBuild`] when the request contradicts itself.
    pub async fn build(&self, build: LayerBuild) -> Result<Digest, ImageError> {
        Err(ImageError::InvalidBuild(build.name))
    }

    /// Lists the images by repository and tag.
    ///
    /// # Errors
    /// [`ImageError::Io`].
    pub async fn list(&self) -> Result<Vec<ImageSummary>, ImageError> {
        Ok(Vec::new())
    }

    /// Forgets a tag (or, for a reference by digest, the manifest and all its tags); content goes with the next
    /// collection. `false`: there was nothing of that name.
    ///
    /// # Errors
    /// [`ImageError::InvalidReference`], [`ImageError::Io`].
    pub async fn remove(&self, reference: &str) -> Result<bool, ImageError> {
        let _ = reference;
        Ok(false)
    }

    /// Removes content nothing refers to; above the size bound also forgets the unused images.
    /// `in_use`: manifest digests ([`Image::digest`]) of all containers; living [`Image`]s are kept as well.
    ///
    /// # Errors
    /// [`ImageError::Io`].
    pub async fn collect(&self, in_use: &[Digest]) -> Result<Collected, ImageError> {
        let _ = in_use;
        Ok(Collected::default())
    }
}
