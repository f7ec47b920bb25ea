//! Runs the commands that are written in a README, as a reader would copy them into a shell.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::run::{Background, Output, run};
use crate::wait::eventually;
use crate::{Platform, programs};

/// What one command has to show.
#[derive(Clone, Copy, Debug)]
pub enum Shows {
    /// It prints all of these, and succeeds.
    Says(&'static [&'static str]),
    /// It goes on until it is stopped, and has printed this.
    Follows(&'static str),
    /// It is given a line, and prints it back.
    Echoes(&'static str),
    /// It is refused with these words, by the program itself.
    Refused(&'static str),
}

/// The commands of a Markdown text: indented by four blanks, without their comments; what ends in a backslash goes on
/// in the next line.
pub fn commands(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut unfinished = false;
    for line in text.lines() {
        let Some(code) = line.strip_prefix("    ") else {
            unfinished = false;
            continue;
        };
        let code = code.split("  #").next().unwrap_or_default().trim();
        let (part, goes_on) = match code.strip_suffix('\\') {
            Some(part) => (part, true),
            None => (code, false),
        };
        match found.last_mut() {
            Some(last) if unfinished => last.push_str(part),
            _ if part.is_empty() => {}
            _ => found.push(part.to_owned()),
        }
        unfinished = goes_on;
    }
    found
}

/// A shell in a copy of the examples, with the programs on PATH.
pub struct Shell<'a> {
    platform: &'a Platform,
    folder: tempfile::TempDir,
}

impl<'a> Shell<'a> {
    /// # Errors
    /// If the examples cannot be copied.
    pub fn new(platform: &'a Platform) -> anyhow::Result<Self> {
        let shell = Self {
            platform,
            folder: tempfile::tempdir()?,
        };
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
        for example in std::fs::read_dir(examples)?.flatten() {
            if !example.path().is_dir() {
                continue;
            }
            let target = shell.path().join("examples").join(example.file_name());
            std::fs::create_dir_all(&target)?;
            for file in std::fs::read_dir(example.path())?.flatten() {
                if file.path().is_file() {
                    let text = std::fs::read_to_string(file.path())?;
                    std::fs::write(target.join(file.file_name()), shell.adapt(&text))?;
                }
            }
        }
        Ok(shell)
    }

    /// Where commands run.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The ports of the test's platform in the place of the usual ones.
    fn adapt(&self, text: &str) -> String {
        text.replace("localhost:5000", &self.platform.registry())
            .replace(":8080", &format!(":{}", self.platform.http_port()))
    }

    fn command(&self, line: &str) -> anyhow::Result<Command> {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("sh");
        command
            .args(["-c", &self.adapt(line)])
            .env("KUBECONFIG", self.platform.kubeconfig())
            .env("NO_COLOR", "1")
            .env("PATH", format!("{}:{path}", programs::programs()?.display()))
            .env("SPINDRIFT_DATA_DIR", self.platform.data_dir())
            .current_dir(self.path());
        Ok(command)
    }

    /// Runs one command to its end.
    ///
    /// # Errors
    /// If it cannot be run.
    pub fn run(&self, line: &str) -> anyhow::Result<Output> {
        run(&mut self.command(line)?)
    }

    /// Runs a README's commands one after the other. `expected` has the beginning of each and what it has to show.
    ///
    /// # Errors
    /// With the command that is not in `expected`, or does something else.
    pub fn follow(&self, text: &str, expected: &[(&str, Shows)]) -> anyhow::Result<()> {
        let commands = commands(text);
        for (command, (start, shows)) in commands.iter().zip(expected) {
            ensure!(command.starts_with(start), "`{command}` is not `{start}`");
            self.show(command, *shows)
                .with_context(|| format!("`{command}`"))?;
        }
        ensure!(commands.len() == expected.len(), "{commands:#?}");
        Ok(())
    }

    fn show(&self, line: &str, shows: Shows) -> anyhow::Result<()> {
        match shows {
            Shows::Says(parts) => {
                let output = self.run(line)?;
                ensure!(output.code == 0, "{}", output.text());
                for part in parts {
                    ensure!(
                        output.stdout.contains(part) || output.stderr.contains(part),
                        "no {part:?}: {}",
                        output.text()
                    );
                }
                self.settle(line)
            }
            Shows::Follows(part) => self.until(Background::start(self.command(line)?)?, part),
            Shows::Echoes(text) => {
                let mut command = self.command(&format!("{{ echo '{text}'; sleep 20; }} | {line}"))?;
                command.stdin(Stdio::null());
                self.until(Background::start(command)?, text)
            }
            Shows::Refused(message) => {
                let output = self.run(line)?;
                ensure!(
                    output.code != 0 && output.stderr.contains(message),
                    "{}",
                    output.text()
                );
                Ok(())
            }
        }
    }

    fn until(&self, program: Background, part: &str) -> anyhow::Result<()> {
        let begun = Instant::now();
        eventually("its output", || {
            let printed = program.printed()?;
            let over = begun.elapsed() > Duration::from_secs(60);
            if over {
                return Ok(Err(printed));
            }
            ensure!(printed.contains(part));
            Ok(Ok(()))
        })?
        .map_err(|printed| anyhow::anyhow!("no {part:?}: {printed}"))
    }

    /// What kubectl created is not ready at once; a reader is slower than a test.
    fn settle(&self, line: &str) -> anyhow::Result<()> {
        if line.starts_with("kubectl apply") {
            let all = ["wait", "ksvc", "--all", "--for=condition=Ready", "--timeout=100s"];
            self.platform.kubectl(&all)?.ok()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_what_is_indented() {
        let text = "# Title\n\n    one --flag    # why\n\n    two a \\\n        b\n    three; four # no comment\n\ntext\n";
        assert_eq!(
            commands(text),
            ["one --flag", "two a b", "three; four # no comment"]
        );
    }
}
