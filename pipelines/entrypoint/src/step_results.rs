//! `$(steps.<step>.results.<result>)`: what earlier steps of the same TaskRun found out, known only when this one begins.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::artifacts;

const OPENING: &str = "$(steps.";

/// Reads the results of earlier steps.
pub(crate) struct StepResults {
    steps: PathBuf,
    /// May artifacts be asked for, too?
    artifacts: bool,
}

/// A reference without its `$(` and `)`.
#[derive(Debug, PartialEq, Eq)]
struct Reference<'a> {
    step: &'a str,
    result: &'a str,
    part: Part<'a>,
}

#[derive(Debug, PartialEq, Eq)]
enum Part<'a> {
    Whole,
    /// `[*]`
    Each,
    /// `[i]`
    Index(usize),
    Key(&'a str),
}

impl StepResults {
    pub(crate) fn new(steps: &Path) -> Self {
        Self {
            steps: steps.to_path_buf(),
            artifacts: false,
        }
    }

    /// The same, and of their artifacts if those may be asked for.
    pub(crate) fn with_artifacts(self, artifacts: bool) -> Self {
        Self { artifacts, ..self }
    }

    pub(crate) fn knows_artifacts(&self) -> bool {
        self.artifacts
    }

    /// A command with the references in it replaced; one that stands for every item of an array becomes as many words.
    pub(crate) fn in_list(&self, words: &[String]) -> io::Result<Vec<String>> {
        let mut replaced = Vec::with_capacity(words.len());
        for word in words {
            let whole = word
                .strip_prefix("$(")
                .and_then(|word| word.strip_suffix(')'))
                .and_then(parse)
                .filter(|reference| reference.part == Part::Each);
            match whole {
                Some(reference) => replaced.extend(self.items(&reference)?),
                None => replaced.push(self.in_text(word)?),
            }
        }
        Ok(replaced)
    }

    /// The variables whose values have references, with these replaced.
    pub(crate) fn in_variables(
        &self,
        variables: impl Iterator<Item = (OsString, OsString)>,
    ) -> io::Result<Vec<(String, String)>> {
        variables
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(_, value)| value.contains(OPENING))
            .map(|(name, value)| Ok((name, self.in_text(&value)?)))
            .collect()
    }

    /// A text with the references in it replaced.
    pub(crate) fn in_text(&self, text: &str) -> io::Result<String> {
        replaced(text, |inside, _| match parse(inside) {
            Some(reference) => self.value(&reference).map(Some),
            None => self.artifact(inside),
        })
    }

    /// A script with the references to artifacts in it replaced. Those to results stay: a script is no place for them.
    pub(crate) fn artifacts_in(&self, script: &str) -> io::Result<String> {
        // Of a script Kubernetes takes no `$` away.
        replaced(script, |inside, before| match before.ends_with('$') {
            true => Ok(None),
            false => self.artifact(inside),
        })
    }

    fn artifact(&self, inside: &str) -> io::Result<Option<String>> {
        let reference = artifacts::Reference::parse(inside).filter(|_| self.artifacts);
        reference.map(|found| found.value(&self.steps)).transpose()
    }

    fn read(&self, reference: &Reference<'_>) -> io::Result<String> {
        let folder = self
            .steps
            .join(format!("step-{}", reference.step))
            .join("results");
        fs::read_to_string(folder.join(reference.result)).map_err(|error| {
            let text = format!(
                "result {:?} of step {:?}: {error}",
                reference.result, reference.step
            );
            io::Error::new(error.kind(), text)
        })
    }

    fn value(&self, reference: &Reference<'_>) -> io::Result<String> {
        let text = self.read(reference)?;
        let part = match reference.part {
            Part::Whole => return Ok(text),
            Part::Each => None,
            Part::Index(index) => parsed(&text).and_then(|value| value.get(index).cloned()),
            Part::Key(key) => parsed(&text).and_then(|value| value.get(key).cloned()),
        };
        part.and_then(|part| part.as_str().map(str::to_owned))
            .ok_or_else(|| no_such_part(reference))
    }

    fn items(&self, reference: &Reference<'_>) -> io::Result<Vec<String>> {
        let text = self.read(reference)?;
        serde_json::from_str(&text).map_err(|_| no_such_part(reference))
    }
}

