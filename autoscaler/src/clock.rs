//! The wall clock, in the resolution of the metric windows.

use std::time::{SystemTime, UNIX_EPOCH};

/// Whole seconds since 1970.
pub fn unix_second() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs())
}
