//! The command line: a client only.
//!
//! `commands/<noun>.rs` declares a noun, `commands/<noun>/<verb>.rs` holds a verb's arguments and its `run`. Verbs resolve
//! arguments, fetch, build a view and render it. `flags` is what is typed, `change` what that does to a service: pure
//! functions on raw JSON. Data goes to standard output, conversation to standard error.

mod age;
mod archive;
mod change;
mod cli;
mod commands;
mod completion;
mod conditions;
mod config_file;
mod context;
mod describe;
mod error;
mod export;
mod failure;
mod flags;
mod http_log;
mod interrupt;
mod kind;
mod local;
mod offline;
mod output;
mod rehearsal;
mod revision_view;
mod service_file;
mod sink;
mod table;
mod tekton;
mod traffic;
mod upload;
mod usage;
mod wait;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use cli::Cli;
use context::Context;
use error::{CliError, Exit};
use output::Output;
use usage::Parsed;

/// Runs the command in `arguments` (the program's name first) and returns its exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if completion::answer(&arguments) {
        return ExitCode::SUCCESS;
    }
    let mut output = Output::standard();
    let mut root = Cli::command();
    root.build();
    let parsed = root.clone().try_get_matches_from(&arguments).and_then(|matches| {
        Ok((
            usage::path(&usage::program(&arguments), &matches),
            Cli::from_arg_matches(&matches)?,
        ))
    });
    let (path, cli) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => match usage::explain(&root, &arguments, &error) {
            Parsed::Text(text) => return ending(output.raw(&text).map(|()| Exit::Success), "", &mut output),
            Parsed::Wrong(error, path) => return ending(Err(error), &path, &mut output),
        },
    };
    let result = execute(cli, &mut output);
    ending(result, &path, &mut output)
}

fn execute(cli: Cli, output: &mut Output) -> Result<Exit, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::new(Exit::Failure, format!("cannot start: {error}")))?;
    // The only provider that is linked; a second installation would be a programming error and changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    output.set_quiet(cli.global.quiet);
    let context = Context::new(cli.global.clone());
    runtime
        .block_on(commands::run(&context, cli, output))
        .map_err(|error| context.locate(error))
}

fn ending(result: Result<Exit, CliError>, path: &str, output: &mut Output) -> ExitCode {
    match result {
        Ok(exit) => exit.into(),
        Err(error) => output.fail(&error, path).into(),
    }
}
