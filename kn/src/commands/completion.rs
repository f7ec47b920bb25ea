//! `kn completion`

use clap::{Args, ValueEnum};
use clap_complete::env::{Bash, Elvish, EnvCompleter, Fish, Powershell, Zsh};

use crate::completion::VARIABLE;
use crate::error::{CliError, Exit};
use crate::output::Output;

/// Name of the program, in the scripts.
const PROGRAM: &str = "kn";

/// Prints a completion script; it completes commands, flags, and the names of what is in the cluster.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  source <(kn completion bash)\n  kn completion zsh > ~/.zfunc/_kn")]
pub struct Completion {
    /// The shell to complete in
    shell: Shell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    Bash,
    Elvish,
    Fish,
    Powershell,
    Zsh,
}

impl Completion {
    pub fn run(&self, output: &mut Output) -> Result<Exit, CliError> {
        let shell: &dyn EnvCompleter = match self.shell {
            Shell::Bash => &Bash,
            Shell::Elvish => &Elvish,
            Shell::Fish => &Fish,
            Shell::Powershell => &Powershell,
            Shell::Zsh => &Zsh,
        };
        let mut script = Vec::new();
        shell
            .write_registration(VARIABLE, PROGRAM, PROGRAM, PROGRAM, &mut script)
            .map_err(|error| CliError::new(Exit::Failure, format!("cannot write the script: {error}")))?;
        output.raw(&String::from_utf8_lossy(&script))?;
        Ok(Exit::Success)
    }
}
