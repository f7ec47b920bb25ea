//! Answers that are kept for a while, so that a branch of runs does not fetch the same thing a hundred times.

use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::IntGauge;
use reconciler::registered;
use tokio::time::Instant;

use crate::config::CacheConfig;
use crate::question::{Answer, Failure, Question};

/// All answers together, in bytes.
const MAX_BYTES: usize = 64 << 20;

static BYTES: LazyLock<IntGauge> = LazyLock::new(|| {
    registered(IntGauge::new(
        "kn_resolver_cache_bytes",
        "Bytes of the answers of resolvers that are kept.",
    ))
});

/// Whether the answer to a question is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Always,
    Never,
}

impl Mode {
    /// As the param `cache` says; by itself, what can never change is kept.
    ///
    /// # Errors
    /// If the param is not one of the modes.
    pub(crate) fn of(question: &Question, is_fixed: bool) -> Result<Self, Failure> {
        match question.get("cache") {
            Some("always") => Ok(Self::Always),
            Some("never") => Ok(Self::Never),
            None | Some("auto") if is_fixed => Ok(Self::Always),
            None | Some("auto") => Ok(Self::Never),
            Some(other) => Failure::never(format!(
                "the param cache is {other:?}: expected always, never or auto"
            )),
        }
    }
}

#[derive(Default)]
pub(crate) struct Cache {
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    answers: HashMap<String, Kept>,
    bytes: usize,
}

struct Kept {
    answer: Answer,
    since: Instant,
}

impl Held {
    fn remove(&mut self, key: &str) {
        if let Some(kept) = self.answers.remove(key) {
            self.bytes -= kept.answer.data.len();
        }
    }

    fn forget(&mut self, ttl: Duration) {
        let now = Instant::now();
        self.answers.retain(|_, kept| {
            let stays = now - kept.since < ttl;
            if !stays {
                self.bytes -= kept.answer.data.len();
            }
            stays
        });
    }

    fn oldest(&self) -> Option<String> {
        let oldest = self.answers.iter().min_by_key(|(_, kept)| kept.since);
        oldest.map(|(key, _)| key.clone())
    }
}

impl Cache {
    pub(crate) fn get(&self, key: &str, config: &CacheConfig) -> Option<Answer> {
        let held = self.held.lock();
        let kept = held.answers.get(key)?;
        (kept.since.elapsed() < config.ttl).then(|| kept.answer.clone())
    }

    pub(crate) fn keep(&self, key: String, answer: Answer, config: &CacheConfig) {
        let held = &mut *self.held.lock();
        held.forget(config.ttl);
        held.remove(&key);
        let bytes = answer.data.len();
        while held.answers.len() >= config.max_size.max(1) || held.bytes + bytes > MAX_BYTES {
            let Some(oldest) = held.oldest() else { break };
            held.remove(&oldest);
        }
        if config.max_size > 0 {
            held.bytes += bytes;
            let since = Instant::now();
            held.answers.insert(key, Kept { answer, since });
        }
        BYTES.set(i64::try_from(held.bytes).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::question::tests::question;

    fn answer(bytes: usize) -> Answer {
        Answer {
            data: vec![b'x'; bytes],
            ..Answer::default()
        }
    }

    #[test]
    fn what_cannot_change_is_kept() {
        for (cache, is_fixed, expected) in [
            ("", true, Some(Mode::Always)),
            ("", false, Some(Mode::Never)),
            ("auto", true, Some(Mode::Always)),
            ("always", false, Some(Mode::Always)),
            ("never", true, Some(Mode::Never)),
            ("sometimes", true, None),
        ] {
            assert_eq!(
                Mode::of(&question(&[("cache", cache)]), is_fixed).ok(),
                expected,
                "{cache}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn answers_are_bounded_in_number_bytes_and_time() {
        let (cache, config) = (
            Cache::default(),
            CacheConfig {
                max_size: 2,
                ttl: Duration::from_secs(10),
            },
        );
        for key in ["a", "b", "c"] {
            cache.keep(key.to_owned(), answer(1), &config);
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(cache.get("a", &config), None);
        assert_eq!(cache.get("b", &config), Some(answer(1)));
        cache.keep("d".to_owned(), answer(MAX_BYTES), &config);
        assert_eq!((cache.get("b", &config), cache.get("c", &config)), (None, None));
        assert_eq!(cache.held.lock().bytes, MAX_BYTES);
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(cache.get("d", &config), None);
        cache.keep("e".to_owned(), answer(1), &config);
        assert_eq!(cache.held.lock().bytes, 1);
    }
}
