//! What can go wrong in a build, for whoever reads its log.

use std::io;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The source, or how it is to be built, cannot be: the text says what to change.
    #[error("{0}")]
    Usage(String),
    #[error("cannot {0}")]
    Io(String, #[source] io::Error),
    #[error("{program} failed: {message}")]
    Program { program: String, message: String },
    #[error(transparent)]
    Registry(#[from] registries::RegistryError),
    #[error(transparent)]
    Transfer(#[from] source::TransferError),
    #[error(transparent)]
    Pack(#[from] source::PackError),
    #[error(transparent)]
    Reference(#[from] formats::image::ImageReferenceError),
    #[error("{0} is not what it should be")]
    Json(String, #[source] serde_json::Error),
}

impl Error {
    pub(crate) fn io(what: impl Into<String>, error: io::Error) -> Self {
        Self::Io(what.into(), error)
    }
}

/// An error with all that caused it, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let told = cause.to_string();
        if !text.ends_with(&told) {
            text.push_str(": ");
            text.push_str(&told);
        }
        source = cause.source();
    }
    text
}
