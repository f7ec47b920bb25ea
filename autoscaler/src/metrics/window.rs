//! Values over the last seconds, in buckets of one second.

/// Digits that averages are rounded to, so that sums of floats do not cross a threshold by noise.
const PRECISION: f64 = 1e6;
/// The smallest weight of the newest bucket in the weighted average.
const LEAST_WEIGHT: f64 = 0.2;
/// Share of the total weight that may lie beyond the window in the weighted average.
const WEIGHT_BEYOND: f64 = 0.0001;

/// How the buckets of a window become one number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Aggregation {
    /// Every bucket counts the same.
    #[default]
    Linear,
    /// Newer buckets count more, exponentially.
    WeightedExponential,
}

/// A ring of one-second buckets. Times are whole seconds on any clock that does not go backwards.
#[derive(Clone, Debug)]
pub struct Window {
    buckets: Vec<f64>,
    total: f64,
    /// Seconds of the first and the last write of the present run of writes; `None` before the first one.
    written: Option<(u64, u64)>,
}

impl Window {
    /// A window of `seconds` buckets, at least one.
    pub fn new(seconds: u64) -> Self {
        let length = usize::try_from(seconds.max(1)).unwrap_or(usize::MAX).min(3600);
        Self {
            buckets: vec![0.0; length],
            total: 0.0,
            written: None,
        }
    }

    /// Length in seconds.
    pub fn seconds(&self) -> u64 {
        self.buckets.len() as u64
    }

    /// Changes the length; what was recorded is kept as far as it fits.
    pub fn resize(&mut self, seconds: u64) {
        if self.seconds() == seconds.max(1) {
            return;
        }
        let old = std::mem::replace(self, Self::new(seconds));
        if let Some((first, last)) = old.written {
            for second in first.max((last + 1).saturating_sub(old.seconds()))..=last {
                self.record(second, old.buckets[old.index(second)]);
            }
        }
    }

    fn index(&self, second: u64) -> usize {
        usize::try_from(second % self.seconds()).unwrap_or(0)
    }

    /// Adds `value` to the bucket of `second`. A value older than the window is dropped.
    pub fn record(&mut self, second: u64, value: f64) {
        match self.written {
            Some((_, last)) if second <= last => {
                if second + self.seconds() <= last {
                    return;
                }
                // A late value may be older than the first write, which then moves back.
                if let Some((first, _)) = &mut self.written {
                    *first = (*first).min(second);
                }
            }
            Some((first, last)) if second - last < self.seconds() => {
                for stale in last + 1..=second {
                    let index = self.index(stale);
                    self.total -= self.buckets[index];
                    self.buckets[index] = 0.0;
                }
                self.written = Some((first, second));
            }
            // Nothing was written for a whole window, or ever: a new run starts.
            _ => {
                self.buckets.fill(0.0);
                self.total = 0.0;
                self.written = Some((second, second));
            }
        }
        let index = self.index(second);
        self.buckets[index] += value;
        self.total += value;
    }

    /// Whether nothing was written in the window that ends at `now`.
    pub fn is_empty(&self, now: u64) -> bool {
        self.written
            .is_none_or(|(_, last)| now.saturating_sub(last) >= self.seconds())
    }

    /// The number for the window that ends at `now`; 0 for an empty one.
    pub fn average(&self, now: u64, aggregation: Aggregation) -> f64 {
        let Some((first, last)) = self.written.filter(|_| !self.is_empty(now)) else {
            return 0.0;
        };
        match aggregation {
            Aggregation::Linear => self.linear(first, last, now),
            Aggregation::WeightedExponential => self.weighted(last, now),
        }
    }

    /// A young window averages over what exists; silence at the end is left out; gaps in the middle count as zero.
    fn linear(&self, first: u64, last: u64, now: u64) -> f64 {
        let silent = now.saturating_sub(last);
        let outdated: f64 = (1..=silent)
            .map(|step| self.buckets[self.index(last + step)])
            .sum();
        let buckets = (last - first + 1).min(self.seconds() - silent);
        round((self.total - outdated) / buckets as f64)
    }

