//! What the end of a step means for its container, for the steps after it, and for the TaskRun.

use crate::flags::OnError;
use crate::message::{EXIT_CODE, REASON, Record, reason};

/// Exit code of a step that was cancelled.
const CANCELLED: i32 = 9;

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Exited(i32),
    Killed(i32),
    /// The step took longer than it may.
    TimedOut,
    /// The command could not be started.
    NotStarted,
    /// The run was cancelled, and its pod stays.
    Cancelled,
    /// An earlier step failed.
    Skipped,
    /// Its own conditions do not hold.
    Unneeded,
    /// Somebody let it fail at the breakpoint before it.
    HeldBack,
    /// A signal came while the step waited.
    Stopped(i32),
    /// Its results do not fit.
    TooLarge,
}

/// What is left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Of the container.
    pub exit: i32,
    /// Does the next step run?
    pub passed: bool,
    /// What `$(steps.step-<name>.exitCode.path)` holds; `None` is no file.
    pub exit_code: Option<i32>,
    pub record: Option<Record>,
}

/// The table of `pipelines.md`: what users' scripts and the TaskRun see of each end.
pub(crate) fn outcome(end: End, on_error: OnError) -> Outcome {
    let failed = |exit, record| Outcome {
        exit,
        passed: false,
        exit_code: None,
        record,
    };
    let because = |reason| Some(Record::internal(REASON, reason));
    match (end, on_error) {
        (End::Exited(0), _) => Outcome {
            exit: 0,
            passed: true,
            exit_code: Some(0),
            record: None,
        },
        (End::Exited(_) | End::Killed(_), OnError::Continue) => {
            let code = shell_code(end);
            Outcome {
                exit: 0,
                passed: true,
                exit_code: Some(code),
                record: Some(Record::internal(EXIT_CODE, code.to_string())),
            }
        }
        (End::Exited(_) | End::Killed(_) | End::Stopped(_), _) => failed(shell_code(end), None),
        (End::TimedOut, _) => failed(1, because(reason::TIMED_OUT)),
        (End::Cancelled, _) => Outcome {
            exit_code: Some(CANCELLED),
            ..failed(CANCELLED, because(reason::CANCELLED))
        },
        (End::Unneeded, _) => Outcome {
            exit: 0,
            passed: true,
            exit_code: Some(0),
            record: because(reason::SKIPPED),
        },
        (End::Skipped, _) => failed(1, because(reason::SKIPPED)),
        (End::TooLarge, _) => failed(1, because(reason::TOO_LARGE)),
        (End::NotStarted | End::HeldBack, _) => failed(1, None),
    }
}

/// The code as a shell tells it.
fn shell_code(end: End) -> i32 {
    match end {
        End::Exited(code) => code,
        End::Killed(signal) | End::Stopped(signal) => 128 + signal,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_has_its_row() {
        let record = |key, value: &str| Some(Record::internal(key, value));
        let (stop, go_on) = (OnError::StopAndFail, OnError::Continue);
        for (end, on_error, exit, passed, exit_code, expected) in [
            (End::Exited(0), stop, 0, true, Some(0), None),
            (End::Exited(0), go_on, 0, true, Some(0), None),
            (End::Exited(3), stop, 3, false, None, None),
            (End::Exited(3), go_on, 0, true, Some(3), record(EXIT_CODE, "3")),
            (End::Killed(9), stop, 137, false, None, None),
            (
                End::Killed(9),
                go_on,
                0,
                true,
                Some(137),
                record(EXIT_CODE, "137"),
            ),
            (
                End::TimedOut,
                stop,
                1,
                false,
                None,
                record(REASON, "TimeoutExceeded"),
            ),
            (
                End::TimedOut,
                go_on,
                1,
                false,
                None,
                record(REASON, "TimeoutExceeded"),
            ),
            (
                End::Cancelled,
                go_on,
                9,
                false,
                Some(9),
                record(REASON, "Cancelled"),
            ),
            (End::Skipped, go_on, 1, false, None, record(REASON, "Skipped")),
            (End::Unneeded, stop, 0, true, Some(0), record(REASON, "Skipped")),
            (End::Stopped(15), go_on, 143, false, None, None),
            (End::NotStarted, go_on, 1, false, None, None),
            (End::HeldBack, go_on, 1, false, None, None),
            (
                End::TooLarge,
                stop,
                1,
                false,
                None,
                record(REASON, reason::TOO_LARGE),
            ),
        ] {
            let expected = Outcome {
                exit,
                passed,
                exit_code,
                record: expected,
            };
            assert_eq!(outcome(end, on_error), expected, "{end:?} {on_error:?}");
        }
    }
}
