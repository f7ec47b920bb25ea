//! The command line: a client only.

use std::process::ExitCode;

fn main() -> ExitCode {
    kn::run(std::env::args_os())
}
