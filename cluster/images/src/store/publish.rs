//! Putting a manifest into a repository: checked, durable, then named.

use crate::digest::Digest;
use crate::error::ImageError;
use crate::manifest::Document;
use crate::names::Repository;
use crate::store::Inner;

/// A manifest or index to store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Publication<'a> {
    pub(crate) repository: &'a Repository,
    pub(crate) bytes: &'a [u8],
    /// As the transport told; `None` to take the document's own.
    pub(crate) media_type: Option<&'a str>,
    /// The tag to move, if any.
    pub(crate) tag: Option<&'a str>,
    /// Whether an index may name manifests that are not here: a pull fetches one platform only.
    pub(crate) partial: bool,
}

impl Inner {
    /// Stores a manifest or index whose content is here, lets the repository read that content, and moves the tag.
    ///
    /// # Errors
    /// [`ImageError::InvalidContent`], or [`ImageError::MissingBlob`] for the first part that is absent.
    pub(crate) fn publish(&self, publication: Publication<'_>) -> Result<Digest, ImageError> {
        let Publication {
            repository,
            bytes,
            media_type,
            tag,
            partial,
        } = publication;
        let document = Document::parse(bytes, media_type)?;
        // Marks all parts as used, so that the collector leaves them until the manifest refers to them.
        let guard = self.sweep.read();
        match &document {
            Document::Manifest(manifest) => {
                for part in std::iter::once(&manifest.config).chain(&manifest.layers) {
                    self.blobs
                        .touch(&part.digest)?
                        .ok_or(ImageError::MissingBlob(part.digest))?;
                    self.names.link_blob(repository, &part.digest)?;
                }
            }
            Document::Index(index) if !partial => {
                for part in &index.manifests {
                    self.names
                        .media_type(repository, &part.digest)?
                        .ok_or(ImageError::MissingBlob(part.digest))?;
                }
            }
            Document::Index(_) => {}
        }
        let digest = self.blobs.write(bytes)?;
        let media_type = media_type.unwrap_or_else(|| document.media_type());
        self.names.link_manifest(repository, &digest, media_type)?;
        drop(guard);
        if let Some(subject) = document.subject() {
            self.names.link_referrer(repository, &subject.digest, &digest)?;
        }
        if let Some(tag) = tag {
            self.names.set_tag(repository, tag, &digest)?;
        }
        Ok(digest)
    }
}
