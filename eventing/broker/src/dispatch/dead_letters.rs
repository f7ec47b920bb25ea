//! Dead letters that no sink took: kept in a topic of their own, beside the one they come from.
//!
//! ```text
//! u8   format, 1
//! u32  length of what follows, little-endian
//! JSON what happened ([`Notice`])
//! rest the record as it was stored
//! ```

use bytes::{Buf as _, BufMut as _, Bytes};
use event_store::Topic;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

const FORMAT: u8 = 1;

/// What happened to an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Notice {
    pub namespace: String,
    /// Name of the Broker or channel.
    pub topic: String,
    /// Name of the Trigger or Subscription.
    pub consumer: String,
    /// The URL that failed.
    pub destination: String,
    /// The last status; 500 for a fault in transport.
    pub code: u16,
    /// The start of the last answer's body, or what went wrong, as text.
    pub data: String,
    /// Why the dead letter sink did not take it, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sink_error: Option<String>,
    /// When it was given up.
    pub time: Timestamp,
    /// When the event was accepted.
    pub accepted: Timestamp,
    /// Its place in the topic it comes from.
    pub position: u64,
}

/// A dead letter as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    pub notice: Notice,
    /// The event's record: see [`crate::record::decode`].
    pub record: Bytes,
}

#[derive(Debug, thiserror::Error)]
pub enum DeadLetterError {
    #[error("the dead letter has a format that is not known")]
    Format,
    #[error("the dead letter is cut")]
    Truncated,
    #[error("the dead letter's notice cannot be read")]
    Notice(#[from] serde_json::Error),
}

impl DeadLetter {
    /// The topic of the dead letters of `topic`; `None` if that has too long a name.
    pub fn topic(topic: &Topic) -> Option<Topic> {
        Topic::new(format!("{topic}.dead-letters")).ok()
    }

    /// # Errors
    /// Never in practice: a notice is always JSON.
    pub fn encode(&self) -> Result<Bytes, DeadLetterError> {
        let notice = serde_json::to_vec(&self.notice)?;
        let mut out = Vec::with_capacity(5 + notice.len() + self.record.len());
        out.put_u8(FORMAT);
        out.put_u32_le(u32::try_from(notice.len()).map_err(|_| DeadLetterError::Truncated)?);
        out.put_slice(&notice);
        out.put_slice(&self.record);
        Ok(out.into())
    }

    /// # Errors
    /// When it is not what [`DeadLetter::encode`] writes.
    pub fn decode(mut stored: Bytes) -> Result<Self, DeadLetterError> {
        match stored.try_get_u8() {
            Ok(FORMAT) => {}
            _ => return Err(DeadLetterError::Format),
        }
        let length = stored.try_get_u32_le().map_err(|_| DeadLetterError::Truncated)?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > stored.len() {
            return Err(DeadLetterError::Truncated);
        }
        let notice = serde_json::from_slice(&stored.split_to(length))?;
        Ok(Self {
            notice,
            record: stored,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_letters_come_back() {
        let letter = DeadLetter {
            notice: Notice {
                namespace: "default".to_owned(),
                topic: "default".to_owned(),
                consumer: "hello".to_owned(),
                destination: "http://a/".to_owned(),
                code: 503,
                data: "not now".to_owned(),
                sink_error: None,
                time: Timestamp::UNIX_EPOCH,
                accepted: Timestamp::UNIX_EPOCH,
                position: 7,
            },
            record: Bytes::from_static(b"\x01event"),
        };
        let stored = letter.encode().unwrap();
        assert_eq!(DeadLetter::decode(stored.clone()).unwrap(), letter);
        for length in [0, 1, 4, 5, 20] {
            assert!(DeadLetter::decode(stored.slice(..length)).is_err(), "{length}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_break_the_reader(bytes in proptest::collection::vec(0u8..3, 0..30)) {
            let _ = DeadLetter::decode(bytes.into());
        }
    }
}
