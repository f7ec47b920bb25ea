//! Durations as they stand in specs: `1h0m0s`.

use formats::duration;
use jiff::SignedDuration;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A duration, written as Go writes it. Negative ones can be read, so that validation can name them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration(pub SignedDuration);

impl Duration {
    /// No time at all, which as a timeout means: no timeout.
    pub const ZERO: Self = Self(SignedDuration::ZERO);

    /// A duration of whole minutes.
    pub const fn from_mins(minutes: i32) -> Self {
        // `i32` minutes always fit.
        Self(SignedDuration::from_secs(minutes as i64 * 60))
    }

    /// The duration as a timeout: `None` is no timeout at all.
    pub fn timeout(self) -> Option<std::time::Duration> {
        std::time::Duration::try_from(self.0)
            .ok()
            .filter(|timeout| !timeout.is_zero())
    }
}

impl std::fmt::Display for Duration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&duration::format(self.0))
    }
}

impl std::str::FromStr for Duration {
    type Err = duration::DurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        duration::parse(text).map(Self)
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
