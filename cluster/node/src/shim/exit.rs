//! How a container ended, as recorded on disk.

use jiff::Timestamp;
use nix::sys::wait::WaitStatus;
use serde::{Deserialize, Serialize};

/// The exit record of one container run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Exit {
    /// The exit code; 128 + signal for a killed process, as a shell reports it.
    pub code: i32,
    /// The signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// Whether the kernel's out-of-memory killer struck.
    #[serde(default)]
    pub oom_killed: bool,
    /// When the container was started.
    pub started_at: Timestamp,
    /// When its first process was reaped.
    pub finished_at: Timestamp,
}

/// Exit code and signal of a reaped process.
pub(super) fn code_of(status: WaitStatus) -> Option<(i32, i32, Option<i32>)> {
    match status {
        WaitStatus::Exited(pid, code) => Some((pid.as_raw(), code, None)),
        WaitStatus::Signaled(pid, signal, _) => {
            Some((pid.as_raw(), 128 + signal as i32, Some(signal as i32)))
        }
        _ => None,
    }
}
