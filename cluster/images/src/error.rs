//! What can go wrong, told to whoever can mend it.

use std::io;
use std::path::PathBuf;

use crate::digest::Digest;

/// Why an image operation failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The text is no image reference.
    #[error("invalid image reference `{reference}`: {reason}")]
    InvalidReference {
        /// The text.
        reference: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The pull policy forbids to ask a registry and the image is not here.
    #[error("image `{0}` is not present and its pull policy is Never")]
    NeverPull(String),
    /// Neither here nor in the registry.
    #[error("image `{reference}` was not found{detail}")]
    NotFound {
        /// The reference.
        reference: String,
        /// ` in …: …`, or empty.
        detail: String,
    },
    /// The registry refused the credentials, or wants some.
    #[error("registry {registry} denied access to `{repository}`: {detail}")]
    Denied {
        /// The registry's host.
        registry: String,
        /// The repository.
        repository: String,
        /// What the registry said.
        detail: String,
    },
    /// The registry could not be reached, broke off, or did not answer in time.
    #[error("registry {registry} {detail}")]
    Registry {
        /// The registry's host.
        registry: String,
        /// What happened, as a continuation of the sentence.
        detail: String,
    },
    /// The image has no manifest for this machine.
    #[error("image `{reference}` has no manifest for {wanted}; it has {available}")]
    NoPlatform {
        /// The reference.
        reference: String,
        /// `linux/amd64` or alike.
        wanted: String,
        /// The platforms in its index.
        available: String,
    },
    /// A manifest, index or configuration is not what the specification says.
    #[error("{what} is invalid: {reason}")]
    InvalidContent {
        /// Which document.
        what: String,
        /// What is wrong.
        reason: String,
    },
    /// Content does not have the digest it was asked by.
    #[error("content of {expected} has digest {actual}")]
    DigestMismatch {
        /// Asked for.
        expected: Digest,
        /// Got.
        actual: Digest,
    },
    /// A cap was passed.
    #[error("{what} is larger than the limit of {limit}")]
    TooLarge {
        /// Which thing.
        what: String,
        /// The limit with its unit.
        limit: String,
    },
    /// A layer would write outside its root, or is no readable tar.
    #[error("layer {layer} cannot be unpacked: {reason}")]
    Unpack {
        /// The layer's blob.
        layer: Digest,
        /// Entry and reason.
        reason: String,
    },
    /// A blob the operation needs is absent.
    #[error("blob {0} is not in the store")]
    MissingBlob(Digest),
    /// What a build asks for cannot be done.
    #[error("cannot build image: {0}")]
    InvalidBuild(String),
    /// An archive is neither a docker archive nor an OCI layout.
    #[error("image archive {path} cannot be read: {reason}")]
    InvalidArchive {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Reading or writing the store failed.
    #[error("cannot {action} {path}")]
    Io {
        /// The verb.
        action: &'static str,
        /// The path.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A worker task ended early; only happens while the process ends.
    #[error("the operation was cancelled")]
    Cancelled,
}

impl ImageError {
    /// Makes an [`ImageError::Io`]; for `map_err`.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> ImageError {
        let path = path.into();
        move |source| ImageError::Io { action, path, source }
    }
}
