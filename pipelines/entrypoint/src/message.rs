//! The termination message: how a step's results and its own records get from the container to the TaskRun.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{Read, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Bytes of a termination message that Kubernetes keeps of one container.
pub const LIMIT: usize = 4096;
/// Bytes of the termination messages of all containers of a pod that Kubernetes keeps: each has an equal share.
pub const LIMIT_OF_POD: usize = 12 << 10;
/// Bytes that all results of a run may have together, with their names: they are a part of an object in the cluster,
/// whose own limit is not far above.
pub const MOST: usize = 1 << 20;

/// Key of the time when the command began, RFC 3339 with milliseconds: the container itself starts with the pod.
pub const STARTED_AT: &str = "StartedAt";
/// Key of the exit code of a command whose failure is let pass.
pub const EXIT_CODE: &str = "ExitCode";
/// Key of why the step ended, where the exit code does not tell.
pub const REASON: &str = "Reason";

/// Key of where to find the results that did not fit; see [`crate::log_results`].
pub const IN_LOG: &str = "ResultsInLog";

/// Before a message that is compressed, as upstream has it: raw deflate in base64.
const COMPRESSED: &str = "tknz:";

/// Values of [`REASON`].
pub mod reason {
    /// An earlier step failed.
    pub const SKIPPED: &str = "Skipped";
    /// The step took longer than it may.
    pub const TIMED_OUT: &str = "TimeoutExceeded";
    /// The run was cancelled.
    pub const CANCELLED: &str = "Cancelled";
    /// The results do not fit into the message.
    pub const TOO_LARGE: &str = "TaskRunResultLargerThanAllowedLimit";
}

/// One thing that a step tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub key: String,
    pub value: String,
    #[serde(rename = "type")]
    pub kind: Kind,
}

/// What a record is about, as numbers on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum Kind {
    /// A result of the Task.
    TaskResult,
    /// The step itself; not for users.
    Internal,
    /// A result of the step.
    StepResult,
    /// What the step took in and made; the value is the text of its provenance.
    StepArtifacts,
    /// The same of the Task.
    TaskArtifacts,
}

impl From<Kind> for u8 {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::TaskResult => 1,
            Kind::Internal => 3,
            Kind::StepResult => 4,
            Kind::StepArtifacts => 5,
            Kind::TaskArtifacts => 6,
        }
    }
}

impl TryFrom<u8> for Kind {
    type Error = &'static str;

    fn try_from(number: u8) -> Result<Self, Self::Error> {
        match number {
            1 => Ok(Self::TaskResult),
            3 => Ok(Self::Internal),
            4 => Ok(Self::StepResult),
            5 => Ok(Self::StepArtifacts),
            6 => Ok(Self::TaskArtifacts),
            _ => Err("unknown type of record"),
        }
    }
}

/// The results do not fit.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "The results have {size} bytes, and {MOST} are allowed (a termination message takes {LIMIT}). \
     Write less into results; large data belongs into a workspace"
)]
pub struct TooLarge {
    /// Of the whole message, without compression.
    pub size: usize,
}

impl Record {
    pub fn new(kind: Kind, key: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            value: value.into(),
            kind,
        }
    }

    pub fn internal(key: &str, value: impl Into<String>) -> Self {
        Self::new(Kind::Internal, key, value)
    }
}

/// The message of these records, sorted by key. Of several about the same the last counts.
pub fn encode(records: &[Record]) -> String {
    let last: BTreeMap<_, _> = records
        .iter()
        .map(|record| ((record.key.as_str(), record.kind), record))
        .collect();
    let ordered: Vec<&Record> = last.into_values().collect();
    // A list of texts can always be written as JSON.
    serde_json::to_string(&ordered).unwrap_or_default()
}

/// The message of these records in at most `limit` bytes: as it is if that fits, else compressed.
///
/// # Errors
/// [`TooLarge`] if neither does.
pub fn packed(records: &[Record], limit: usize) -> Result<String, TooLarge> {
    let text = encode(records);
    let size = text.len();
    if size <= limit {
        return Ok(text);
    }
    // Nothing becomes a hundredth of itself that anybody would call a result.
    let compressed = (size <= limit.saturating_mul(100))
        .then(|| compress(&text))
        .flatten();
    compressed
        .filter(|compressed| compressed.len() <= limit)
        .ok_or(TooLarge { size })
}

