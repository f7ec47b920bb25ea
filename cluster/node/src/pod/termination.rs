//! What is told of a container's end: reason and termination message.

use std::io::Read;
use std::path::Path;

use k8s_openapi::api::core::v1::Container;

use super::facts::Ended;
use crate::logs;
use crate::shim::Exit;

/// Bytes of the message file that count (upstream: 4 KiB).
const MAX_MESSAGE_BYTES: u64 = 4096;
/// Log tail that stands in for a message (upstream: 2 KiB or 80 lines).
const MAX_LOG_BYTES: usize = 2048;
const MAX_LOG_LINES: usize = 80;

/// The file inside a run's directory that containers see at `terminationMessagePath`.
pub(super) const MESSAGE_FILE: &str = "termination-log";

/// Describes the end of a run. `dir` is the run's directory, `log` the base of its log files.
pub(super) fn describe(exit: &Exit, container: &Container, dir: &Path, log: &Path, attempt: u32) -> Ended {
    let reason = match (exit.code, exit.oom_killed) {
        (0, _) => "Completed",
        (137, true) => "OOMKilled",
        _ => "Error",
    };
    let mut message = read_message(&dir.join(MESSAGE_FILE));
    let from_log = container.termination_message_policy.as_deref() == Some("FallbackToLogsOnError");
    if message.is_empty() && from_log && exit.code != 0 {
        message = logs::tail_text(log, MAX_LOG_LINES, MAX_LOG_BYTES);
    }
    Ended {
        exit_code: exit.code,
        signal: exit.signal,
        reason: reason.to_owned(),
        message: (!message.is_empty()).then_some(message),
        started_at: exit.started_at,
        finished_at: exit.finished_at,
        attempt,
    }
}

/// The file was made by the agent but belongs to the container: it may be anything by now.
fn read_message(path: &Path) -> String {
    use rustix::fs::{Mode, OFlags, open};
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(file) = open(path, flags, Mode::empty()).map(std::fs::File::from) else {
        return String::new();
    };
    let mut text = Vec::new();
    let _ = file.take(MAX_MESSAGE_BYTES).read_to_end(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn exit(code: i32, oom_killed: bool) -> Exit {
        let now = Timestamp::from_second(5).unwrap();
        Exit {
            code,
            signal: None,
            oom_killed,
            started_at: now,
            finished_at: now,
        }
    }

    #[test]
    fn reasons_and_messages_follow_the_exit() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("0");
        std::fs::write(
            dir.path().join("0.000000.log"),
            "1970-01-01T00:00:01.000000000Z stdout F first\n1970-01-01T00:00:02.000000000Z stderr F panic\n",
        )
        .unwrap();
        let mut container = Container {
            name: "c".into(),
            ..Container::default()
        };
        let run = |container: &Container, exit: Exit| {
            let ended = describe(&exit, container, dir.path(), &log, 0);
            (ended.reason, ended.message)
        };
        assert_eq!(run(&container, exit(0, false)), ("Completed".into(), None));
        assert_eq!(run(&container, exit(137, true)), ("OOMKilled".into(), None));
        assert_eq!(run(&container, exit(1, false)), ("Error".into(), None));
        container.termination_message_policy = Some("FallbackToLogsOnError".into());
        assert_eq!(
            run(&container, exit(1, false)).1.as_deref(),
            Some("first\npanic\n")
        );
        assert_eq!(run(&container, exit(0, false)).1, None);
        std::fs::write(dir.path().join(MESSAGE_FILE), "own words").unwrap();
        assert_eq!(run(&container, exit(1, false)).1.as_deref(), Some("own words"));
        std::fs::remove_file(dir.path().join(MESSAGE_FILE)).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join(MESSAGE_FILE)).unwrap();
        assert_eq!(run(&container, exit(0, false)).1, None);
    }
}
