//! The image store: blobs by digest, names to manifests, layers unpacked once.
//!
//! ```text
//! <dir>/lock            held by the process that owns the store
//!      /blobs/sha256/   content, see `blob`
//!      /names/          repositories and tags, see `names`
//!      /layers/<id>/fs  unpacked layers, see `store::layers`
//!      /made/           what was built from which files, see `store::made`
//!      /tmp/            unfinished files; cleared at start
//! ```

mod archive;
mod collect;
mod layers;
mod made;
mod make;
mod publish;
mod pull;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use formats::image::ImageReference;
use parking_lot::{Mutex, RwLock};

use self::layers::Layers;
pub(crate) use self::publish::Publication;
use crate::blob::Blobs;
use crate::build::LayerBuild;
use crate::digest::Digest;
use crate::durable;
use crate::error::ImageError;
use crate::image::{Collected, Credentials, Image, ImageSummary, Progress, PullPolicy};
use crate::manifest::{Document, MAX_DOCUMENT};
use crate::names::{EMBEDDED, Names, Repository};

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

impl std::fmt::Debug for ImageStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImageStore")
            .field("dir", &self.inner.config.dir)
            .finish_non_exhaustive()
    }
}

/// The parts of the store; everything in it blocks on the disk.
pub(crate) struct Inner {
    pub(crate) config: StoreConfig,
    pub(crate) tmp: PathBuf,
    pub(crate) blobs: Blobs,
    pub(crate) names: Names,
    pub(crate) layers: Layers,
    /// Manifests of living [`Image`]s, counted.
    held: Arc<Mutex<HashMap<Digest, usize>>>,
    /// Shared by those who mark content as used, exclusive for the collector: what was found present cannot vanish
    /// before it is marked.
    pub(crate) sweep: RwLock<()>,
    /// One download or unpacking per blob at a time.
    flights: Mutex<HashMap<Digest, Arc<tokio::sync::Mutex<()>>>>,
    _lock: std::fs::File,
}

