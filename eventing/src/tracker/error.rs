//! Why objects of a kind cannot be followed.

use super::Kind;

/// Why objects of a kind cannot be followed. None of these heals by a watch: look again after a while.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrackError {
    /// Perhaps its CRD comes later.
    #[error("the API server does not serve {0}")]
    NoSuchKind(Kind),
    /// The bound of kinds is reached, and all of them are referred to.
    #[error("too many kinds are referred to already, {0} cannot be followed")]
    TooMany(Kind),
    #[error("the first list of {0} takes too long")]
    Slow(Kind),
    #[error("cannot find out about {kind}: {source}")]
    Discovery {
        kind: Kind,
        #[source]
        source: Box<kube::Error>,
    },
}

impl TrackError {
    pub(super) fn discovery(kind: &Kind, error: kube::Error) -> Self {
        use kube::error::DiscoveryError;
        match error {
            kube::Error::Discovery(
                DiscoveryError::MissingKind(_)
                | DiscoveryError::MissingApiGroup(_)
                | DiscoveryError::MissingResource(_),
            ) => Self::NoSuchKind(kind.clone()),
            error if reconciler::error::is_not_found(&error) => Self::NoSuchKind(kind.clone()),
            error => Self::Discovery {
                kind: kind.clone(),
                source: Box::new(error),
            },
        }
    }
}
