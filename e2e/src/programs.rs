//! The programs under test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::Context;

/// Programs that the tests run; built once per test program, with cargo's own up-to-date check.
const PROGRAMS: [&str; 11] = [
    "spindrift",
    "kn",
    "queue-proxy",
    "entrypoint",
    "builder",
    "listener",
    "hello",
    "ab",
    "echo",
    "autoscale",
    "event-display",
];

/// Beginnings of the variables that cargo sets for a test, after what it is built from and where it lies.
const OWN_PACKAGE: [&str; 7] = [
    "CARGO_PKG_",
    "CARGO_MANIFEST_",
    "CARGO_CRATE_NAME",
    "CARGO_BIN_",
    "CARGO_PRIMARY_PACKAGE",
    "OUT_DIR",
    "LD_LIBRARY_PATH",
];

/// The folder that holds the freshly built programs.
///
/// # Errors
/// With the compiler's output, if they do not build.
pub fn programs() -> anyhow::Result<&'static Path> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BUILT
        .get_or_init(|| build().map_err(|error| format!("{error:?}")))
        .as_ref()
        .map(PathBuf::as_path)
        .map_err(|error| anyhow::anyhow!("{error}"))
}

fn build() -> anyhow::Result<PathBuf> {
    // target/<profile>/deps/<this test>
    let own = std::env::current_exe()?;
    let folder = own
        .parent()
        .and_then(Path::parent)
        .context("this test lies in no target folder")?;
    if let Some(given) = std::env::var_os("SPINDRIFT_BIN_DIR") {
        return Ok(PathBuf::from(given));
    }
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["build", "--quiet"]);
    if folder.file_name().is_some_and(|name| name == "release") {
        cargo.arg("--release");
    }
    // What cargo tells this test about its own package is not for the build: build scripts that look at such variables
    // (ring's does) would run again, here and at the next build outside, and all that stands on them with them.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if OWN_PACKAGE.iter().any(|prefix| name.starts_with(prefix)) {
            cargo.env_remove(name.as_ref());
        }
    }
    for program in PROGRAMS {
        cargo.args(["-p", program]);
    }
    let built = cargo.output().context("cannot run cargo")?;
    anyhow::ensure!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );
    Ok(folder.to_path_buf())
}
