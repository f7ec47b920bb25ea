//! How long a Job waits after a pod has failed before it starts another.

use std::time::Duration;

use jiff::Timestamp;

use super::facts::{Facts, Standing};

/// Upstream's DefaultJobPodFailureBackOff and MaxJobPodFailureBackOff.
const FIRST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(360);

/// The time left to wait at `facts.now`. It follows from the pods that are there, which stay as long as their Job: a
/// restart of the controller forgets no back-off.
pub fn remaining(facts: &Facts) -> Option<Duration> {
    let of = |standing| facts.pods.iter().filter(move |pod| pod.standing == standing);
    let success = of(Standing::Succeeded).map(|pod| pod.ended).max();
    let failures: Vec<Timestamp> = of(Standing::Failed)
        .map(|pod| pod.ended)
        .filter(|ended| success.is_none_or(|success| *ended > success))
        .collect();
    let last = *failures.iter().max()?;
    let passed = Duration::try_from(facts.now.duration_since(last)).unwrap_or(Duration::ZERO);
    let left = pause(failures.len()).checked_sub(passed)?;
    (!left.is_zero()).then_some(left)
}

/// The pause after so many failures in a row.
fn pause(failures: usize) -> Duration {
    let doublings = u32::try_from(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    2_u32
        .checked_pow(doublings)
        .and_then(|times| FIRST.checked_mul(times))
        .map_or(LONGEST, |pause| pause.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_up_to_six_minutes() {
        for (failures, seconds) in [(1, 10), (2, 20), (3, 40), (6, 320), (7, 360), (1000, 360)] {
            assert_eq!(pause(failures), Duration::from_secs(seconds), "{failures}");
        }
    }
}
