//! Where the time of a wake went.

use std::time::Duration;

use http::HeaderValue;
use tokio::time::Instant;

/// The stations of one request, measured from its arrival.
#[derive(Debug, Clone, Copy)]
pub struct Phases {
    pub arrived: Instant,
    /// When a pod had a slot for it.
    pub assigned: Option<Duration>,
    /// When the first probe of that pod succeeded, if the request had to wait for it.
    pub probed: Option<Duration>,
    /// When the head of the response came.
    pub first_byte: Option<Duration>,
    /// Whether the request had to wait for capacity.
    pub held: bool,
}

impl Phases {
    pub fn new() -> Self {
        Self {
            arrived: Instant::now(),
            assigned: None,
            probed: None,
            first_byte: None,
            held: false,
        }
    }

    /// The value of a `Server-Timing` header: durations in milliseconds.
    pub fn server_timing(&self) -> Option<HeaderValue> {
        let entry = |name, duration: Option<Duration>| {
            duration.map(|duration| format!("{name};dur={:.3}", duration.as_secs_f64() * 1000.0))
        };
        let held = self.held.then_some(self.assigned).flatten();
        let entries = [
            entry("held", held),
            entry("probe", self.probed),
            entry("assigned", self.assigned),
            entry("first-byte", self.first_byte),
        ];
        let text = entries.into_iter().flatten().collect::<Vec<_>>().join(", ");
        HeaderValue::try_from(text).ok().filter(|value| !value.is_empty())
    }
}

impl Default for Phases {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timing_names_what_was_measured() {
        let mut phases = Phases::new();
        assert_eq!(phases.server_timing(), None);
        phases.assigned = Some(Duration::from_micros(1500));
        phases.first_byte = Some(Duration::from_millis(2));
        assert_eq!(
            phases.server_timing().unwrap(),
            "assigned;dur=1.500, first-byte;dur=2.000"
        );
        phases.held = true;
        assert_eq!(
            phases.server_timing().unwrap(),
            "held;dur=1.500, assigned;dur=1.500, first-byte;dur=2.000"
        );
    }
}
