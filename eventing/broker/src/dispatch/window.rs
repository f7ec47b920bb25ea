//! How many attempts one consumer may have under way.
//!
//! It begins small and grows by one with every answer that says the subscriber copes, which doubles it each round trip:
//! a subscriber that is just being started from zero is not flooded. It is halved when the subscriber is overloaded
//! (429, 503) or answers nothing, and begins anew after a long pause, when the subscriber may have been stopped.

use std::time::Duration;

use tokio::time::Instant;

/// Attempts under way at first.
pub const INITIAL: usize = 8;
/// The window is never smaller.
const LEAST: usize = 1;
/// After such a pause it begins anew: the stable window of the autoscaler, after which subscribers are stopped.
const IDLE: Duration = Duration::from_secs(60);
/// Failures of attempts that were under way together halve it once.
const HALVE_EVERY: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub struct Window {
    size: usize,
    most: usize,
    used: Instant,
    halved: Option<Instant>,
}

impl Window {
    pub fn new(most: usize, now: Instant) -> Self {
        Self {
            size: INITIAL.min(most.max(LEAST)),
            most: most.max(LEAST),
            used: now,
            halved: None,
        }
    }

    pub fn size(&self) -> usize {
        self.size
    }

    /// Nothing was under way, and something begins.
    pub fn wakes(&mut self, now: Instant) {
        if now.duration_since(self.used) >= IDLE {
            self.size = self.size.min(INITIAL);
        }
    }

    /// The subscriber copes.
    pub fn grow(&mut self, now: Instant) {
        self.used = now;
        self.size = (self.size + 1).min(self.most);
    }

    /// The subscriber does not cope.
    pub fn halve(&mut self, now: Instant) {
        self.used = now;
        if self
            .halved
            .is_none_or(|halved| now.duration_since(halved) >= HALVE_EVERY)
        {
            self.halved = Some(now);
            self.size = (self.size / 2).max(LEAST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn begins_small_and_grows_with_answers() {
        let now = Instant::now();
        let mut window = Window::new(64, now);
        assert_eq!(window.size(), INITIAL);
        for _ in 0..INITIAL {
            window.grow(now);
        }
        assert_eq!(window.size(), 2 * INITIAL);
        for _ in 0..1000 {
            window.grow(now);
        }
        assert_eq!(window.size(), 64);
    }

    #[test]
    fn failures_that_were_under_way_together_halve_it_once() {
        let now = Instant::now();
        let mut window = Window::new(64, now);
        for _ in 0..50 {
            window.halve(now);
        }
        assert_eq!(window.size(), INITIAL / 2);
        for second in 1..10 {
            window.halve(now + Duration::from_secs(second));
        }
        assert_eq!(window.size(), LEAST);
    }

    #[test]
    fn begins_anew_after_a_pause() {
        let now = Instant::now();
        let mut window = Window::new(64, now);
        for _ in 0..100 {
            window.grow(now);
        }
        window.wakes(now + IDLE / 2);
        assert_eq!(window.size(), 64);
        window.wakes(now + IDLE);
        assert_eq!(window.size(), INITIAL);
    }

    #[test]
    fn a_limit_of_one_is_kept() {
        let now = Instant::now();
        let mut window = Window::new(1, now);
        window.grow(now);
        assert_eq!(window.size(), 1);
    }
}
