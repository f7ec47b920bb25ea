//! What one delivery may and must do: when to try again, after which wait, what an answer means, and what a dead
//! letter carries. Everything here is a pure function of its arguments.
//!
//! The rules are those of the Knative delivery spec as upstream implements them, quirks included where users or tests
//! rely on them:
//!
//! - `retry: N` means N + 1 attempts ([`Policy::attempts`]); no delivery spec at all means one.
//! - Waits follow [`Backoff`]; our jitter only ever adds to them.
//! - [`outcome`] has the table of answers, [`dead_letter`] the attributes of a dead letter, [`headers`] what travels
//!   beside an event.

mod backoff;
pub mod dead_letter;
pub mod headers;
pub mod outcome;
mod retry_after;

use std::time::Duration;

use crds::duck::{self, DeliveryFormat, DeliverySpec};
use event::Mode;

pub use backoff::{Backoff, BackoffPolicy, jittered};
pub use outcome::{Failure, Path, Verdict};
pub use retry_after::parse_retry_after;

/// How an event is sent. The default is what a missing `delivery` means: one attempt, sent as it was received.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// Attempts after the first one.
    pub retries: u32,
    /// `None` unless policy and delay are both set: retries then follow at once.
    pub backoff: Option<Backoff>,
    /// Longest time of one attempt, until its answer was read. `None`: only the client's own limit counts.
    pub timeout: Option<Duration>,
    /// Longest `Retry-After` that is obeyed. `None` or zero: the header is ignored.
    pub retry_after_max: Option<Duration>,
    /// The content mode to send in. `None`: as it was received.
    pub format: Option<Mode>,
}

impl Policy {
    /// What a delivery spec asks for. Its dead letter sink is another matter: see [`crate::model`].
    pub fn of(spec: Option<&DeliverySpec>) -> Self {
        let Some(spec) = spec else {
            return Self::default();
        };
        let policy = match &spec.backoff_policy {
            Some(duck::BackoffPolicy::Linear) => Some(BackoffPolicy::Linear),
            Some(duck::BackoffPolicy::Exponential) => Some(BackoffPolicy::Exponential),
            Some(duck::BackoffPolicy::Other(_)) | None => None,
        };
        Self {
            retries: spec.retry.and_then(|retry| retry.try_into().ok()).unwrap_or(0),
            backoff: policy
                .zip(spec.backoff_delay())
                .map(|(policy, delay)| Backoff { policy, delay }),
            timeout: spec.timeout().filter(|timeout| !timeout.is_zero()),
            retry_after_max: spec.retry_after_max(),
            format: match &spec.format {
                Some(DeliveryFormat::Json) => Some(Mode::Structured),
                Some(DeliveryFormat::Binary) => Some(Mode::Binary),
                Some(DeliveryFormat::Other(_)) | None => None,
            },
        }
    }

    /// Attempts in all.
    pub fn attempts(&self) -> u32 {
        self.retries.saturating_add(1)
    }

    /// How long to wait after the attempt with this number (the first is 0) failed with `failure`; `None` when it is
    /// not to be tried again.
    ///
    /// `Retry-After` counts for 429 and 503 only, and lengthens the wait at most to [`Policy::retry_after_max`].
    pub fn wait(&self, attempt: u32, failure: &Failure) -> Option<Duration> {
        if attempt >= self.retries || !failure.retryable() {
            return None;
        }
        let backoff = self
            .backoff
            .map_or(Duration::ZERO, |backoff| backoff.wait(attempt));
        let asked = match (failure.code, failure.retry_after, self.retry_after_max) {
            (429 | 503, Some(asked), Some(most)) => asked.min(most),
            _ => Duration::ZERO,
        };
        Some(backoff.max(asked))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(retries: u32, retry_after_max: Option<Duration>) -> Policy {
        Policy {
            retries,
            backoff: Some(Backoff {
                policy: BackoffPolicy::Exponential,
                delay: Duration::from_millis(200),
            }),
            retry_after_max,
            ..Policy::default()
        }
    }

    fn failed(code: u16, retry_after: Option<u64>) -> Failure {
        Failure {
            retry_after: retry_after.map(Duration::from_secs),
            ..Failure::answered(code, &[])
        }
    }

    #[test]
    fn without_a_delivery_spec_there_is_one_attempt() {
        assert_eq!(Policy::default().attempts(), 1);
        assert_eq!(Policy::default().wait(0, &failed(500, None)), None);
    }

    #[test]
    fn specs_are_read_by_field() {
        let of = |spec: serde_json::Value| Policy::of(Some(&serde_json::from_value(spec).unwrap()));
        let full = of(serde_json::json!({
            "retry": 3, "backoffPolicy": "linear", "backoffDelay": "PT1S", "timeout": "PT5S", "retryAfterMax": "PT1M",
            "format": "json",
        }));
        let expected = Policy {
            retries: 3,
            backoff: Some(Backoff {
                policy: BackoffPolicy::Linear,
                delay: Duration::from_secs(1),
            }),
            timeout: Some(Duration::from_secs(5)),
            retry_after_max: Some(Duration::from_secs(60)),
            format: Some(Mode::Structured),
        };
        assert_eq!(full, expected);
        assert_eq!(Policy::of(None), Policy::default());
        for without_waits in [
            serde_json::json!({"retry": 2, "backoffPolicy": "linear"}),
            serde_json::json!({"retry": 2, "backoffDelay": "PT1S"}),
            serde_json::json!({"retry": 2, "backoffPolicy": "cubic", "backoffDelay": "PT1S"}),
        ] {
            let expected = Policy {
                retries: 2,
                ..Policy::default()
            };
            assert_eq!(of(without_waits), expected);
        }
        assert_eq!(of(serde_json::json!({"retry": -1})).attempts(), 1);
    }

    #[test]
    fn retry_n_is_n_plus_one_attempts() {
        let policy = policy(10, None);
        let waits: Vec<u128> = (0..)
            .map_while(|attempt| policy.wait(attempt, &failed(500, None)))
            .map(|wait| wait.as_millis())
            .collect();
        assert_eq!(
            waits,
            [200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 102_400]
        );
    }

    #[test]
    fn what_is_not_retryable_is_not_retried() {
        assert_eq!(policy(10, None).wait(0, &failed(400, None)), None);
    }

    #[test]
    fn without_policy_and_delay_retries_follow_at_once() {
        let policy = Policy {
            retries: 2,
            ..Policy::default()
        };
        assert_eq!(policy.wait(1, &failed(503, None)), Some(Duration::ZERO));
    }

    #[test]
    fn retry_after_lengthens_the_wait_within_bounds() {
        let seconds = |n| Some(Duration::from_secs(n));
        let rows = [
            // (code, header, retryAfterMax, wait in ms)
            (503, Some(3), seconds(10), 3_000),
            (429, Some(3), seconds(10), 3_000),
            (503, Some(30), seconds(10), 10_000),
            (503, Some(0), seconds(10), 200),
            (503, None, seconds(10), 200),
            (500, Some(3), seconds(10), 200),
            (404, Some(3), seconds(10), 200),
            (503, Some(3), None, 200),
            (503, Some(3), seconds(0), 200),
        ];
        for (code, header, most, millis) in rows {
            let wait = policy(3, most).wait(0, &failed(code, header));
            assert_eq!(
                wait,
                Some(Duration::from_millis(millis)),
                "{code} {header:?} {most:?}"
            );
        }
    }
}
