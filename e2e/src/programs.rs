//! The programs under test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::Context;

/// Programs that the tests run; built once per test program, with cargo's own up-to-date check.
const PROGRAMS: [&str; 8] = [
    "spindrift",
    "kn",
    "queue-proxy",
    "hello",
    "ab",
    "echo",
    "autoscale",
    "event-display",
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