impl ImageStore {
    /// Opens or makes the store, and removes what an interrupted run left half-written.
    ///
    /// # Errors
    /// [`ImageError::Io`] when the directory cannot be used or another process uses it.
    pub fn open(config: StoreConfig) -> Result<Self, ImageError> {
        durable::create_dir(&config.dir)?;
        let lock = lock(&config.dir.join("lock"))?;
        let tmp = config.dir.join("tmp");
        match std::fs::remove_dir_all(&tmp) {
            Err(error) if !durable::absent(&error) => {
                return Err(ImageError::Io {
                    action: "clear",
                    path: tmp,
                    source: error,
                });
            }
            _ => durable::create_dir(&tmp)?,
        }
        let inner = Inner {
            blobs: Blobs::open(config.dir.join("blobs").join("sha256"), tmp.clone())?,
            names: Names::open(config.dir.join("names"), tmp.clone())?,
            layers: Layers::open(config.dir.join("layers"), tmp.clone())?,
            held: Arc::default(),
            sweep: RwLock::default(),
            flights: Mutex::default(),
            tmp,
            config,
            _lock: lock,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Gives the image named by `reference`, ready to mount: from the store, or fetched as `policy` says.
    ///
    /// References to the embedded registry never leave the process. Concurrent pulls of one layer share its download
    /// and unpacking.
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
        pull::pull(self, reference, credentials, policy, progress).await
    }

    /// Imports a docker archive (`docker save`) or OCI layout, as a tar file (gzip and zstd are fine), and returns
    /// what it held. Unnamed images are reachable under `docker.io/library/imported` by digest.
    ///
    /// # Errors
    /// [`ImageError::InvalidArchive`] and those of content that does not fit together.
    pub async fn load_archive(&self, archive: &Path) -> Result<Vec<ImageSummary>, ImageError> {
        let archive = archive.to_owned();
        self.blocking(move |inner| archive::load(inner, &archive)).await
    }

    /// Builds an image with one new layer, stores it under its name and returns the manifest's digest. While the name
    /// still has what the same files gave before, nothing is built.
    ///
    /// # Errors
    /// [`ImageError::InvalidBuild`] when the request contradicts itself.
    pub async fn build(&self, build: LayerBuild) -> Result<Digest, ImageError> {
        self.blocking(move |inner| make::build(inner, &build)).await
    }

    /// Lists the images by repository and tag; those without a tag have `tag: None`.
    ///
    /// # Errors
    /// [`ImageError::Io`].
    pub async fn list(&self) -> Result<Vec<ImageSummary>, ImageError> {
        self.blocking(|inner| inner.list()).await
    }

    /// Forgets a tag (or, for a reference by digest, the manifest and all its tags); content goes with the next
    /// collection. `false`: there was nothing of that name.
    ///
    /// # Errors
    /// [`ImageError::InvalidReference`], [`ImageError::Io`].
    pub async fn remove(&self, reference: &str) -> Result<bool, ImageError> {
        let reference = parse(reference)?;
        self.blocking(move |inner| {
            let repository = inner.repository(&reference);
            match reference.identifier().parse::<Digest>() {
                Ok(digest) => inner.names.unlink_manifest(&repository, &digest),
                Err(_) => inner.names.unlink_tag(&repository, reference.identifier()),
            }
        })
        .await
    }

    /// Removes content nothing refers to; above the size bound also forgets the unused images, the least recently
    /// used first (never tagged ones of the embedded registry: nobody else has them).
    /// `in_use`: manifest digests ([`Image::digest`]) of all containers; living [`Image`]s are kept as well.
    ///
    /// # Errors
    /// [`ImageError::Io`].
    pub async fn collect(&self, in_use: &[Digest]) -> Result<Collected, ImageError> {
        let in_use = in_use.to_vec();
        self.blocking(move |inner| collect::collect(inner, &in_use, 0, SystemTime::now()))
            .await
    }

    /// As [`Self::collect`], and goes on forgetting unused images until `bytes` are freed or none is left. Images that
    /// were used within the last ten minutes stay.
    ///
    /// # Errors
    /// [`ImageError::Io`].
    pub async fn reclaim(&self, in_use: &[Digest], bytes: u64) -> Result<Collected, ImageError> {
        let in_use = in_use.to_vec();
        self.blocking(move |inner| collect::collect(inner, &in_use, bytes, SystemTime::now()))
            .await
    }

    /// The directory of the store.
    pub fn dir(&self) -> &Path {
        &self.inner.config.dir
    }

    /// Bytes of all blobs and unpacked layers, to hold against [`StoreConfig::max_bytes`].
    ///
    /// # Errors
    /// [`ImageError::Io`].
    pub async fn size(&self) -> Result<u64, ImageError> {
        self.blocking(|inner| {
            Ok(inner.blobs.list()?.iter().map(|(_, size, _)| size).sum::<u64>() + inner.layers.size()?)
        })
        .await
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// Runs disk work where it delays no task.
    pub(crate) async fn blocking<T, F>(&self, work: F) -> Result<T, ImageError>
    where
        T: Send + 'static,
        F: FnOnce(&Inner) -> Result<T, ImageError> + Send + 'static,
    {
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || work(&inner))
            .await
            .map_err(|_| ImageError::Cancelled)?
    }
}

impl Inner {
    pub(crate) fn repository(&self, reference: &ImageReference) -> Repository {
        let embedded = self
            .config
            .embedded_registries
            .iter()
            .any(|name| name == reference.registry());
        Repository {
            registry: if embedded {
                EMBEDDED.into()
            } else {
                reference.registry().into()
            },
            path: reference.repository().into(),
        }
    }

    /// The name a repository is shown by.
    pub(crate) fn shown(&self, repository: &Repository) -> String {
        let registry = match repository.registry.as_str() {
            EMBEDDED => self
                .config
                .embedded_registries
                .first()
                .map_or("localhost:5000", String::as_str),
            other => other,
        };
        format!("{registry}/{}", repository.path)
    }

