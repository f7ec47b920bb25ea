//! From a reference to directories: look up, fetch what is missing, unpack.

use std::path::PathBuf;

use formats::image::ImageReference;
use futures::{StreamExt as _, TryStreamExt as _};
use tokio::sync::mpsc;
use tracing::info;

use super::publish::Publication;
use super::{ImageStore, Inner, parse};
use crate::digest::Digest;
use crate::error::ImageError;
use crate::image::{Credentials, Image, Lease, Progress, PullPolicy};
use crate::manifest::{Descriptor, Document, ImageConfig, Index, MAX_DOCUMENT, Manifest, Platform};
use crate::names::{EMBEDDED, Repository};
use crate::remote::Remote;

/// Layers downloaded or unpacked side by side for one image.
const PARALLEL_LAYERS: usize = 3;

/// Largest compressed layer.
const MAX_LAYER: u64 = 16 << 30;

/// A manifest for this machine.
struct Chosen {
    digest: Digest,
    manifest: Manifest,
}

/// Tells of progress without ever waiting for the one who listens.
struct Reporter(Option<mpsc::Sender<Progress>>);

impl Reporter {
    fn tell(&self, progress: Progress) {
        if let Some(sender) = &self.0 {
            // Full or closed: the listener misses a step, as documented.
            let _ = sender.try_send(progress);
        }
    }
}

pub(super) async fn pull(
    store: &ImageStore,
    reference: &str,
    credentials: Option<Credentials>,
    policy: PullPolicy,
    progress: Option<mpsc::Sender<Progress>>,
) -> Result<Image, ImageError> {
    let reference = parse(reference)?;
    let repository = store.inner().repository(&reference);
    let reporter = Reporter(progress);
    let embedded = repository.registry == EMBEDDED;
    if embedded || policy != PullPolicy::Always {
        let (wanted, place) = (reference.clone(), repository.clone());
        match store.blocking(move |inner| inner.find(&place, &wanted)).await? {
            Some(chosen) => return prepare(store, &reference, &repository, chosen, &reporter).await,
            None if embedded => {
                return Err(ImageError::NotFound {
                    reference: reference.to_string(),
                    detail: " in the embedded registry; push it there first".into(),
                });
            }
            None if policy == PullPolicy::Never => return Err(ImageError::NeverPull(reference.to_string())),
            None => {}
        }
    }
    let remote = Remote::new(reference.registry(), reference.repository(), credentials)?;
    let chosen = fetch(store, &remote, &reference, &repository, &reporter).await?;
    let image = prepare(store, &reference, &repository, chosen, &reporter).await?;
    info!(image = %reference, digest = %image.digest, "Image pulled");
    Ok(image)
}

impl Inner {
    /// Looks a reference up in the store; `None` when a part of the image is absent.
    fn find(
        &self,
        repository: &Repository,
        reference: &ImageReference,
    ) -> Result<Option<Chosen>, ImageError> {
        let named = match reference.identifier().parse::<Digest>() {
            Ok(digest) => Some(digest),
            Err(_) => self.names.resolve_tag(repository, reference.identifier())?,
        };
        let Some(digest) = named else { return Ok(None) };
        let _guard = self.sweep.read();
        let chosen = match self.document(repository, &digest)? {
            None => return Ok(None),
            Some(Document::Manifest(manifest)) => Chosen { digest, manifest },
            Some(Document::Index(index)) => {
                let child = choose(&index, reference)?;
                match self.document(repository, &child.digest)? {
                    Some(Document::Manifest(manifest)) => Chosen {
                        digest: child.digest,
                        manifest,
                    },
                    _ => return Ok(None),
                }
            }
        };
        self.names.touch_manifest(repository, &digest)?;
        for part in std::iter::once(&chosen.manifest.config).chain(&chosen.manifest.layers) {
            if self.blobs.touch(&part.digest)?.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(chosen))
    }
}

fn choose<'a>(index: &'a Index, reference: &ImageReference) -> Result<&'a Descriptor, ImageError> {
    let wanted = Platform::host();
    index.choose(&wanted).ok_or_else(|| ImageError::NoPlatform {
        reference: reference.to_string(),
        wanted: wanted.to_string(),
        available: index.platforms(),
    })
}

/// Fetches manifest and content for this machine; the name appears when all of it is here.
async fn fetch(
    store: &ImageStore,
    remote: &Remote,
    reference: &ImageReference,
    repository: &Repository,
    reporter: &Reporter,
) -> Result<Chosen, ImageError> {
    let top = remote
        .manifest(reference.identifier())
        .await
        .map_err(|error| match error {
            ImageError::NotFound { detail, .. } => ImageError::NotFound {
                reference: reference.to_string(),
                detail,
            },
            other => other,
        })?;
    let (own, index) = match Document::parse(&top.0, top.1.as_deref())? {
        Document::Manifest(_) => (top, None),
        Document::Index(index) => {
            let child = choose(&index, reference)?.digest.to_string();
            (remote.manifest(&child).await?, Some(top))
        }
    };
    let Document::Manifest(manifest) = Document::parse(&own.0, own.1.as_deref())? else {
        let reason = "an index inside of an index is not supported".into();
        return Err(ImageError::InvalidContent {
            what: format!("image `{reference}`"),
            reason,
        });
    };
    fetch_content(store, remote, &manifest, reporter).await?;
    let repository = repository.clone();
    // A tag beside a digest is a remark of the user, not something the registry said.
    let tag = reference
        .digest()
        .is_none()
        .then(|| reference.identifier().to_owned());
    let digest = store
        .blocking(move |inner| {
            let publication = |content: &(Vec<u8>, Option<String>), tag: Option<&str>| {
                inner.publish(Publication {
                    repository: &repository,
                    bytes: &content.0,
                    media_type: content.1.as_deref(),
                    tag,
                    partial: true,
                })
            };
            let digest = publication(&own, tag.as_deref().filter(|_| index.is_none()))?;
            if let Some(index) = index {
                publication(&index, tag.as_deref())?;
            }
            Ok(digest)
        })
        .await?;
    Ok(Chosen { digest, manifest })
}

