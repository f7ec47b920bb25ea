//! A container that holds a place and does nothing.

use std::io;

use nix::sys::signal::Signal;

use crate::signals::Signals;

/// Waits to be told to end. Without this the kernel would drop the signal: the process is the first of its container.
pub(crate) fn run() -> io::Result<()> {
    let mut signals = Signals::block()?;
    loop {
        signals.wait(None, None)?;
        while let Some(signal) = signals.take() {
            if ends(signal) {
                return Ok(());
            }
        }
    }
}

fn ends(signal: i32) -> bool {
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT]
        .map(|ending| ending as i32)
        .contains(&signal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_when_it_is_told_and_not_before() {
        for (signal, expected) in [
            (Signal::SIGTERM, true),
            (Signal::SIGINT, true),
            (Signal::SIGCHLD, false),
            (Signal::SIGHUP, false),
        ] {
            assert_eq!(ends(signal as i32), expected, "{signal}");
        }
    }
}
