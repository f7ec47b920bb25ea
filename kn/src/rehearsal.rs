//! `--dry-run`: what a command would write, without writing it.

use clap::{Args, ValueEnum};
use serde_json::Value;
use similar::TextDiff;

use crate::error::{CliError, Exit};
use crate::output::{Output, OutputArgs};

/// Lines around each change.
const AROUND: usize = 3;
/// Fields of metadata that every write changes.
const NOISE: [&str; 3] = ["managedFields", "resourceVersion", "generation"];

/// Whether to write at all.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct DryRunArgs {
    /// Write nothing, and show what would change: as this program computes it, or as the server would take it
    #[arg(long, value_name = "client|server", hide_possible_values = true)]
    dry_run: Option<DryRun>,
}

/// Who says what would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DryRun {
    #[value(hide = true)]
    None,
    Client,
    Server,
}

impl DryRunArgs {
    /// Whether, and how, to rehearse.
    pub fn rehearsal(self) -> Option<DryRun> {
        self.dry_run.filter(|how| *how != DryRun::None)
    }

    /// Whether the server shall take the request without keeping it.
    pub fn on_server(self) -> bool {
        self.dry_run == Some(DryRun::Server)
    }
}

/// Shows what would be written: in the form asked for, or as the difference to what is there.
///
/// # Errors
/// As [`OutputArgs::print`].
pub fn show(
    subject: &str,
    before: Option<&Value>,
    after: &Value,
    form: &OutputArgs,
    output: &mut Output,
) -> Result<Exit, CliError> {
    if form.print(after, output)? {
        return Ok(Exit::Success);
    }
    let difference = difference(before, after)?;
    if difference.is_empty() {
        output.line(format!("{subject} would not change (dry run)."))?;
    } else {
        output.raw(&difference)?;
        output.line(format!("\n{subject} would be written like this (dry run)."))?;
    }
    Ok(Exit::Success)
}

fn difference(before: Option<&Value>, after: &Value) -> Result<String, CliError> {
    let old = before.map(plain).transpose()?.unwrap_or_default();
    let new = plain(after)?;
    Ok(TextDiff::from_lines(&old, &new)
        .unified_diff()
        .context_radius(AROUND)
        .header("before", "after")
        .to_string())
}

/// YAML without what the server fills by itself.
fn plain(object: &Value) -> Result<String, CliError> {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
        if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.retain(|name, _| !NOISE.contains(&name.as_str()));
        }
    }
    serde_saphyr::to_string(&object)
        .map_err(|error| CliError::new(Exit::Failure, format!("cannot print as YAML: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_was_declared_is_compared() {
        let service = |image: &str, version: &str| json!({ "metadata": { "name": "web", "resourceVersion": version, "generation": 1 }, "spec": { "image": image }, "status": { "url": version } });
        assert_eq!(
            difference(Some(&service("a", "1")), &service("a", "2")).unwrap(),
            ""
        );
        let text = difference(Some(&service("a", "1")), &service("b", "2")).unwrap();
        assert!(
            text.contains("-  image: a\n+  image: b\n") && !text.contains("resourceVersion"),
            "{text}"
        );
        let new = difference(None, &service("a", "1")).unwrap();
        assert!(new.contains("+  name: web\n"), "{new}");
    }
}