    fn weighted(&self, last: u64, now: u64) -> f64 {
        let share = (1.0 - WEIGHT_BEYOND.powf(1.0 / self.seconds() as f64)).max(LEAST_WEIGHT);
        let now = now.max(last);
        let newest_age = now - last;
        let mut weight = share * (1.0 - share).powf(newest_age as f64);
        let mut sum = 0.0;
        for age in newest_age..self.seconds() {
            let Some(second) = now.checked_sub(age) else { break };
            sum += self.buckets[self.index(second)] * weight;
            weight *= 1.0 - share;
        }
        round(sum)
    }
}

fn round(value: f64) -> f64 {
    (value * PRECISION).round() / PRECISION
}

#[cfg(test)]
mod tests {
    use super::*;
    use Aggregation::{Linear, WeightedExponential};

    fn window(seconds: u64, values: &[(u64, f64)]) -> Window {
        let mut window = Window::new(seconds);
        for (second, value) in values {
            window.record(*second, *value);
        }
        window
    }

    /// Name, seconds of the window, values by second, the second asked for, and the expected average.
    type Case = (&'static str, u64, &'static [(u64, f64)], u64, f64);

    #[test]
    fn linear_averages() {
        let cases: &[Case] = &[
            ("one value", 5, &[(10, 4.0)], 10, 4.0),
            (
                "a young window averages over what exists",
                60,
                &[(10, 4.0), (11, 2.0)],
                11,
                3.0,
            ),
            (
                "two values of one second add up",
                5,
                &[(10, 1.0), (10, 2.0)],
                10,
                3.0,
            ),
            (
                "silence at the end is left out",
                5,
                &[(10, 4.0), (11, 2.0)],
                13,
                3.0,
            ),
            ("gaps in the middle count", 5, &[(10, 6.0), (12, 3.0)], 12, 3.0),
            (
                "old buckets leave",
                3,
                &[(10, 9.0), (11, 3.0), (12, 3.0), (13, 3.0)],
                13,
                3.0,
            ),
            (
                "silence pushes old buckets out",
                3,
                &[(10, 9.0), (11, 3.0), (12, 3.0)],
                13,
                3.0,
            ),
            ("a whole window of silence is empty", 3, &[(10, 9.0)], 13, 0.0),
            (
                "a new run after silence starts afresh",
                3,
                &[(10, 9.0), (20, 2.0)],
                20,
                2.0,
            ),
            (
                "late values go to their bucket",
                5,
                &[(12, 2.0), (11, 4.0)],
                12,
                3.0,
            ),
            ("too late values are dropped", 3, &[(12, 2.0), (9, 40.0)], 12, 2.0),
        ];
        for (name, seconds, values, now, expected) in cases {
            assert_eq!(
                window(*seconds, values).average(*now, Linear),
                *expected,
                "{name}"
            );
        }
    }

    #[test]
    fn weighted_averages_prefer_the_new() {
        let rising = window(10, &[(1, 0.0), (2, 10.0)]);
        let falling = window(10, &[(1, 10.0), (2, 0.0)]);
        assert!(rising.average(2, WeightedExponential) > falling.average(2, WeightedExponential));
        let steady = window(60, &(0..60).map(|s| (s, 5.0)).collect::<Vec<_>>());
        assert!((steady.average(59, WeightedExponential) - 5.0).abs() < 0.01);
    }

    #[test]
    fn resizing_keeps_what_fits() {
        let mut window = window(6, &[(1, 1.0), (2, 2.0), (3, 3.0)]);
        window.resize(2);
        assert_eq!(window.average(3, Linear), 2.5);
        window.resize(60);
        assert_eq!(window.average(3, Linear), 2.5);
    }

    proptest::proptest! {
        /// An average lies between the smallest and the largest thing it averages.
        #[test]
        fn linear_stays_within_bounds(values in proptest::collection::vec((0u64..200, 0f64..1e6), 1..80), n in 1u64..70, later in 0u64..100) {
            let mut sorted = values;
            sorted.sort_by_key(|(second, _)| *second);
            let mut w = Window::new(n);
            for (second, value) in &sorted { w.record(*second, *value); }
            let now = sorted.last().unwrap().0 + later;
            let average = w.average(now, Linear);
            let total: f64 = sorted.iter().map(|(_, v)| v).sum();
            proptest::prop_assert!(average >= -1e-3 && average <= total + 1e-3);
        }
    }
}
