//! Signals by number and by name, as images and Kubernetes objects write them.

use nix::sys::signal::Signal;
use nix::unistd::Pid;

/// Ends a process without asking it.
pub const KILL: i32 = Signal::SIGKILL as i32;
/// Asks a process to end.
pub const TERM: i32 = Signal::SIGTERM as i32;

/// Sends a signal; a process that is gone is no error, because that is what most senders want.
pub fn kill(pid: i32, number: i32) {
    if pid > 0
        && let Ok(signal) = Signal::try_from(number)
    {
        let _ = nix::sys::signal::kill(Pid::from_raw(pid), signal);
    }
}

/// Reads `SIGTERM`, `TERM` or `15`, the forms of an image's stop signal.
pub fn parse(text: &str) -> Option<i32> {
    let text = text.trim();
    if let Ok(number) = text.parse::<i32>() {
        return Signal::try_from(number).ok().map(|signal| signal as i32);
    }
    let upper = text.to_ascii_uppercase();
    let name = if upper.starts_with("SIG") {
        upper
    } else {
        format!("SIG{upper}")
    };
    name.parse::<Signal>().ok().map(|signal| signal as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_forms_of_a_stop_signal() {
        for (text, number) in [
            ("SIGTERM", Some(15)),
            ("quit", Some(3)),
            ("9", Some(9)),
            ("SIGFOO", None),
            ("0", None),
        ] {
            assert_eq!(parse(text), number, "{text}");
        }
    }
}
