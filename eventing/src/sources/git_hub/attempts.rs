//! Remembers what went wrong at GitHub, so that it is not asked the same again too soon.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use reconciler::Key;

use super::hook::Hook;
use super::status::Failure;

/// What was tried. Anything else is tried at once.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Attempt {
    pub wanted: Hook,
    /// UID and version of the Secret with the access token.
    pub access_token: String,
}

/// The last failure of each source that exists.
#[derive(Debug, Default)]
pub(super) struct Attempts(Mutex<HashMap<Key, (Attempt, Failure, Instant)>>);

impl Attempts {
    /// Why `attempt` went wrong, and how long to wait before the next, if there is anything left to wait.
    pub(super) fn failed(&self, key: &Key, attempt: &Attempt) -> Option<(Failure, Duration)> {
        let attempts = self.0.lock();
        let (tried, failure, until) = attempts.get(key)?;
        let left = until.saturating_duration_since(Instant::now());
        (tried == attempt && !left.is_zero()).then(|| (failure.clone(), left))
    }

    pub(super) fn note(&self, key: Key, attempt: Attempt, failure: Failure, pause: Duration) {
        let until = Instant::now() + pause;
        self.0.lock().insert(key, (attempt, failure, until));
    }

    pub(super) fn forget(&self, key: &Key) {
        self.0.lock().remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_waits_and_only_until_its_time() {
        let attempts = Attempts::default();
        let (key, failure) = (
            Key::new("ns", "web"),
            Failure {
                reason: "X",
                message: "no".to_owned(),
            },
        );
        let attempt = |token: &str| Attempt {
            wanted: Hook::default(),
            access_token: token.to_owned(),
        };
        assert!(attempts.failed(&key, &attempt("1")).is_none());
        attempts.note(
            key.clone(),
            attempt("1"),
            failure.clone(),
            Duration::from_secs(1000),
        );
        let (told, left) = attempts.failed(&key, &attempt("1")).unwrap();
        assert_eq!(told, failure);
        assert!(left > Duration::from_secs(900) && left <= Duration::from_secs(1000));
        assert!(attempts.failed(&key, &attempt("2")).is_none());
        assert!(attempts.failed(&Key::new("ns", "other"), &attempt("1")).is_none());
        attempts.note(key.clone(), attempt("1"), failure, Duration::ZERO);
        assert!(attempts.failed(&key, &attempt("1")).is_none());
        attempts.forget(&key);
        assert!(attempts.0.lock().is_empty());
    }
}
