//! Reads the files that flags name, once, before anything is decided.

use std::io::{self, Read};
use std::path::Path;

use super::env::EnvFlag;
use super::pod::PodArgs;
use super::service::ServiceArgs;
use crate::change;
use crate::config_file::ConfigFile;
use crate::error::{CliError, Exit};

/// Longest file that is read, in bytes; a service and its environment are far smaller, and the API takes 3 MiB.
const LONGEST: u64 = 4 << 20;

/// Reads a file, or standard input for `-`.
///
/// # Errors
/// Names the file.
pub fn text(flag: &str, path: &str) -> Result<String, CliError> {
    let wrong =
        |error: io::Error| CliError::new(Exit::Usage, format!("cannot read --{flag} {path}: {error}"));
    let mut text = String::new();
    let read = if path == "-" {
        io::stdin().lock().take(LONGEST + 1).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_string(&mut text))
    };
    read.map_err(wrong)?;
    if text.len() as u64 > LONGEST {
        return Err(CliError::usage(format!(
            "--{flag} {path} is longer than {LONGEST} bytes"
        )));
    }
    Ok(text)
}

impl ServiceArgs {
    /// These flags with the content of the files they name.
    ///
    /// # Errors
    /// A file that cannot be read, or holds something else. `config` is where the configuration file is expected.
    pub fn load(&self, config: Option<&Path>) -> Result<Self, CliError> {
        let mut flags = self.clone();
        if let Some(name) = &flags.template.profile_name {
            let (name, remove) = match name.strip_suffix('-') {
                Some(name) => (name, true),
                None => (name.as_str(), false),
            };
            let profile = ConfigFile::read(config)?.profile(name)?;
            flags.template.profile = Some((profile, remove));
        }
        flags.template.pod.load()?;
        Ok(flags)
    }
}

impl PodArgs {
    /// Puts the content of files in the place of their names.
    ///
    /// # Errors
    /// A file that cannot be read, or holds something else.
    pub fn load(&mut self) -> Result<(), CliError> {
        for flag in &mut self.env.flags {
            if let EnvFlag::File(path) = flag {
                let lines = lines(&text("env-file", path)?);
                *flag = EnvFlag::Lines(std::mem::take(path), lines);
            }
        }
        if let Some(path) = &self.containers {
            self.extra = Some(change::further_containers(path, &text("containers", path)?)?);
        }
        Ok(())
    }
}

/// `NAME=VALUE` lines; blank ones and those that begin with `#` say nothing.
fn lines(text: &str) -> Vec<String> {
    text.lines()
        .filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_may_have_comments() {
        assert_eq!(
            lines("# first\nA=1\n\nB=\"q\" # kept\r\n"),
            ["A=1", "B=\"q\" # kept"]
        );
    }

    #[test]
    fn files_are_read_in_their_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("env").to_str().unwrap().to_owned();
        std::fs::write(&path, "A=1\n").unwrap();
        let mut flags = ServiceArgs::default();
        flags.template.pod.env.flags = vec![EnvFlag::Value("Z=0".into()), EnvFlag::File(path.clone())];
        let loaded = flags.load(None).unwrap();
        assert_eq!(
            loaded.template.pod.env.flags,
            [
                EnvFlag::Value("Z=0".into()),
                EnvFlag::Lines(path, vec!["A=1".into()])
            ]
        );
        flags.template.pod.containers = Some("/nowhere/pod.yaml".into());
        let message = flags.load(None).unwrap_err().message;
        assert!(message.contains("--containers /nowhere/pod.yaml"), "{message}");
    }
}
