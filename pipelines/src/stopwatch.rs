//! How long runs have taken, by a clock that nobody sets.
//!
//! Statuses hold times of day. When the clock of the machine is set, these say nothing about how long ago something
//! was, so it is noted when each was seen first. Only what began under another process is judged by the time of day.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::jiff::{SignedDuration, Timestamp};

/// Beginnings that are remembered of one run: its own, and that of `finally`.
const OF_RUN: usize = 2;
/// Runs that are remembered. With more all are forgotten, which costs nothing unless the clock is set just then.
const MOST: usize = 16 << 10;

/// Remembers when runs began.
pub(crate) struct Stopwatch {
    began: Instant,
    /// By UID: the time of day at which something began, and when that was since this process began.
    runs: Mutex<HashMap<String, Vec<(Timestamp, SignedDuration)>>>,
}

impl Stopwatch {
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            runs: Mutex::default(),
        }
    }

    /// How long ago the run of this UID began, if it began at `start`, and it is `now`.
    pub(crate) fn since(&self, uid: &str, start: Timestamp, now: Timestamp) -> Duration {
        let here = SignedDuration::try_from(self.began.elapsed()).unwrap_or(SignedDuration::MAX);
        self.since_at(uid, start, now, here)
    }

    /// `here` is the time since this process began.
    fn since_at(&self, uid: &str, start: Timestamp, now: Timestamp, here: SignedDuration) -> Duration {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if runs.len() >= MOST && !runs.contains_key(uid) {
            runs.clear();
        }
        let of_run = runs.entry(uid.to_owned()).or_default();
        let known = of_run.iter().find(|(known, _)| *known == start);
        let began = match known {
            Some((_, began)) => *began,
            None => {
                // What lies ahead has just begun: the clock was set back in between.
                let gone = now.duration_since(start).max(SignedDuration::ZERO);
                let began = here.saturating_sub(gone);
                if of_run.len() >= OF_RUN {
                    of_run.remove(0);
                }
                of_run.push((start, began));
                began
            }
        };
        Duration::try_from(here.saturating_sub(began)).unwrap_or_default()
    }

    /// The run is over.
    pub(crate) fn forget(&self, uid: &str) {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        runs.remove(uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: SignedDuration = SignedDuration::from_hours(1);
    const MINUTE: SignedDuration = SignedDuration::from_mins(1);

    fn at(text: &str) -> Timestamp {
        format!("2026-01-01T{text}Z").parse().unwrap()
    }

    #[test]
    fn a_clock_that_is_set_makes_no_run_older_or_younger() {
        let watch = Stopwatch::new();
        let seconds = |seconds| Duration::from_secs(seconds);
        assert_eq!(
            watch.since_at("a", at("10:00:00"), at("10:00:00"), HOUR),
            seconds(0)
        );
        // A minute later the clock says noon, and another one later nine.
        let later = |minutes: i32| HOUR + MINUTE * minutes;
        assert_eq!(
            watch.since_at("a", at("10:00:00"), at("12:00:00"), later(1)),
            seconds(60)
        );
        assert_eq!(
            watch.since_at("a", at("10:00:00"), at("09:00:00"), later(2)),
            seconds(120)
        );
        // Another beginning of the same run, by the new time.
        assert_eq!(
            watch.since_at("a", at("09:00:00"), at("09:00:00"), later(2)),
            seconds(0)
        );
        assert_eq!(
            watch.since_at("a", at("09:00:00"), at("09:00:05"), later(3)),
            seconds(60)
        );
        assert_eq!(
            watch.since_at("a", at("10:00:00"), at("09:00:05"), later(3)),
            seconds(180)
        );
    }

    #[test]
    fn what_began_before_is_judged_by_the_time_of_day() {
        let watch = Stopwatch::new();
        let zero = SignedDuration::ZERO;
        assert_eq!(
            watch.since_at("old", at("10:00:00"), at("10:30:00"), zero),
            Duration::from_secs(1800)
        );
        assert_eq!(
            watch.since_at("ahead", at("11:00:00"), at("10:30:00"), zero),
            Duration::ZERO
        );
        assert_eq!(
            watch.since_at("ahead", at("11:00:00"), at("10:31:00"), MINUTE),
            Duration::from_secs(60)
        );
    }

    #[test]
    fn what_is_over_is_forgotten_and_the_rest_is_bounded() {
        let watch = Stopwatch::new();
        watch.since_at("a", at("10:00:00"), at("10:00:00"), HOUR);
        watch.forget("a");
        assert!(watch.runs.lock().unwrap().is_empty());
        for run in 0..=MOST {
            watch.since_at(&run.to_string(), at("10:00:00"), at("10:00:00"), HOUR);
        }
        assert!(watch.runs.lock().unwrap().len() <= MOST);
        for hour in 10..20 {
            watch.since_at("a", at(&format!("{hour}:00:00")), at("10:00:00"), HOUR);
        }
        assert_eq!(watch.runs.lock().unwrap()["a"].len(), OF_RUN);
    }
}
