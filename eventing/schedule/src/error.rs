//! What is wrong with a schedule.

/// Why a text is no schedule. The words are those of the peers' parser, which admission repeats.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    #[error("empty spec string")]
    Empty,
    #[error("expected 5 to 6 fields, found {}: [{}]", .0.len(), .0.join(" "))]
    Fields(Vec<String>),
    #[error("unsupported descriptor @every")]
    Every,
    #[error("unrecognized descriptor: {0}")]
    Descriptor(String),
    #[error("failed to parse int from {text}: it is neither a number nor one of the names")]
    Number { text: String },
    #[error("too many hyphens: {0}")]
    Hyphens(String),
    #[error("too many slashes: {0}")]
    Slashes(String),
    #[error("beginning of range ({from}) below minimum ({least}): {text}")]
    Below { from: u8, least: u8, text: String },
    #[error("end of range ({to}) above maximum ({most}): {text}")]
    Above { to: u8, most: u8, text: String },
    #[error("beginning of range ({from}) beyond end of range ({to}): {text}")]
    Backwards { from: u8, to: u8, text: String },
    #[error("step of range should be a positive number: {0}")]
    Step(String),
    #[error("provided bad location {0}: unknown time zone {0}")]
    Zone(String),
    #[error("the time zone is given twice: {0:?} in the schedule, {1:?} beside it")]
    TwoZones(String, String),
    #[error("no time within five years fits the schedule")]
    Never,
}

impl ScheduleError {
    /// Whether the time zone is at fault, which is another field than the schedule.
    pub fn is_zone(&self) -> bool {
        matches!(self, Self::Zone(_))
    }
}