/// A text in which everything between `$(steps.` and `)` is what `value` makes of it, which also gets what is before;
/// what it makes nothing of stays.
fn replaced(
    text: &str,
    mut value: impl FnMut(&str, &str) -> io::Result<Option<String>>,
) -> io::Result<String> {
    let mut replaced = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(OPENING) {
        let (before, from) = rest.split_at(start);
        replaced.push_str(before);
        let inside = from
            .find(')')
            .and_then(|end| Some((from.get(2..end)?, from.get(end + 1..)?)));
        let found = match inside {
            Some((inside, after)) => value(inside, before)?.map(|value| (value, after)),
            None => None,
        };
        rest = match found {
            Some((value, after)) => {
                replaced.push_str(&value);
                after
            }
            // Not a reference: it stays as it is.
            None => {
                replaced.push_str("$(");
                from.get(2..).unwrap_or_default()
            }
        };
    }
    replaced.push_str(rest);
    Ok(replaced)
}

fn parsed(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}

fn no_such_part(reference: &Reference<'_>) -> io::Error {
    let Reference { step, result, part } = reference;
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("result {result:?} of step {step:?} has no {part:?}"),
    )
}

/// Reads `steps.<step>.results.<result>` with `[*]`, `[i]` or `.key` behind it.
fn parse(text: &str) -> Option<Reference<'_>> {
    let (step, rest) = text.strip_prefix("steps.")?.split_once(".results.")?;
    let is_name = |name: &str| {
        !name.is_empty()
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    };
    let (result, part) = if let Some(result) = rest.strip_suffix("[*]") {
        (result, Part::Each)
    } else if let Some((result, index)) = rest.strip_suffix(']').and_then(|rest| rest.split_once('[')) {
        (result, Part::Index(index.parse().ok()?))
    } else if let Some((result, key)) = rest.split_once('.') {
        (result, Part::Key(key))
    } else {
        (rest, Part::Whole)
    };
    (is_name(step) && is_name(result)).then_some(Reference { step, result, part })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results() -> (tempfile::TempDir, StepResults) {
        let folder = tempfile::tempdir().unwrap();
        let results = folder.path().join("step-build/results");
        fs::create_dir_all(&results).unwrap();
        fs::write(results.join("digest"), "sha256:1$(steps.build.results.list[0])").unwrap();
        fs::write(results.join("list"), r#"["a","b c"]"#).unwrap();
        fs::write(results.join("map"), r#"{"k":"v"}"#).unwrap();
        let found = StepResults::new(folder.path());
        (folder, found)
    }

    #[test]
    fn references_are_replaced_once() {
        let (_folder, found) = results();
        let digest = "sha256:1$(steps.build.results.list[0])";
        for (text, expected) in [
            ("plain", "plain"),
            ("$(steps.build.results.map.k)!", "v!"),
            ("$(steps.build.results.list[1])", "b c"),
            ("$(steps.build.results.digest)", digest),
            (
                "$(steps.build.exitCode.path) $(steps.",
                "$(steps.build.exitCode.path) $(steps.",
            ),
        ] {
            assert_eq!(found.in_text(text).unwrap(), expected);
        }
        let words = ["a", "$(steps.build.results.list[*])"].map(str::to_owned);
        assert_eq!(found.in_list(&words).unwrap(), ["a", "a", "b c"]);
    }

    #[test]
    fn artifacts_are_replaced_where_they_are_known() {
        let (folder, found) = results();
        let made = folder.path().join("step-build/artifacts");
        fs::create_dir_all(&made).unwrap();
        fs::write(
            made.join("provenance.json"),
            r#"{"outputs": [{"name": "i", "values": [1]}]}"#,
        )
        .unwrap();
        let text = "$(steps.build.outputs.i) $(steps.build.results.map.k)";
        assert_eq!(found.in_text(text).unwrap(), "$(steps.build.outputs.i) v");
        let found = found.with_artifacts(true);
        assert_eq!(found.in_text(text).unwrap(), "[1] v");
        assert_eq!(
            found.artifacts_in(&format!("$({text}; ${text}")).unwrap(),
            "$([1] $(steps.build.results.map.k); $$(steps.build.outputs.i) $(steps.build.results.map.k)"
        );
        assert!(found.artifacts_in("$(steps.build.outputs.absent)").is_err());
    }

    #[test]
    fn a_result_that_is_not_there_is_named() {
        let (_folder, found) = results();
        for text in [
            "$(steps.build.results.absent)",
            "$(steps.other.results.digest)",
            "$(steps.build.results.list[7])",
            "$(steps.build.results.map.z)",
            "z$(steps.build.results.list[*])",
        ] {
            let error = found.in_text(text).unwrap_err().to_string();
            assert!(error.starts_with("result "), "{error}");
        }
    }

    #[test]
    fn a_name_cannot_lead_out_of_the_folder() {
        assert_eq!(parse("steps.../../x.results.y"), None);
        assert_eq!(parse("steps.a.results./etc/passwd"), None);
        assert_eq!(parse("steps.a.results.."), None);
    }
}
