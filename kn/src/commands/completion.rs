//! `kn completion`

use clap::{Args, CommandFactory};

use crate::cli::Cli;
use crate::error::{CliError, Exit};
use crate::output::Output;

/// Prints a completion script.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  source <(kn completion bash)\n  kn completion zsh > ~/.zfunc/_kn")]
pub struct Completion {
    /// The shell to complete in
    shell: clap_complete::Shell,
}

impl Completion {
    pub fn run(&self, output: &mut Output) -> Result<Exit, CliError> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "kn", &mut script);
        output.raw(&String::from_utf8_lossy(&script))?;
        Ok(Exit::Success)
    }
}
