//!
//! Server-side apply, the fourth, is in [`crate::apply`].

mod json;
mod merge;
mod strategic;
mod strategic_list;

pub use json::json;
pub use merge::merge;
pub use strategic::strategic;

/// Why a patch cannot be applied.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PatchError {
    /// The patch document is not one of its kind.
    #[error("{0}")]
    Malformed(String),
    /// The patch is well-formed but does not fit this object: a missing path, a failed test.
    #[error("the server rejected our request due to an error in our request: {0}")]
    Unprocessable(String),
    /// This kind has no schema that says how lists merge, so strategic merge patches make no sense for it.
    #[error(
        "the body of the request was in an unknown format - accepted media types include: \
         application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
    )]
    UnsupportedMediaType,
}

impl PatchError {
    /// HTTP status that Kubernetes answers with: 400, 415 or 422.
    #[must_use]
    pub fn status_code(&self) -> u16 {
        match self {
            Self::Malformed(_) => 400,
            Self::UnsupportedMediaType => 415,
            Self::Unprocessable(_) => 422,
        }
    }
}
