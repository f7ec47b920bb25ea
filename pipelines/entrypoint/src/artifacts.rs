//! `$(steps.<step>.outputs.<artifact>)` and `.inputs.`: what earlier steps of the same TaskRun say they made and took in;
//! and what this one says, for the TaskRun.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::flags::Flags;
use crate::message::{Kind, Record};
use crate::paths::{PROVENANCE, SCRIPTS};
use crate::results;
use crate::step_results::StepResults;

/// Folder of the provenance of one step, in what it tells about itself.
pub(crate) const OF_STEP: &str = "artifacts";
/// The script of this step with what earlier ones made in it, beside the rest that it tells about itself.
const SCRIPT: &str = "script";
const SCRIPT_MODE: u32 = 0o755;

/// A reference without its `$(` and `)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reference<'a> {
    step: &'a str,
    /// `inputs` or `outputs`.
    list: &'a str,
    name: &'a str,
}

impl<'a> Reference<'a> {
    /// Reads `steps.<step>.outputs.<artifact>`; the artifact may have dots in its name.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (step, rest) = text.strip_prefix("steps.")?.split_once('.')?;
        let (list, name) = rest.split_once('.')?;
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let fits = !step.is_empty()
            && step.chars().all(is_word)
            && matches!(list, "inputs" | "outputs")
            && !name.is_empty()
            && name.chars().all(|c| is_word(c) || c == '.');
        fits.then_some(Self { step, list, name })
    }

    /// The values of the artifact, as JSON.
    ///
    /// # Errors
    /// If the step says nothing of it.
    pub(crate) fn value(&self, steps: &Path) -> io::Result<String> {
        let Self { step, list, name } = self;
        let about = |kind: io::ErrorKind, why: &dyn std::fmt::Display| {
            io::Error::new(
                kind,
                format!("artifact {name:?} among the {list} of step {step:?}: {why}"),
            )
        };
        let file = steps.join(format!("step-{step}")).join(OF_STEP).join(PROVENANCE);
        let text = results::read_one(&file).ok_or_else(|| {
            about(
                io::ErrorKind::NotFound,
                &"the step has written no provenance.json",
            )
        })?;
        let provenance: Value =
            serde_json::from_str(&text).map_err(|error| about(io::ErrorKind::InvalidData, &error))?;
        let all = provenance.get(list).and_then(Value::as_array);
        let found = all.into_iter().flatten().find(|artifact| {
            let found = artifact.get("name").and_then(Value::as_str);
            found == Some(name)
        });
        found
            .and_then(|artifact| artifact.get("values"))
            .map(Value::to_string)
            .ok_or_else(|| about(io::ErrorKind::NotFound, &"there is none of that name"))
    }
}

/// What the step says of itself and of the Task, as far as it says something.
pub(crate) fn told(flags: &Flags) -> Vec<Record> {
    if !flags.artifacts {
        return Vec::new();
    }
    let of_step = flags
        .step_metadata_dir
        .as_ref()
        .map(|metadata| (Kind::StepArtifacts, metadata.join(OF_STEP).join(PROVENANCE)));
    let of_task = (Kind::TaskArtifacts, flags.artifacts_dir.join(PROVENANCE));
    let files = of_step.into_iter().chain([of_task]);
    files
        .filter_map(|(kind, file)| {
            Some(Record::new(
                kind,
                file.to_string_lossy(),
                results::read_one(&file)?,
            ))
        })
        .collect()
}

/// The command, with a script of the Task in it replaced by one in which the references stand for their values.
///
/// # Errors
/// If an earlier step says nothing of what is asked for, or the script cannot be written.
pub(crate) fn in_script(
    command: Vec<String>,
    earlier: &StepResults,
    metadata: Option<&Path>,
) -> io::Result<Vec<String>> {
    let (Some(metadata), Some(script)) = (metadata, command.first().map(PathBuf::from)) else {
        return Ok(command);
    };
    if !earlier.knows_artifacts() || !script.starts_with(SCRIPTS) {
        return Ok(command);
    }
    let text = fs::read_to_string(&script)?;
    let filled = earlier.artifacts_in(&text)?;
    if filled == text {
        return Ok(command);
    }
    let place = metadata.join(SCRIPT);
    fs::create_dir_all(metadata)?;
    fs::write(&place, filled)?;
    fs::set_permissions(&place, Permissions::from_mode(SCRIPT_MODE))?;
    let mut words = command;
    if let Some(first) = words.first_mut() {
        *first = place.to_string_lossy().into_owned();
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn artifacts_are_found_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let of_build = folder.path().join("step-build/artifacts");
        fs::create_dir_all(&of_build).unwrap();
        let provenance = r#"{
            "inputs": [{"name": "source", "values": [{"uri": "git+https://h/r", "digest": {"sha1": "a"}}]}],
            "outputs": [{"name": "image.main", "buildOutput": true, "values": [{"uri": "pkg:oci/i"}]}, {"name": "empty"}]
        }"#;
        fs::write(of_build.join(PROVENANCE), provenance).unwrap();
        let value = |text: &str| Reference::parse(text).unwrap().value(folder.path());
        assert_eq!(
            value("steps.build.inputs.source").unwrap(),
            r#"[{"digest":{"sha1":"a"},"uri":"git+https://h/r"}]"#
        );
        assert_eq!(
            value("steps.build.outputs.image.main").unwrap(),
            r#"[{"uri":"pkg:oci/i"}]"#
        );
        for (text, why) in [
            ("steps.build.outputs.source", "none of that name"),
            ("steps.build.outputs.empty", "none of that name"),
            ("steps.other.outputs.image", "no provenance.json"),
        ] {
            let error = value(text).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        fs::write(of_build.join(PROVENANCE), "no JSON").unwrap();
        assert!(value("steps.build.inputs.source").is_err());
        for text in [
            "steps.build.results.source",
            "steps.build.outputs",
            "steps.build.outputs.",
            "steps.../x.outputs.a",
            "steps.a.outputs./etc",
            "tasks.a.outputs.b",
        ] {
            assert_eq!(Reference::parse(text), None, "{text}");
        }
    }
}
