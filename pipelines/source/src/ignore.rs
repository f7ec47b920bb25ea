//! What `.gitignore` and `.dockerignore` leave out.

use std::path::Path;

use regex::Regex;

/// Longer lists are no lists.
const MAX_PATTERNS: usize = 10_000;

/// A pattern that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct PatternError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong.
    pub reason: String,
}

/// The patterns of one file.
#[derive(Debug, Default)]
pub struct Ignore {
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    pattern: Regex,
    /// Takes back what an earlier pattern left out.
    keeps: bool,
    folders_only: bool,
}

impl Ignore {
    /// The patterns of a `.gitignore` (gitignore(5)).
    ///
    /// # Errors
    /// [`PatternError`].
    pub fn git(text: &str) -> Result<Self, PatternError> {
        Self::read(text, |pattern| {
            // A slash anywhere but at the end binds a pattern to the folder of its file.
            let bound = pattern.trim_end_matches('/').contains('/');
            let bare = pattern.trim_start_matches('/');
            if bound || bare.starts_with("**/") {
                bare.to_owned()
            } else {
                format!("**/{bare}")
            }
        })
    }

    /// The patterns of a `.dockerignore`: all of them are bound to the folder.
    ///
    /// # Errors
    /// [`PatternError`].
    pub fn docker(text: &str) -> Result<Self, PatternError> {
        Self::read(text, |pattern| {
            let bare = pattern.trim().trim_start_matches('/');
            bare.trim_start_matches("./").to_owned()
        })
    }

    fn read(text: &str, bound: impl Fn(&str) -> String) -> Result<Self, PatternError> {
        let mut rules = Vec::new();
        for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let refuse = |reason: String| PatternError {
                line: index + 1,
                reason,
            };
            let line = trim(line);
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (keeps, pattern) = match line.strip_prefix('!') {
                Some(rest) => (true, rest),
                None => (
                    false,
                    line.strip_prefix('\\')
                        .filter(|rest| rest.starts_with(['!', '#']))
                        .unwrap_or(line),
                ),
            };
            let folders_only = pattern.ends_with('/');
            let whole = bound(pattern);
            let glob = whole.trim_end_matches('/');
            if glob.is_empty() {
                continue;
            }
            if rules.len() >= MAX_PATTERNS {
                return Err(refuse(format!("there are more than {MAX_PATTERNS} patterns")));
            }
            let pattern = Regex::new(&expression(glob)).map_err(|error| refuse(error.to_string()))?;
            rules.push(Rule {
                pattern,
                keeps,
                folders_only,
            });
        }
        Ok(Self { rules })
    }

    /// What the patterns say about `path`, relative to the folder of their file: `Some(true)` leaves it out,
    /// `Some(false)` keeps it, `None` is nothing. What lies in a folder that is left out is not asked about.
    pub fn decide(&self, path: &Path, is_folder: bool) -> Option<bool> {
        let path = path.to_string_lossy();
        let matching = |rule: &&Rule| (is_folder || !rule.folders_only) && rule.pattern.is_match(&path);
        self.rules.iter().rev().find(matching).map(|rule| !rule.keeps)
    }

    /// Does any pattern take something back? Then a folder that is left out may still hold what is not.
    pub fn has_exceptions(&self) -> bool {
        self.rules.iter().any(|rule| rule.keeps)
    }
}

/// Without the white space at the end, unless it is escaped.
fn trim(line: &str) -> &str {
    let trimmed = line.trim_end();
    if trimmed.ends_with('\\') && trimmed.len() < line.len() {
        return line.get(..=trimmed.len()).unwrap_or(trimmed);
    }
    trimmed
}

