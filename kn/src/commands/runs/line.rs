//! Lines of logs, and what they begin with.

use std::collections::HashMap;
use std::io;

use futures::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};
use serde_json::Value;

use crate::commands::list::text;

/// Longest line, in bytes; a longer one goes on as the next.
const LONGEST: u64 = 1 << 20;
/// Colours of prefixes, in turn; the stream takes them out where nobody would see them.
const COLOURS: [u8; 6] = [36, 32, 33, 35, 34, 31];

/// How lines begin by which a step hands over results that fit nowhere else: docs/decisions/0012-large-results.md.
const RESULTS: &str = "tekton-results:";

/// Whether a line is for the controller: part of a result, and not what the step has said. With `timestamps`, it begins
/// with its time.
pub fn is_result(line: &str, timestamps: bool) -> bool {
    let said = match timestamps {
        true => line.split_once(' ').map_or("", |(_, said)| said),
        false => line,
    };
    said.strip_prefix(RESULTS)
        .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
}

/// What is said instead of such lines.
pub fn results(step: &str, task_run: &str, lines: usize) -> Option<Line> {
    (lines > 0).then(|| {
        Line::Trouble(format!(
            "step '{step}': {lines} more lines are its results: `kn taskrun describe {task_run}` shows them"
        ))
    })
}

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

/// A line as the archive keeps it. Its text begins with its time, which is shown only if that is wanted.
pub fn archived(line: &Value, task: Option<&str>, timestamps: bool) -> Line {
    let step = text(line, "/step");
    if let Some(dropped) = line["dropped"].as_u64() {
        return Line::Trouble(format!(
            "step '{step}': {dropped} bytes before this were not kept"
        ));
    }
    if let Some(error) = line["error"].as_str() {
        return Line::Trouble(format!("step '{step}': the rest was not kept: {error}"));
    }
    let whole = text(line, "/log");
    let shown = match whole.split_once(' ') {
        Some((_, rest)) if !timestamps => rest.to_owned(),
        None if !timestamps => String::new(),
        _ => whole,
    };
    Line::Log {
        task: task.map(str::to_owned),
        step,
        text: shown,
    }
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

    #[test]
    fn lines_of_the_archive_are_shown_like_others() {
        let shown = |line: Value, timestamps: bool| match archived(&line, Some("t"), timestamps) {
            Line::Log { task, step, text } => format!("{}/{step} {text}", task.unwrap()),
            Line::Trouble(text) => text,
        };
        let line = serde_json::json!({ "step": "a", "log": "2026-01-01T00:00:00Z two words" });
        assert_eq!(shown(line.clone(), false), "t/a two words");
        assert_eq!(shown(line, true), "t/a 2026-01-01T00:00:00Z two words");
        for (line, expected) in [
            (
                serde_json::json!({ "step": "a", "log": "2026-01-01T00:00:00Z" }),
                "t/a ",
            ),
            (
                serde_json::json!({ "step": "a", "dropped": 7 }),
                "step 'a': 7 bytes before this were not kept",
            ),
            (
                serde_json::json!({ "step": "a", "error": "cut" }),
                "step 'a': the rest was not kept: cut",
            ),
        ] {
            assert_eq!(shown(line, false), expected);
        }
    }

    #[test]
    fn results_are_no_speech() {
        for (line, timestamps, expected) in [
            ("tekton-results:0/2:AAAA", false, true),
            ("2026-01-01T00:00:00Z tekton-results:1/2:AAAA", true, true),
            ("2026-01-01T00:00:00Z tekton-results:1/2:AAAA", false, false),
            ("tekton-results: none", false, false),
            ("say tekton-results:0/2:AAAA", false, false),
            ("tekton-results:0/2:AAAA", true, false),
        ] {
            assert_eq!(is_result(line, timestamps), expected, "{line}");
        }
        assert!(results("a", "t", 0).is_none());
        let Some(Line::Trouble(note)) = results("a", "t", 3) else {
            unreachable!("no note")
        };
        assert_eq!(
            note,
            "step 'a': 3 more lines are its results: `kn taskrun describe t` shows them"
        );
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
