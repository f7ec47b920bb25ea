//! What is stored of an event: its stored form, and the headers that travel beside it.
//!
//! ```text
//! u8      format: 1, or 2 for an event that is sent again to one consumer alone
//! (in 2)  u8 length of that consumer's name, and the name
//! u8      number of headers, of which each is
//!     u8      length of the name, and the name
//!     u16     length of the value, little-endian, and the value
//! rest    the event (`event::stored`)
//! ```

use bytes::{Buf, Bytes};
use event::stored::DecodeError;
use event::{Event, Str};
use event_store::ConsumerName;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::delivery::headers;

const FORMAT: u8 = 1;
const FORMAT_FOR_ONE: u8 = 2;

/// Bytes of headers that are kept with one event. What goes beyond is left out: it is not the event's.
const MAX_HEADER_BYTES: usize = 8 * 1024;
const MAX_HEADERS: u8 = 32;

/// An event with the headers that go on to whoever it is delivered to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub headers: HeaderMap,
    pub event: Event,
    /// The one consumer that it is for; `None`: it is for all.
    pub only: Option<Str>,
}

/// Why a payload is no [`Record`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error("the record has format {0}, of which this version knows nothing")]
    Format(u8),
    #[error("the record's headers are malformed")]
    Headers,
    #[error(transparent)]
    Event(#[from] DecodeError),
}

/// The payload for an event that came with `headers`, of which only those are kept that [`headers::passes`].
pub fn encode(headers: &HeaderMap, event: &Event) -> Bytes {
    let mut out = Vec::with_capacity(event.size() + 128);
    out.extend_from_slice(&[FORMAT, 0]);
    let mut kept = 0_u8;
    for (name, value) in headers::passed(headers) {
        let sizes = (u8::try_from(name.as_str().len()), u16::try_from(value.len()));
        let (Ok(name_length), Ok(value_length)) = sizes else {
            continue;
        };
        let bytes = out.len() + name.as_str().len() + value.len();
        if kept == MAX_HEADERS || bytes > MAX_HEADER_BYTES {
            break;
        }
        out.push(name_length);
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(&value_length.to_le_bytes());
        out.extend_from_slice(value.as_bytes());
        kept += 1;
    }
    if let Some(count) = out.get_mut(1) {
        *count = kept;
    }
    event::stored::encode(event, &mut out);
    Bytes::from(out)
}

/// The same payload for one consumer alone; `None` if it is no payload that was for all.
pub fn for_one(payload: &[u8], consumer: &ConsumerName) -> Option<Bytes> {
    let (FORMAT, rest) = payload.split_first().map(|(format, rest)| (*format, rest))? else {
        return None;
    };
    let name = consumer.as_str();
    let mut out = Vec::with_capacity(payload.len() + name.len() + 1);
    out.extend_from_slice(&[FORMAT_FOR_ONE, u8::try_from(name.len()).ok()?]);
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(rest);
    Some(Bytes::from(out))
}

/// Reads a payload; the event's parts are slices of it.
///
/// # Errors
/// When it is not what [`encode`] writes.
pub fn decode(mut payload: Bytes) -> Result<Record, RecordError> {
    let truncated = |_| RecordError::Headers;
    let only = match payload.try_get_u8().map_err(truncated)? {
        FORMAT => None,
        FORMAT_FOR_ONE => {
            let length = usize::from(payload.try_get_u8().map_err(truncated)?);
            let name = take(&mut payload, length)?;
            Some(Str::from_utf8(name).ok_or(RecordError::Headers)?)
        }
        other => return Err(RecordError::Format(other)),
    };
    let count = payload.try_get_u8().map_err(truncated)?;
    let mut headers = HeaderMap::with_capacity(usize::from(count));
    for _ in 0..count {
        let name = usize::from(payload.try_get_u8().map_err(truncated)?);
        let name = take(&mut payload, name)?;
        let value = usize::from(payload.try_get_u16_le().map_err(truncated)?);
        let value = take(&mut payload, value)?;
        let name = HeaderName::from_bytes(&name).map_err(|_| RecordError::Headers)?;
        let value = HeaderValue::from_maybe_shared(value).map_err(|_| RecordError::Headers)?;
        headers.append(name, value);
    }
    let event = event::stored::decode(payload)?;
    Ok(Record { headers, event, only })
}

fn take(payload: &mut Bytes, length: usize) -> Result<Bytes, RecordError> {
    if length > payload.len() {
        return Err(RecordError::Headers);
    }
    Ok(payload.split_to(length))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event() -> Event {
        Event::new("1", "/me", "t")
    }

    #[test]
    fn headers_that_pass_come_back_with_the_event() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-request-id", "abc"),
            ("knative-a", "1"),
            ("knative-a", "2"),
            ("traceparent", "00-x-y-01"),
            ("authorization", "secret"),
            ("ce-id", "1"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        let record = decode(encode(&headers, &event())).unwrap();
        headers.remove("authorization");
        headers.remove("ce-id");
        assert_eq!(
            record,
            Record {
                headers,
                event: event(),
                only: None
            }
        );
    }

    #[test]
    fn headers_are_bounded() {
        let mut headers = HeaderMap::new();
        for n in 0..100 {
            let name = HeaderName::try_from(format!("knative-{n}")).unwrap();
            headers.insert(name, HeaderValue::from_static("x"));
        }
        assert_eq!(decode(encode(&headers, &event())).unwrap().headers.len(), 32);
        let mut headers = HeaderMap::new();
        let long = "x".repeat(MAX_HEADER_BYTES);
        headers.insert("x-request-id", HeaderValue::try_from(long).unwrap());
        assert!(decode(encode(&headers, &event())).unwrap().headers.is_empty());
    }

    #[test]
    fn the_first_format_stays_readable() {
        let payload = b"\x01\x01\x0cx-request-id\x01\x00a\x01\x09\x011\x03/me\x01t\x00";
        let mut headers = HeaderMap::new();
        headers.insert("x-request-id", HeaderValue::from_static("a"));
        assert_eq!(encode(&headers, &event()), payload.as_slice());
        assert_eq!(decode(Bytes::from_static(payload)).unwrap().event, event());
        for end in 0..payload.len() {
            assert!(decode(Bytes::copy_from_slice(&payload[..end])).is_err(), "{end}");
        }
        assert_eq!(decode(Bytes::from_static(b"\x03\0")), Err(RecordError::Format(3)));
    }

    #[test]
    fn a_payload_can_be_for_one_consumer_alone() {
        let all = encode(&HeaderMap::new(), &event());
        let name = ConsumerName::new("hello").unwrap();
        let one = for_one(&all, &name).unwrap();
        let record = decode(one.clone()).unwrap();
        assert_eq!((record.only.as_deref(), record.event), (Some("hello"), event()));
        assert_eq!(for_one(&one, &name), None);
        assert_eq!(for_one(b"", &name), None);
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_read(bytes in any::<Vec<u8>>()) {
            let _ = decode(Bytes::from(bytes.clone()));
            let _ = decode(Bytes::from([&[1, 2][..], &bytes].concat()));
        }
    }
}
