//! The termination message: how a step's results and its own records get from the container to the TaskRun.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Bytes of a termination message that Kubernetes keeps of one container.
pub const LIMIT: usize = 4096;

/// Key of the time when the command began, RFC 3339 with milliseconds: the container itself starts with the pod.
pub const STARTED_AT: &str = "StartedAt";
/// Key of the exit code of a command whose failure is let pass.
pub const EXIT_CODE: &str = "ExitCode";
/// Key of why the step ended, where the exit code does not tell.
pub const REASON: &str = "Reason";

/// Values of [`REASON`].
pub mod reason {
    /// An earlier step failed.
    pub const SKIPPED: &str = "Skipped";
    /// The step took longer than it may.
    pub const TIMED_OUT: &str = "TimeoutExceeded";
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
}

impl From<Kind> for u8 {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::TaskResult => 1,
            Kind::Internal => 3,
            Kind::StepResult => 4,
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
            _ => Err("unknown type of record"),
        }
    }
}

/// The message does not fit.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "Termination message is above max allowed size {LIMIT}, caused by large task result: it has {size} bytes. \
     Write less into results; large data belongs into a workspace"
)]
pub struct TooLarge {
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
///
/// # Errors
/// [`TooLarge`].
pub fn encode(records: &[Record]) -> Result<String, TooLarge> {
    let last: BTreeMap<_, _> = records
        .iter()
        .map(|record| ((record.key.as_str(), record.kind), record))
        .collect();
    let ordered: Vec<&Record> = last.into_values().collect();
    // A list of texts can always be written as JSON.
    let text = serde_json::to_string(&ordered).unwrap_or_default();
    if text.len() > LIMIT {
        return Err(TooLarge { size: text.len() });
    }
    Ok(text)
}

/// The records of a message. Those of unknown types are left out; a text that is no message is an error.
///
/// # Errors
/// What is wrong with the JSON.
pub fn decode(message: &str) -> Result<Vec<Record>, serde_json::Error> {
    let values: Vec<serde_json::Value> = serde_json::from_str(message)?;
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
        assert_eq!(encode(&records).unwrap(), text);
    }

    #[test]
    fn a_message_has_its_limit_with_everything_in_it() {
        let overhead = encode(&[Record::new(Kind::TaskResult, "r", "")]).unwrap().len();
        let fits = Record::new(Kind::TaskResult, "r", "x".repeat(LIMIT - overhead));
        assert_eq!(encode(&[fits]).unwrap().len(), LIMIT);
        let exceeds = Record::new(Kind::TaskResult, "r", "x".repeat(LIMIT - overhead + 1));
        let error = encode(&[exceeds]).unwrap_err();
        assert_eq!(error, TooLarge { size: LIMIT + 1 });
        assert!(error.to_string().contains("4096"));
    }

    #[test]
    fn what_newer_programs_tell_is_passed_over() {
        let decoded =
            decode(r#"[{"key":"a","value":"1","type":1},{"key":"p","value":"{}","type":5}]"#).unwrap();
        assert_eq!(decoded, [Record::new(Kind::TaskResult, "a", "1")]);
        assert!(decode("panicked at main.go").is_err());
        assert!(decode("").is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(values in proptest::collection::btree_map("[a-z]{1,8}", ".{0,40}", 0..8)) {
            let records: Vec<Record> =
                values.iter().map(|(key, value)| Record::new(Kind::TaskResult, key, value)).collect();
            prop_assert_eq!(decode(&encode(&records).unwrap()).unwrap(), records);
        }
    }
}
