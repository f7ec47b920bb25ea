//! Collection of what nothing refers to.
//!
//! Roots are the manifests the repositories know. A blob or layer that no root reaches goes, unless it was used within
//! the grace time: uploads and pulls in progress have their content on disk before a manifest refers to it.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use super::Inner;
use crate::digest::Digest;
use crate::error::ImageError;
use crate::image::Collected;
use crate::manifest::{Document, ImageConfig, MAX_DOCUMENT};
use crate::names::{EMBEDDED, Repository};

/// Unreferenced content, and images, used within this time stay.
const GRACE: Duration = Duration::from_secs(3_600);
/// The same while the disk is full: long enough for a push, whose manifest comes last, and for a pod that waits for its
/// image to be unpacked.
const PRESSED_GRACE: Duration = Duration::from_secs(600);

/// A manifest that is nowhere named by a tag of the embedded registry, and may be forgotten under pressure.
struct Forgettable {
    repository: Repository,
    digest: Digest,
    used: SystemTime,
}

/// What the roots reach.
#[derive(Default)]
struct Marked {
    blobs: HashSet<Digest>,
    layers: HashSet<Digest>,
}

/// Removes what nothing refers to, and then images, until `needed` bytes are free and the store is within its bound.
pub(super) fn collect(
    inner: &Inner,
    in_use: &[Digest],
    needed: u64,
    now: SystemTime,
) -> Result<Collected, ImageError> {
    let grace = if needed > 0 { PRESSED_GRACE } else { GRACE };
    let _sweep = inner.sweep.write();
    let mut collected = Collected::default();
    let mut used: HashSet<Digest> = in_use.iter().copied().collect();
    used.extend(inner.held.lock().keys());
    let mut candidates = forgettable(inner, &used)?;
    // Of a fresh image nothing could be removed yet; forgetting it would free nothing.
    candidates.retain(|candidate| rested(candidate.used, now, grace));
    loop {
        let marked = mark(inner, &used)?;
        sweep(inner, &marked, now, grace, &mut collected)?;
        let size = size(inner)?;
        if size <= inner.config.max_bytes && collected.bytes >= needed {
            break;
        }
        // One image at a time: how much each frees depends on what it shares with the others.
        let Some(oldest) = candidates.pop() else {
            tracing::warn!(
                size,
                limit = inner.config.max_bytes,
                needed,
                freed = collected.bytes,
                "Images take more room than they should, and all are in use, tagged here or fresh"
            );
            break;
        };
        tracing::info!(image = %inner.shown(&oldest.repository), digest = %oldest.digest, "Unused image forgotten");
        if inner.names.unlink_manifest(&oldest.repository, &oldest.digest)? {
            collected.manifests += 1;
        }
    }
    Ok(collected)
}

/// Candidates, the least recently used last.
fn forgettable(inner: &Inner, used: &HashSet<Digest>) -> Result<Vec<Forgettable>, ImageError> {
    let mut candidates = Vec::new();
    for repository in inner.names.repositories()? {
        let mut kept = used.clone();
        if repository.registry == EMBEDDED {
            for tag in inner.names.tags(&repository)? {
                kept.extend(inner.names.resolve_tag(&repository, &tag)?);
            }
        }
        let linked = inner.names.manifests(&repository)?;
        for manifest in &linked {
            if let Some(Document::Index(index)) = inner.document(&repository, &manifest.digest)? {
                let children: Vec<Digest> = index.manifests.iter().map(|child| child.digest).collect();
                if kept.contains(&manifest.digest) {
                    kept.extend(children);
                } else if children.iter().any(|child| kept.contains(child)) {
                    kept.insert(manifest.digest);
                }
            }
        }
        candidates.extend(
            linked
                .into_iter()
                .filter(|manifest| !kept.contains(&manifest.digest))
                .map(|manifest| Forgettable {
                    repository: repository.clone(),
                    digest: manifest.digest,
                    used: manifest.used,
                }),
        );
    }
    candidates.sort_by_key(|candidate| std::cmp::Reverse(candidate.used));
    Ok(candidates)
}

fn mark(inner: &Inner, used: &HashSet<Digest>) -> Result<Marked, ImageError> {
    let mut marked = Marked::default();
    for repository in inner.names.repositories()? {
        for manifest in inner.names.manifests(&repository)? {
            mark_manifest(inner, &manifest.digest, &mut marked)?;
        }
    }
    // Images of running containers stay even when their name is gone.
    for digest in used {
        mark_manifest(inner, digest, &mut marked)?;
    }
    Ok(marked)
}

/// Damaged documents are kept as they are and mark only themselves: collection must not fail for ever because of one.
fn mark_manifest(inner: &Inner, digest: &Digest, marked: &mut Marked) -> Result<(), ImageError> {
    if !marked.blobs.insert(*digest) {
        return Ok(());
    }
    let bytes = match inner.blobs.read(digest, MAX_DOCUMENT) {
        Err(ImageError::MissingBlob(_) | ImageError::TooLarge { .. }) => return Ok(()),
        other => other?,
    };
    let Ok(Document::Manifest(manifest)) = Document::parse(&bytes, None) else {
        return Ok(());
    };
    marked.blobs.insert(manifest.config.digest);
    marked
        .blobs
        .extend(manifest.layers.iter().map(|layer| layer.digest));
    let config = inner.blobs.read(&manifest.config.digest, MAX_DOCUMENT).ok();
    if let Some(config) = config.and_then(|bytes| ImageConfig::parse(&bytes, &manifest).ok()) {
        marked.layers.extend(config.rootfs.diff_ids);
    }
    Ok(())
}

/// Whether something was last used longer ago than the grace time.
fn rested(used: SystemTime, now: SystemTime, grace: Duration) -> bool {
    now.duration_since(used).is_ok_and(|age| age > grace)
}

fn sweep(
    inner: &Inner,
    marked: &Marked,
    now: SystemTime,
    grace: Duration,
    collected: &mut Collected,
) -> Result<(), ImageError> {
    let rested = |used| rested(used, now, grace);
    for (digest, size, used) in inner.blobs.list()? {
        if !marked.blobs.contains(&digest) && rested(used) && inner.blobs.remove(&digest)? {
            collected.blobs += 1;
            collected.bytes += size;
        }
    }
    for layer in inner.layers.list()? {
        if !marked.layers.contains(&layer.diff_id) && rested(layer.used) {
            inner.layers.remove(&layer.diff_id)?;
            collected.layers += 1;
            collected.bytes += layer.bytes;
        }
    }
    for repository in inner.names.repositories()? {
        for digest in inner.names.blobs(&repository)? {
            if inner.blobs.size(&digest)?.is_none() {
                inner.names.unlink_blob(&repository, &digest)?;
            }
        }
    }
    Ok(())
}

fn size(inner: &Inner) -> Result<u64, ImageError> {
    Ok(inner.blobs.list()?.iter().map(|(_, size, _)| size).sum::<u64>() + inner.layers.size()?)
}
