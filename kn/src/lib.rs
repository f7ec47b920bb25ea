//! The command line: a client only.
//!
//! `commands/<noun>.rs` declares a noun, `commands/<noun>/<verb>.rs` holds a verb's arguments and its `run`. Verbs resolve
//! arguments, fetch, build a view and render it. Data goes to standard output, conversation to standard error.

mod age;
mod change;
mod cli;
mod commands;
mod conditions;
mod context;
mod describe;
mod error;
mod failure;
mod flags;
mod offline;
mod output;
mod revision_view;
mod service_file;
mod table;
mod traffic;
mod wait;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use cli::Cli;
use context::Context;
use error::{CliError, Exit};
use output::Output;

/// Runs the command in `arguments` (the program's name first) and returns its exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut output = Output::standard();
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return output
                .fail(&CliError::new(Exit::Failure, format!("cannot start: {error}")))
                .into();
        }
    };
    // The only provider that is linked; a second installation would be a programming error and changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let context = Context::new(cli.global.clone());
    match runtime.block_on(commands::run(&context, cli, &mut output)) {
        Ok(exit) => exit.into(),
        Err(error) => output.fail(&error).into(),
    }
}

/// Help and version go to standard output with exit 0; wrong usage to standard error with its own code.
fn usage(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    if error.use_stderr() {
        Exit::Usage.into()
    } else {
        Exit::Success.into()
    }
}