/// A glob as a regular expression: `*` and `?` stay within a name, `**` goes over names.
fn expression(glob: &str) -> String {
    let mut out = String::from("(?s)^");
    let mut rest = glob;
    while let Some(letter) = rest.chars().next() {
        if rest == "/**" {
            out.push_str("/.+");
            break;
        }
        if let Some(after) = rest.strip_prefix("**/") {
            out.push_str("(?:.*/)?");
            rest = after;
            continue;
        }
        if let Some(after) = rest.strip_prefix("**") {
            out.push_str(".*");
            rest = after;
            continue;
        }
        rest = rest.get(letter.len_utf8()..).unwrap_or_default();
        match letter {
            '*' => out.push_str("[^/]*"),
            '?' => out.push_str("[^/]"),
            '[' => match class(rest) {
                Some((class, after)) => {
                    out.push_str(&class);
                    rest = after;
                }
                None => out.push_str("\\["),
            },
            '\\' => {
                let next = rest.chars().next();
                out.push_str(&regex::escape(
                    &next.map_or_else(|| "\\".to_owned(), String::from),
                ));
                rest = rest.get(next.map_or(0, char::len_utf8)..).unwrap_or_default();
            }
            other => out.push_str(&regex::escape(&other.to_string())),
        }
    }
    out.push('$');
    out
}

/// `[a-z]`, of which the first bracket has been read, and what comes after it.
fn class(text: &str) -> Option<(String, &str)> {
    let (negated, body) = match text.strip_prefix(['!', '^']) {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    // A bracket that comes first is one of the letters.
    let first = body.chars().next()?.len_utf8();
    let end = first + body.get(first..)?.find(']')?;
    let mut letters = String::new();
    for letter in body.get(..end)?.chars() {
        match letter {
            '-' => letters.push('-'),
            letter if letter.is_alphanumeric() => letters.push(letter),
            other => letters.extend(['\\', other]),
        }
    }
    let not = if negated { "^/" } else { "" };
    Some((format!("[{not}{letters}]"), body.get(end + 1..)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn gitignore_patterns() {
        for (patterns, path, folder, expected) in [
            ("*.log", "a.log", false, Some(true)),
            ("*.log", "deep/a.log", false, Some(true)),
            ("*.log", "a.logs", false, None),
            ("/target", "target", true, Some(true)),
            ("/target", "a/target", true, None),
            ("target/", "a/target", true, Some(true)),
            ("target/", "target", false, None),
            ("a/b", "a/b", false, Some(true)),
            ("a/b", "x/a/b", false, None),
            ("a/**/b", "a/b", false, Some(true)),
            ("a/**/b", "a/x/y/b", false, Some(true)),
            ("a/**", "a/x", false, Some(true)),
            ("a/**", "a", true, None),
            ("**/x", "a/b/x", false, Some(true)),
            ("*.log\n!keep.log", "keep.log", false, Some(false)),
            ("!keep.log\n*.log", "keep.log", false, Some(true)),
            ("# no\n\n  ", "# no", false, None),
            ("\\#yes", "#yes", false, Some(true)),
            ("\\!yes", "!yes", false, Some(true)),
            ("fil?.tx[ts]", "file.txs", false, Some(true)),
            ("[!a]x", "bx", false, Some(true)),
            ("[!a]x", "ax", false, None),
            ("a b  ", "a b", false, Some(true)),
            ("a.b", "axb", false, None),
            ("foo[", "foo[", false, Some(true)),
        ] {
            let ignore = Ignore::git(patterns).unwrap();
            assert_eq!(
                ignore.decide(Path::new(path), folder),
                expected,
                "{patterns:?} {path}"
            );
        }
    }

    #[test]
    fn dockerignore_patterns_are_bound_to_the_folder() {
        for (patterns, path, expected) in [
            ("node_modules", "node_modules", Some(true)),
            ("node_modules", "a/node_modules", None),
            ("**/node_modules", "a/node_modules", Some(true)),
            ("./x", "x", Some(true)),
            ("*\n!src", "src", Some(false)),
        ] {
            let ignore = Ignore::docker(patterns).unwrap();
            assert_eq!(
                ignore.decide(Path::new(path), false),
                expected,
                "{patterns:?} {path}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "[\\PC\n]{0,60}", path in "\\PC{0,20}") {
            if let Ok(ignore) = Ignore::git(&text) {
                ignore.decide(Path::new(&path), false);
            }
        }
    }
}
