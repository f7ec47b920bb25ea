//! The smallest program that can be re-executed as a shim; the tests use it in place of the server binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next() {
        Some(first) if first == "shim" => cluster_node::shim::main(arguments.next()),
        _ => ExitCode::FAILURE,
    }
}
