//! Waits for states, never for time.

use std::time::{Duration, Instant};

/// Calls `check` until it gives a value. Looks often; the bound is generous, since it only ends tests that fail.
///
/// # Errors
/// Names `what` was waited for, and the last reason why it was not so.
pub fn eventually<T>(what: &str, mut check: impl FnMut() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let deadline = Instant::now() + Duration::from_secs(180);
    loop {
        match check() {
            Ok(value) => return Ok(value),
            Err(error) if Instant::now() > deadline => {
                return Err(error.context(format!("timed out waiting for {what}")));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}
