//! The program that every container of a step runs: it waits for its turn, runs the step's command, and tells how
//! that ended.
//!
//! All containers of a pod start together; this program puts the steps in order. It is also what prepares the pod (its
//! own installation, scripts, working directories), so that a pod needs one image besides those of its steps. Pods
//! that only hold a place for others run it as well.
//!
//! What other parts of the platform may rely on: the paths in [`paths`], the flags in [`Flags`], the records in
//! [`message`].

mod artifacts;
mod child;
mod conditions;
mod credentials;
mod debug;
mod flags;
mod install;
pub mod log_results;
pub mod message;
mod outcome;
pub mod paths;
mod pause;
mod platform_command;
mod results;
mod signals;
mod step;
mod step_results;
mod wait;

use std::io::Write;

pub use conditions::{Condition, Operator};
pub use credentials::{Credentials, Target};
pub use flags::{FlagError, Flags, OnError};
pub use platform_command::VARIABLE as PLATFORM_COMMANDS;

/// Runs the program with its arguments, its own name left out. Returns the exit code.
pub fn run(arguments: &[String]) -> i32 {
    let Some((first, rest)) = arguments.split_first() else {
        say("no arguments: this program is started by pods of TaskRuns");
        return 1;
    };
    // What a user's command is called cannot matter: it comes after `--`, and flags come first.
    let done = match first.as_str() {
        "init" => install::init(rest),
        "decode-script" => install::scripts(rest),
        "working-dir" => install::working_directories(rest),
        "pause" => pause::run(),
        _ => {
            return match Flags::parse(arguments) {
                Ok(flags) => step::run(&flags),
                Err(error) => {
                    say(&error.to_string());
                    1
                }
            };
        }
    };
    match done {
        Ok(()) => 0,
        Err(error) => {
            say(&format!("{first}: {error}"));
            1
        }
    }
}

/// Tells the reader of the step's log.
fn say(text: &str) {
    // A log that nobody takes is no reason to fail.
    let _ = writeln!(std::io::stderr(), "entrypoint: {text}");
}
