//! Why a message is no event.

use http::StatusCode;

use crate::attribute::{MAX_ATTRIBUTE_BYTES, MAX_ATTRIBUTES, Problem};

/// Characters of what was sent that an error repeats.
const QUOTED: usize = 64;

/// Why a message cannot be read as an event; the text is for whoever sent it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error("attribute {0} is missing")]
    Missing(&'static str),
    #[error("attribute {name} {problem}")]
    Attribute { name: String, problem: Problem },
    #[error("specversion {0:?} is not supported: use 1.0 or 0.3")]
    SpecVersion(String),
    #[error(
        "Content-Type {0:?} is not supported: use application/cloudevents+json or \
         application/cloudevents-batch+json in UTF-8, or send the attributes in ce- headers"
    )]
    Format(String),
    #[error("the body is no CloudEvent in JSON: {0}")]
    Json(String),
    #[error(
        "the attributes are too large: at most {MAX_ATTRIBUTES} of together {MAX_ATTRIBUTE_BYTES} bytes are taken"
    )]
    AttributesTooLarge,
    #[error("the batch is too long: at most {0} events are taken at once")]
    BatchTooLong(usize),
    #[error("event {index} of the batch: {error}")]
    InBatch {
        /// Counted from 0.
        index: usize,
        #[source]
        error: Box<ReadError>,
    },
    /// One event was asked for.
    #[error("a batch of events cannot be taken here: send them one by one")]
    Batch,
}

impl ReadError {
    pub(crate) fn attribute(name: &str, problem: Problem) -> Self {
        Self::Attribute {
            name: quoted(name),
            problem,
        }
    }

    pub(crate) fn format(content_type: &str) -> Self {
        Self::Format(quoted(content_type))
    }

    pub(crate) fn spec_version(text: &str) -> Self {
        Self::SpecVersion(quoted(text))
    }

    /// The answer that tells a sender.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Format(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::AttributesTooLarge | Self::BatchTooLong(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::InBatch { error, .. } => error.status(),
            Self::Missing(_)
            | Self::Attribute { .. }
            | Self::SpecVersion(_)
            | Self::Json(_)
            | Self::Batch => StatusCode::BAD_REQUEST,
        }
    }

    /// The attribute that is to be mended.
    pub fn attribute_name(&self) -> Option<&str> {
        match self {
            Self::Missing(name) => Some(name),
            Self::Attribute { name, .. } => Some(name),
            Self::SpecVersion(_) => Some("specversion"),
            Self::InBatch { error, .. } => error.attribute_name(),
            _ => None,
        }
    }
}

fn quoted(text: &str) -> String {
    text.chars().take(QUOTED).collect()
}