/// Downloads the blobs of an image that are absent.
async fn fetch_content(
    store: &ImageStore,
    remote: &Remote,
    manifest: &Manifest,
    reporter: &Reporter,
) -> Result<(), ImageError> {
    let layers: Vec<Descriptor> = manifest.layers.clone();
    let present: u64 = store
        .blocking(move |inner| {
            let mut present = 0;
            for layer in &layers {
                present += inner.blobs.size(&layer.digest)?.map_or(0, |_| layer.size);
            }
            Ok(present)
        })
        .await?;
    let total = manifest.layers.iter().map(|layer| layer.size).sum();
    reporter.tell(Progress::Resolved {
        layers: manifest.layers.len(),
        total,
        present,
    });
    fetch_blob(store, remote, &manifest.config, MAX_DOCUMENT, &Reporter(None)).await?;
    // Collected first: a stream's closure over a borrowed layer would keep this future from being `Send`.
    let downloads: Vec<_> = manifest
        .layers
        .iter()
        .map(|layer| fetch_blob(store, remote, layer, MAX_LAYER, reporter))
        .collect();
    let mut downloads = futures::stream::iter(downloads).buffer_unordered(PARALLEL_LAYERS);
    while downloads.try_next().await?.is_some() {}
    Ok(())
}

async fn fetch_blob(
    store: &ImageStore,
    remote: &Remote,
    descriptor: &Descriptor,
    limit: u64,
    reporter: &Reporter,
) -> Result<(), ImageError> {
    if descriptor.size > limit {
        let what = format!("blob {}", descriptor.digest);
        return Err(ImageError::TooLarge {
            what,
            limit: format!("{limit} bytes"),
        });
    }
    let flight = store.inner().flight(descriptor.digest);
    let _alone = flight.lock().await;
    let digest = descriptor.digest;
    let present = store
        .blocking(move |inner| {
            let _guard = inner.sweep.read();
            inner.blobs.touch(&digest)
        })
        .await?;
    if present.is_some() {
        return Ok(());
    }
    let tell = |received| {
        reporter.tell(Progress::Downloading {
            layer: descriptor.digest,
            received,
            total: descriptor.size,
        });
    };
    remote.blob(descriptor, &store.inner().blobs, tell).await
}

/// Unpacks what is not unpacked yet and hands the image out.
async fn prepare(
    store: &ImageStore,
    reference: &ImageReference,
    repository: &Repository,
    chosen: Chosen,
    reporter: &Reporter,
) -> Result<Image, ImageError> {
    // Before anything else: from here on the collector leaves the image alone.
    let lease = Lease::new(chosen.digest, &store.inner().held);
    let manifest = chosen.manifest.clone();
    let config = store
        .blocking(move |inner| {
            ImageConfig::parse(
                &inner.blobs.read(&manifest.config.digest, MAX_DOCUMENT)?,
                &manifest,
            )
        })
        .await?;
    let pairs: Vec<(Digest, Digest)> = chosen
        .manifest
        .layers
        .iter()
        .map(|layer| layer.digest)
        .zip(config.rootfs.diff_ids.iter().copied())
        .collect();
    let pairs = without_covered(pairs);
    let layers: Vec<PathBuf> = futures::stream::iter(pairs)
        .map(|(blob, diff_id)| async move {
            let path = unpack(store, blob, diff_id).await?;
            reporter.tell(Progress::Unpacked { layer: blob });
            Ok::<_, ImageError>(path)
        })
        .buffered(PARALLEL_LAYERS)
        .try_collect()
        .await?;
    Ok(Image {
        reference: reference.to_string(),
        digest: chosen.digest,
        id: chosen.manifest.config.digest,
        repo_digest: format!("{}@{}", store.inner().shown(repository), chosen.digest),
        config: config.config,
        layers,
        _lease: lease,
    })
}

/// Drops all but the topmost occurrence of a layer: overlayfs refuses to stack a directory on itself, and a layer
/// covers everything it wrote lower down.
fn without_covered(layers: Vec<(Digest, Digest)>) -> Vec<(Digest, Digest)> {
    let mut seen = std::collections::HashSet::new();
    let mut kept: Vec<_> = layers
        .into_iter()
        .rev()
        .filter(|(_, diff_id)| seen.insert(*diff_id))
        .collect();
    kept.reverse();
    kept
}

async fn unpack(store: &ImageStore, blob: Digest, diff_id: Digest) -> Result<PathBuf, ImageError> {
    let flight = store.inner().flight(diff_id);
    // Owned by the work on the blocking pool: a caller that goes away does not let a second unpacking start.
    let alone = flight.lock_owned().await;
    store
        .blocking(move |inner| {
            let _alone = alone;
            {
                let _guard = inner.sweep.read();
                if let Some(path) = inner.layers.touch(&diff_id)? {
                    return Ok(path);
                }
            }
            inner.layers.unpack(&blob, inner.blobs.file(&blob)?, &diff_id)
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_layer_counts_once_at_its_topmost_place() {
        let digest = |text: &str| Digest::of(text.as_bytes());
        let pair = |text: &str| (digest(text), digest(&format!("diff of {text}")));
        let empty_again = (digest("other compression"), digest("diff of empty"));
        let layers = vec![pair("base"), pair("empty"), pair("app"), empty_again];
        assert_eq!(without_covered(layers), [pair("base"), pair("app"), empty_again]);
    }
}