    /// Reads a manifest the repository knows.
    pub(crate) fn document(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Option<Document>, ImageError> {
        let Some(media_type) = self.names.media_type(repository, digest)? else {
            return Ok(None);
        };
        match self.blobs.read(digest, MAX_DOCUMENT) {
            Ok(bytes) => Document::parse(&bytes, Some(&media_type)).map(Some),
            Err(ImageError::MissingBlob(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A lock per digest; the map forgets the ones nobody holds.
    fn flight(&self, digest: Digest) -> Arc<tokio::sync::Mutex<()>> {
        let mut flights = self.flights.lock();
        flights.retain(|_, flight| Arc::strong_count(flight) > 1);
        Arc::clone(flights.entry(digest).or_default())
    }

    fn list(&self) -> Result<Vec<ImageSummary>, ImageError> {
        let mut summaries = Vec::new();
        for repository in self.names.repositories()? {
            let mut tagged = Vec::new();
            for tag in self.names.tags(&repository)? {
                let Some(digest) = self.names.resolve_tag(&repository, &tag)? else {
                    continue;
                };
                let created = self.names.tag_time(&repository, &tag);
                tagged.push(digest);
                summaries.push(self.summary(&repository, Some(tag), digest, created)?);
            }
            let linked = self.names.manifests(&repository)?;
            let children: Vec<Digest> = self.children(&repository, &linked)?;
            for manifest in linked {
                if !tagged.contains(&manifest.digest) && !children.contains(&manifest.digest) {
                    summaries.push(self.summary(&repository, None, manifest.digest, manifest.used)?);
                }
            }
        }
        Ok(summaries)
    }

    /// Manifests that are part of an index of the same repository.
    fn children(
        &self,
        repository: &Repository,
        linked: &[crate::names::Linked],
    ) -> Result<Vec<Digest>, ImageError> {
        let mut children = Vec::new();
        for manifest in linked {
            if let Some(Document::Index(index)) = self.document(repository, &manifest.digest)? {
                children.extend(index.manifests.iter().map(|descriptor| descriptor.digest));
            }
        }
        Ok(children)
    }

    fn summary(
        &self,
        repository: &Repository,
        tag: Option<String>,
        digest: Digest,
        created: SystemTime,
    ) -> Result<ImageSummary, ImageError> {
        Ok(ImageSummary {
            repository: self.shown(repository),
            tag,
            digest,
            size: self.content_size(repository, &digest)?,
            created: jiff::Timestamp::try_from(created).unwrap_or(jiff::Timestamp::UNIX_EPOCH),
        })
    }

    fn content_size(&self, repository: &Repository, digest: &Digest) -> Result<u64, ImageError> {
        match self.document(repository, digest)? {
            Some(Document::Manifest(manifest)) => {
                Ok(manifest.config.size + manifest.layers.iter().map(|layer| layer.size).sum::<u64>())
            }
            Some(Document::Index(index)) => {
                let mut size = 0;
                for child in &index.manifests {
                    // An index in an index does not occur in images and is not followed.
                    if let Some(Document::Manifest(manifest)) = self.document(repository, &child.digest)? {
                        size += manifest.config.size
                            + manifest.layers.iter().map(|layer| layer.size).sum::<u64>();
                    }
                }
                Ok(size)
            }
            None => Ok(0),
        }
    }
}

/// Parses a reference as a user wrote it.
pub(crate) fn parse(reference: &str) -> Result<ImageReference, ImageError> {
    ImageReference::parse(reference).map_err(|error| ImageError::InvalidReference {
        reference: reference.chars().take(300).collect(),
        reason: error.to_string(),
    })
}

fn lock(path: &Path) -> Result<std::fs::File, ImageError> {
    let file = std::fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(ImageError::io("open", path))?;
    file.try_lock().map_err(|error| ImageError::Io {
        action: "lock",
        path: path.into(),
        source: match error {
            std::fs::TryLockError::WouldBlock => {
                std::io::Error::other("another process uses this image store")
            }
            std::fs::TryLockError::Error(error) => error,
        },
    })?;
    Ok(file)
}

#[cfg(test)]
mod tests;
