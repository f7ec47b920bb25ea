//! The platform that the tests of one file share: two cores do not start one for each of them.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use anyhow::ensure;

use crate::{Options, Platform, run};

static SHARED: OnceLock<Result<Platform, String>> = OnceLock::new();

/// The platform of this test program, started by the first test that asks.
///
/// # Errors
/// With its log, if it did not come up.
pub fn shared() -> anyhow::Result<&'static Platform> {
    let started =
        SHARED.get_or_init(|| Platform::start(Options::default()).map_err(|error| format!("{error:?}")));
    started.as_ref().map_err(|error| anyhow::anyhow!("{error}"))
}

/// Held by tests that go one at a time: two cores do not start everything at once, and names and memory are shared.
pub fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Stops it, if it was started: a static is never dropped.
///
/// # Errors
/// If it does not stop in order.
pub fn stop_shared() -> anyhow::Result<()> {
    let Some(Ok(platform)) = SHARED.get() else {
        return Ok(());
    };
    let stopped = run(platform
        .program("spindrift")
        .arg("down")
        .arg("--data-dir")
        .arg(platform.data_dir()))?;
    ensure!(stopped.code == 0, "{}", stopped.text());
    // What a static holds is never dropped.
    std::fs::remove_dir_all(platform.data_dir())?;
    Ok(())
}
