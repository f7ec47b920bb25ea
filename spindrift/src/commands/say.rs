//! What commands print for people.

use std::io::Write;

/// A line on standard output. A closed pipe is the reader's choice, not our failure.
pub fn line(text: impl AsRef<str>) {
    let _ = writeln!(anstream::stdout(), "{}", text.as_ref());
}

/// A line about progress, on standard error.
pub fn progress(text: impl AsRef<str>) {
    let _ = writeln!(anstream::stderr(), "{}", text.as_ref());
}
