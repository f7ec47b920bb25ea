//! `kn up`, `kn down`, `kn status`: the server binary does the work; this program is only a client.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use clap::Args;

use crate::error::{CliError, Exit};

/// Name of the server binary.
const SERVER: &str = "spindrift";

/// Arguments that are handed on as they are.
#[derive(Args, Debug)]
pub struct Passed {
    /// Arguments of the server binary; `spindrift up --help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    pub arguments: Vec<OsString>,
}

/// Becomes `spindrift <verb> …`: signals and exit code are the server's.
pub fn run(verb: &str, passed: &Passed) -> Result<Exit, CliError> {
    let server = server();
    let error = Command::new(&server).arg(verb).args(&passed.arguments).exec();
    Err(
        CliError::new(Exit::Failure, format!("cannot run {}: {error}", server.display()))
            .with_hint("the server binary `spindrift` belongs beside `kn`, or on PATH"),
    )
}

/// The server binary beside this one, or the one on PATH.
fn server() -> PathBuf {
    let beside = std::env::current_exe()
        .ok()
        .and_then(|own| Some(own.parent()?.join(SERVER)));
    beside
        .filter(|path| path.is_file())
        .unwrap_or_else(|| PathBuf::from(SERVER))
}
