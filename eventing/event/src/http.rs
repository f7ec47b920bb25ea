//! Events in HTTP messages: binary, structured and batched.

mod batch;
mod binary;
mod members;
mod structured;

use bytes::Bytes;
use http::HeaderMap;

use crate::error::ReadError;
use crate::event::{Event, Mode};
use crate::media_type::{self, Content};

pub use batch::{read_batch, write_batch};

/// Whether a message with these headers means to be an event: it has a content type of CloudEvents or says which
/// version of them it speaks.
pub fn is_event(headers: &HeaderMap) -> bool {
    headers.contains_key("ce-specversion") || Content::of(headers) != Ok(Content::One(Mode::Binary))
}

/// Reads one event, in the mode that the `Content-Type` says. In a structured message the body alone counts.
///
/// # Errors
/// Whatever makes it no valid event, or if it is a batch.
pub fn read(headers: &HeaderMap, body: Bytes) -> Result<Event, ReadError> {
    match Content::of(headers)? {
        Content::One(Mode::Binary) => binary::read(headers, body),
        Content::One(Mode::Structured) => structured::read(&body),
        Content::Batch => Err(ReadError::Batch),
    }
}

/// Lays an event out as a message: its headers, and its body. Attributes whose names are not letters and digits
/// cannot be read from anywhere, and are left out. Data that is itself called an event goes structured in any case: its
/// content type would make a binary message another event.
pub fn write(event: &Event, mode: Mode) -> (HeaderMap, Bytes) {
    match mode {
        Mode::Binary if !event.data_content_type().is_some_and(media_type::is_event) => binary::write(event),
        Mode::Binary | Mode::Structured => structured::write(event),
    }
}

#[cfg(test)]
mod tests;
