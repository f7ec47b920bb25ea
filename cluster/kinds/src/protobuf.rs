//! Decodes the protobuf bodies that typed Go clients send, into the JSON that everything else here works on.
//!
//! kubectl and helm send protobuf for built-in kinds and do not fall back when it is refused (kubernetes #86253), but
//! they accept JSON answers, so decoding is all that is needed. A body is the magic `k8s\0` followed by a
//! `runtime.Unknown` message with the kind and the encoded object. The decoder is driven by a table of tags, so that it
//! knows every field of every served kind without generated code, and skips tags it does not know, as protobuf demands.
//!
//! Go encodes fields that are no pointers even when they are zero; the table says which zeros its JSON would show.

mod decode;
mod table;
#[cfg(test)]
mod tests;
mod union;
mod wire;

use serde_json::Value;

/// First bytes of every protobuf body of Kubernetes.
const MAGIC: &[u8] = b"k8s\0";

/// Messages nested deeper than this are refused. Schemas of custom resources are the deepest in practice.
const MAX_DEPTH: usize = 100;

/// Values in one body; an empty message takes two bytes on the wire and many more in memory.
const MAX_VALUES: usize = 500_000;

/// Why a body cannot be decoded. All are the client's to mend: answer 400.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DecodeError {
    /// The body does not begin with the magic number.
    #[error("the body is not a Kubernetes protobuf object: it does not begin with \"k8s\\0\"")]
    NotKubernetes,
    /// The body ends in the middle of a value, or holds something that is not protobuf.
    #[error("malformed protobuf in {message}: {problem}")]
    Malformed {
        /// The message being read.
        message: &'static str,
        /// What is wrong.
        problem: &'static str,
    },
    /// A text field is not UTF-8, or a raw field not JSON.
    #[error("field {field} of {message}: {problem}")]
    Field {
        /// The message being read.
        message: &'static str,
        /// JSON name of the field.
        field: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// Nothing here serves the kind.
    #[error("no kind {kind:?} is registered for version {api_version:?}")]
    UnknownKind {
        /// `apiVersion` of the envelope.
        api_version: String,
        /// `kind` of the envelope.
        kind: String,
    },
    /// Messages are nested too deeply.
    #[error("the object is nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
    /// The body holds more values than any real object.
    #[error("the object holds more than {MAX_VALUES} values")]
    TooLarge,
}

/// Decodes a body into the JSON object that the same client would have sent as JSON. The caller bounds the body's size.
///
/// # Errors
/// If the body is not the envelope of a known kind, or malformed.
pub fn decode(body: &[u8]) -> Result<Value, DecodeError> {
    decode::envelope(body)
}
