//! Why a destination has no URL.

use reconciler::Key;

use crate::tracker::TrackError;

/// Why a destination has no URL; the text ends in a condition.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResolveError {
    #[error("destination missing Ref and URI, expected at least one")]
    Nothing,
    #[error("URI is not absolute (both scheme and host should be non-empty): {0:?}")]
    NotAbsolute(String),
    #[error("invalid URI {uri:?}: {reason}")]
    Invalid { uri: String, reason: String },
    #[error("reference to {0} has neither apiVersion nor group")]
    NoVersion(String),
    #[error("failed to get object {key}: {resource} {:?} not found", .key.name)]
    NotFound { resource: String, key: Key },
    #[error("address not set for {0}")]
    NoAddress(String),
    #[error("address with name {name:?} not found for {of}")]
    NoSuchAddress { name: String, of: String },
    #[error("URL missing in address of {0}")]
    NoUrl(String),
    #[error("hostname missing in address of {0}")]
    NoHost(String),
    #[error("the URL template of config-kreference-mapping fails: {0}")]
    Template(String),
    #[error(transparent)]
    Track(#[from] TrackError),
}

impl ResolveError {
    /// Whether a watch, or a change of the referrer itself, tells when it is worth to look again.
    pub(crate) fn heals_by_watch(&self) -> bool {
        !matches!(self, Self::Track(_))
    }
}