fn compress(text: &str) -> Option<String> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text.as_bytes()).ok()?;
    Some(format!("{COMPRESSED}{}", STANDARD.encode(encoder.finish().ok()?)))
}

/// The text of a message that is compressed. It comes from a container that may be anybody's, so what it becomes is
/// bounded.
fn decompressed(text: &str) -> Option<String> {
    let bytes = STANDARD.decode(text.trim_end()).ok()?;
    let mut text = String::new();
    let most = u64::try_from(MOST).ok()?;
    DeflateDecoder::new(bytes.as_slice())
        .take(most)
        .read_to_string(&mut text)
        .ok()?;
    Some(text)
}

/// The records of a message. Those of unknown types are left out; a text that is no message is an error.
///
/// # Errors
/// What is wrong with the JSON.
pub fn decode(message: &str) -> Result<Vec<Record>, serde_json::Error> {
    let text = match message.strip_prefix(COMPRESSED) {
        Some(compressed) => Cow::Owned(decompressed(compressed).unwrap_or_default()),
        None => Cow::Borrowed(message),
    };
    let values: Vec<serde_json::Value> = serde_json::from_str(&text)?;
    Ok(values
        .into_iter()
        .filter_map(|value| serde_json::from_value(value).ok())
        .collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn records_are_sorted_and_the_last_of_a_key_counts() {
        let records = [
            Record::new(Kind::TaskResult, "b", "1"),
            Record::internal(STARTED_AT, "2026-01-01T00:00:00.000Z"),
            Record::new(Kind::TaskResult, "b", "2\n"),
            Record::new(Kind::StepResult, "b", "3"),
        ];
        let text = r#"[{"key":"StartedAt","value":"2026-01-01T00:00:00.000Z","type":3},{"key":"b","value":"2\n","type":1},{"key":"b","value":"3","type":4}]"#;
        assert_eq!(encode(&records), text);
    }

    #[test]
    fn a_message_has_its_limit_with_everything_in_it() {
        let overhead = encode(&[Record::new(Kind::TaskResult, "r", "")]).len();
        let result = |value: String| [Record::new(Kind::TaskResult, "r", value)];
        let fits = packed(&result("x".repeat(LIMIT - overhead)), LIMIT).unwrap();
        assert!(fits.len() == LIMIT && fits.starts_with('['));
        let compressed = packed(&result("x".repeat(LIMIT - overhead + 1)), LIMIT).unwrap();
        assert!(
            compressed.starts_with("tknz:") && compressed.len() < 100,
            "{compressed}"
        );
        assert_eq!(
            decode(&compressed).unwrap(),
            result("x".repeat(LIMIT - overhead + 1))
        );
        // What cannot be compressed does not fit.
        let noise: String = (0..4000_u64)
            .map(|n| format!("{:x}", n.wrapping_mul(0x9E37_79B9_7F4A_7C15)))
            .collect();
        let size = encode(&result(noise.clone())).len();
        let error = packed(&result(noise), LIMIT).unwrap_err();
        assert_eq!(error, TooLarge { size });
        assert!(error.to_string().contains("4096"));
    }

    #[test]
    fn a_small_message_cannot_become_a_huge_one() {
        let bomb = compress(&"x".repeat(MOST * 3)).unwrap();
        assert!(bomb.len() < 8192);
        assert!(decode(&bomb).is_err());
        assert_eq!(decompressed(&bomb["tknz:".len()..]).unwrap().len(), MOST);
        for broken in ["tknz:", "tknz:!", "tknz:AAAA"] {
            assert!(decode(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn what_newer_programs_tell_is_passed_over() {
        let decoded =
            decode(r#"[{"key":"a","value":"1","type":1},{"key":"p","value":"{}","type":7}]"#).unwrap();
        assert_eq!(decoded, [Record::new(Kind::TaskResult, "a", "1")]);
        assert!(decode("panicked at main.go").is_err());
        assert!(decode("").is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(values in proptest::collection::btree_map("[a-z]{1,8}", ".{0,40}", 0..8)) {
            let records: Vec<Record> =
                values.iter().map(|(key, value)| Record::new(Kind::TaskResult, key, value)).collect();
            prop_assert_eq!(&decode(&encode(&records)).unwrap(), &records);
            let short = packed(&records, 100);
            prop_assert!(short.as_ref().is_ok_and(|text| text.len() <= 100) || short.is_err());
            prop_assert!(short.is_err() || decode(&short.unwrap()).unwrap() == records);
        }
    }
}
