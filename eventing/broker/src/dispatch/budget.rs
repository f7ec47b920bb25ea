//! How many attempts one consumer may make in vain.
//!
//! A subscriber that answers every event with an error keeps [`Limits::waiting`](super::Limits::waiting) of them on
//! their way, each of which is read again and sent again some ten times: quick failures could take the processor from
//! all other consumers. So an attempt that is to be repeated costs one from a budget, and a delivery earns one. While
//! there is some left it bounds nothing. When it is used up, no attempt begins for [`PAUSE`]; then there are [`SHARE`]
//! again, so a subscriber that copes again is found out at once. Who fails less often than not is never held up.
//!
//! Repeated attempts come later by that, never before their wait is over, and as often as they are asked for. Attempts
//! that nothing answered are no matter of this: those end at the circuit of their target.

use std::time::Duration;

use tokio::time::Instant;

/// How long nothing begins once the budget is used up.
const PAUSE: Duration = Duration::from_millis(20);
/// What there is after that: a thousand attempts a second in all. It is more than `waiting` events make in the long run
/// with the waits that brokers have by default (10 000 × 11 attempts in 205 s).
const SHARE: usize = 20;
/// Of the attempts that may be under way, how many times may fail before anything is held up.
const DEPTH: usize = 4;

#[derive(Debug)]
pub struct Budget {
    left: usize,
    most: usize,
    /// Set when nothing is left.
    shut_until: Option<Instant>,
}

impl Budget {
    /// The full budget of a consumer that may have `in_flight` attempts under way.
    pub fn new(in_flight: usize) -> Self {
        let most = in_flight.saturating_mul(DEPTH).max(SHARE);
        Self {
            left: most,
            most,
            shut_until: None,
        }
    }

    /// Attempts that may be under way: all of them may fail.
    pub fn left(&self) -> usize {
        self.left
    }

    /// When to call [`reopen`](Self::reopen), if nothing is left.
    pub fn shut_until(&self) -> Option<Instant> {
        self.shut_until
    }

    /// Something was delivered.
    pub fn earn(&mut self) {
        self.left = (self.left + 1).min(self.most);
        self.shut_until = None;
    }

    /// An attempt was answered with an error and is to be repeated.
    pub fn spend(&mut self, now: Instant) {
        self.left = self.left.saturating_sub(1);
        if self.left == 0 && self.shut_until.is_none() {
            self.shut_until = Some(now + PAUSE);
        }
    }

    /// Begins anew if the pause is over.
    pub fn reopen(&mut self, now: Instant) {
        if self.shut_until.is_some_and(|until| until <= now) {
            self.left = SHARE;
            self.shut_until = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Attempts made until `end` by a consumer of which one attempt is under way at a time, each takes `took`, and all
    /// but every `good`th are to be repeated.
    fn attempts(budget: &mut Budget, took: Duration, end: Duration, good: Option<usize>) -> usize {
        let start = Instant::now();
        let (mut now, mut made) = (start, 0);
        while now < start + end {
            if let Some(until) = budget.shut_until() {
                assert_eq!(budget.left(), 0);
                now = until;
                budget.reopen(now);
            }
            now += took;
            made += 1;
            match good {
                Some(good) if made % good == 0 => budget.earn(),
                _ => budget.spend(now),
            }
        }
        made
    }

    #[test]
    fn failures_without_end_are_few() {
        let (quick, second) = (Duration::from_micros(50), Duration::from_secs(1));
        let mut budget = Budget::new(256);
        let first = attempts(&mut budget, quick, second, None);
        let rest = attempts(&mut budget, quick, 10 * second, None);
        assert!((1024..2100).contains(&first), "{first}");
        assert!((9_000..=10_020).contains(&rest), "{rest}");
    }

    #[test]
    fn who_fails_less_often_than_not_is_not_held_up() {
        let (quick, second) = (Duration::from_micros(50), Duration::from_secs(1));
        let unpaced = 20_000;
        assert_eq!(attempts(&mut Budget::new(256), quick, second, Some(2)), unpaced);
        assert!(attempts(&mut Budget::new(256), quick, second, Some(10)) < unpaced / 4);
    }

    #[test]
    fn slow_failures_are_not_held_up() {
        let mut budget = Budget::new(256);
        let made = attempts(
            &mut budget,
            Duration::from_millis(100),
            Duration::from_secs(1000),
            None,
        );
        // A pause of 20 ms for each twenty attempts.
        assert!((9_900..=10_000).contains(&made), "{made}");
    }

    #[test]
    fn a_pause_is_not_drawn_out_and_ends_in_time() {
        let now = Instant::now();
        let mut budget = Budget::new(1);
        for _ in 0..SHARE {
            assert_eq!(budget.shut_until(), None);
            budget.spend(now);
        }
        budget.spend(now + PAUSE / 2);
        assert_eq!(budget.shut_until(), Some(now + PAUSE));
        budget.reopen(now + PAUSE / 2);
        assert_eq!(budget.left(), 0);
        budget.reopen(now + PAUSE);
        assert_eq!((budget.left(), budget.shut_until()), (SHARE, None));
    }

    #[test]
    fn a_delivery_ends_a_pause() {
        let now = Instant::now();
        let mut budget = Budget::new(0);
        for _ in 0..SHARE {
            budget.spend(now);
        }
        budget.earn();
        assert_eq!((budget.left(), budget.shut_until()), (1, None));
        for _ in 0..10 * SHARE {
            budget.earn();
        }
        assert_eq!(budget.left(), SHARE, "no more than at first");
    }
}
