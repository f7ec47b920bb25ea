//! Many events as one JSON array.

use std::fmt;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::structured;
use crate::error::ReadError;
use crate::event::Event;
use crate::media_type::BATCH;

/// Reads the body of a batch; an empty one is no error.
///
/// # Errors
/// Whatever makes one of them no valid event, or if there are more than `max`.
pub fn read_batch(body: &Bytes, max: usize) -> Result<Vec<Event>, ReadError> {
    let mut text = serde_json::Deserializer::from_slice(body);
    let invalid = |error: serde_json::Error| ReadError::Json(error.to_string());
    let elements = text.deserialize_seq(Elements { max }).map_err(invalid)?;
    text.end().map_err(invalid)?;
    let Some(elements) = elements else {
        return Err(ReadError::BatchTooLong(max));
    };
    let events = elements.into_iter().enumerate();
    events
        .map(|(index, raw)| {
            structured::read(&body.slice_ref(raw.get().as_bytes())).map_err(|error| ReadError::InBatch {
                index,
                error: Box::new(error),
            })
        })
        .collect()
}

/// Writes a batch. To be sent only to who asked for it.
pub fn write_batch<'a>(events: impl IntoIterator<Item = &'a Event>) -> (HeaderMap, Bytes) {
    let mut headers = HeaderMap::with_capacity(4);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(BATCH));
    let mut out = vec![b'['];
    for event in events {
        if out.len() > 1 {
            out.push(b',');
        }
        structured::object(event, &mut out);
    }
    out.push(b']');
    (headers, Bytes::from(out))
}

struct Elements {
    max: usize,
}

impl<'de> Visitor<'de> for Elements {
    /// `None` if there are too many.
    type Value = Option<Vec<&'de RawValue>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON array of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        let mut too_many = false;
        while let Some(element) = array.next_element()? {
            too_many |= elements.len() >= self.max;
            if !too_many {
                elements.push(element);
            }
        }
        Ok((!too_many).then_some(elements))
    }
}
