//! The program of the builder image: the steps of the pipeline that crate `builds` describes.
//!
//! `clone` or `fetch` puts a source into `/source`; `build` makes an image of it, as a Dockerfile says (buildah) or of
//! the files themselves; `push` puts it into a registry. What is to be done stands in environment variables
//! ([`settings`]), what came of it in the files of the task's results. The same source gives the same digest where no
//! Dockerfile is involved.

mod auth;
mod build;
mod cache;
mod clone;
mod dockerfile;
mod elf;
mod error;
mod fetch;
mod files;
mod git;
mod output;
mod place;
mod push;
mod settings;

use error::Error;
use settings::Settings;

/// Runs the program with its arguments, its own name left out. Returns the exit code.
pub fn run(arguments: &[String]) -> i32 {
    let Some((step, rest)) = arguments.split_first() else {
        output::say("no arguments: this program is started by the steps of builds");
        return 1;
    };
    match perform(step, rest) {
        Ok(()) => 0,
        Err(error) => {
            output::say(&format!("error: {}", error::chain(&error)));
            1
        }
    }
}

fn perform(step: &str, arguments: &[String]) -> Result<(), Error> {
    // What git asks while it clones.
    if step == "credential" {
        return git::credential(arguments);
    }
    let settings = Settings::read(|name| std::env::var(name).ok())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::io("start", error))?;
    match step {
        "clone" => clone::run(&settings),
        "fetch" => runtime.block_on(fetch::run(&settings)),
        "build" => runtime.block_on(build::run(&settings, arguments)),
        "push" => runtime.block_on(push::run(&settings)),
        other => Err(Error::Usage(format!("there is no step {other:?}"))),
    }
}
