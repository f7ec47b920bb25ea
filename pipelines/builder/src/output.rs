//! What a step tells: a log for people, results for the task.

use std::fs;
use std::io::Write;

use crate::error::Error;
use crate::place::RESULTS;

/// Results are bounded by what a pod can tell of itself.
const LONGEST: usize = 1000;

/// Tells the reader of the step's log.
pub(crate) fn say(text: &str) {
    // A log that nobody takes is no reason to fail.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Writes a result of the task; what is too long is cut.
pub(crate) fn result(name: &str, value: &str) -> Result<(), Error> {
    let mut end = value.len().min(LONGEST);
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    let text = value.get(..end).unwrap_or_default();
    fs::write(format!("{RESULTS}/{name}"), text)
        .map_err(|error| Error::io(format!("write the result {name}"), error))
}
