//! Lines of logs, and what they begin with.

use std::collections::HashMap;
use std::io;

use futures::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

/// Longest line, in bytes; a longer one goes on as the next.
const LONGEST: u64 = 1 << 20;
/// Colours of prefixes, in turn; the stream takes them out where nobody would see them.
const COLOURS: [u8; 6] = [36, 32, 33, 35, 34, 31];

/// What a reader of logs has to tell.
#[derive(Debug)]
pub enum Line {
    /// A line of a step's log.
    Log {
        /// Name of the task within the pipeline; none for the run of a task alone.
        task: Option<String>,
        step: String,
        text: String,
    },
    /// Something that cannot be read.
    Trouble(String),
}

/// Reads one line without its end; `None` at the end of the log. What is no UTF-8 is replaced.
pub async fn read(log: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    log.take(LONGEST).read_until(b'\n', &mut bytes).await?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&bytes);
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(Some(text.strip_suffix('\r').unwrap_or(text).to_owned()))
}

/// Gives each step its prefix.
#[derive(Debug)]
pub struct Prefixes {
    /// Whether there are any.
    shown: bool,
    colours: HashMap<String, u8>,
}

impl Prefixes {
    /// No step has a colour yet.
    pub fn new(shown: bool) -> Self {
        Self {
            shown,
            colours: HashMap::new(),
        }
    }

    /// `[task : step] text`, or `[step] text`.
    pub fn line(&mut self, task: Option<&str>, step: &str, text: &str) -> String {
        if !self.shown {
            return text.to_owned();
        }
        let name = match task {
            Some(task) => format!("{task} : {step}"),
            None => step.to_owned(),
        };
        let next = COLOURS
            .get(self.colours.len() % COLOURS.len())
            .copied()
            .unwrap_or_default();
        let colour = *self.colours.entry(name.clone()).or_insert(next);
        format!("\u{1b}[{colour}m[{name}]\u{1b}[0m {text}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_keeps_its_colour() {
        let mut prefixes = Prefixes::new(true);
        assert_eq!(
            prefixes.line(Some("build"), "a", "x"),
            "\u{1b}[36m[build : a]\u{1b}[0m x"
        );
        assert_eq!(prefixes.line(None, "b", "y"), "\u{1b}[32m[b]\u{1b}[0m y");
        assert_eq!(
            prefixes.line(Some("build"), "a", "z"),
            "\u{1b}[36m[build : a]\u{1b}[0m z"
        );
        prefixes.shown = false;
        assert_eq!(prefixes.line(Some("build"), "a", "x"), "x");
    }

    #[tokio::test]
    async fn lines_are_read_as_they_are() {
        let long = "x".repeat(usize::try_from(LONGEST).unwrap());
        let bytes = [b"a\r\n\nb\xff\n".as_slice(), long.as_bytes(), b"y\nend"].concat();
        let mut log = futures::io::Cursor::new(bytes);
        let mut lines = Vec::new();
        while let Some(line) = read(&mut log).await.unwrap() {
            lines.push(line);
        }
        assert_eq!(lines, ["a", "", "b\u{fffd}", &long, "y", "end"]);
    }
}
