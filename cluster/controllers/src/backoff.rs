//! How long a failed watch waits before it is tried again.

use std::time::Duration;

use kube::runtime::utils::Backoff;

/// The API is in the same process, so the first retry follows almost at once; kube's own default starts at 800 ms.
const FIRST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(10);

/// Doubles from 10 ms to 10 s; starts over after each success.
pub struct WatchBackoff {
    next: Duration,
}

impl WatchBackoff {
    pub fn new() -> Self {
        Self { next: FIRST }
    }
}

impl Iterator for WatchBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let wait = self.next;
        self.next = (wait * 2).min(LONGEST);
        Some(wait)
    }
}

impl Backoff for WatchBackoff {
    fn reset(&mut self) {
        self.next = FIRST;
    }
}
