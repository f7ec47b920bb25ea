//! Random instants that can be had again.

use std::time::Duration;

/// `SPINDRIFT_SEED=…` repeats a run.
pub struct Dice(u64);

impl Dice {
    /// Tells its seed, where it is found after a failure.
    pub fn from_environment() -> Self {
        let given = std::env::var("SPINDRIFT_SEED")
            .ok()
            .and_then(|text| text.parse().ok());
        let now = || std::time::UNIX_EPOCH.elapsed().map_or(1, |since| since.as_secs());
        let seed = given.unwrap_or_else(now);
        crate::tools::report(&format!("SPINDRIFT_SEED={seed}"));
        Self(seed | 1)
    }

    /// A time below `limit` (xorshift64, Marsaglia 2003).
    pub fn below(&mut self, limit: Duration) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        limit.mul_f64((self.0 >> 11) as f64 / (1u64 << 53) as f64)
    }
}
