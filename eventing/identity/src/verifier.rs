//! Whose a token is.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use kube::Api;
use kube::api::PostParams;
use parking_lot::Mutex;
use ring::digest::{Context, SHA256, SHA256_OUTPUT_LEN};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::claims::Claims;

/// Tokens of which is known whose they are.
const MOST: usize = 4_096;
/// How long an answer of the API server holds: an account that is gone is out after this.
const HOLDS: Duration = Duration::from_secs(60);
/// How long it holds that a token is not good.
const REFUSED: Duration = Duration::from_secs(10);
/// Questions under way at the same time.
const QUESTIONS: usize = 32;
/// Longest wait for the API server.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Why nobody is known to have sent a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Unverified {
    /// It is not a token of this cluster, not for this audience, or not any more.
    Invalid,
    /// The API server could not be asked.
    Unavailable(String),
}

/// Asks the API server whose tokens are, and remembers what it said.
pub struct Verifier {
    client: kube::Client,
    questions: Semaphore,
    known: Mutex<Known>,
}

impl Verifier {
    pub fn new(client: kube::Client) -> Self {
        Self {
            client,
            questions: Semaphore::new(QUESTIONS),
            known: Mutex::default(),
        }
    }

    /// The subject of a token that was made for `audience`.
    pub async fn subject(&self, token: &str, audience: &str) -> Result<Arc<str>, Unverified> {
        // What is plainly wrong costs no question.
        let claims = Claims::of(token).filter(|claims| claims.is_for(audience));
        let claims = claims.ok_or(Unverified::Invalid)?;
        let key = digest(token, audience);
        if let Some(known) = self.known.lock().get(&key, Timestamp::now()) {
            return known.ok_or(Unverified::Invalid);
        }
        let asking = Box::pin(self.ask(key, token, audience, claims.expires));
        timeout(TIMEOUT, asking).await.unwrap_or_else(|_| {
            Err(Unverified::Unavailable(
                "the API server does not answer".to_owned(),
            ))
        })
    }

    /// Answers that are held, of at most 4096.
    pub fn len(&self) -> usize {
        self.known.lock().answers.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    async fn ask(
        &self,
        key: Digest,
        token: &str,
        audience: &str,
        expires: i64,
    ) -> Result<Arc<str>, Unverified> {
        // Never closed; without a permit the question would be one too many, not wrong.
        let _permit = self.questions.acquire().await;
        if let Some(known) = self.known.lock().get(&key, Timestamp::now()) {
            return known.ok_or(Unverified::Invalid);
        }
        let now = Timestamp::now();
        if expires <= now.as_second() {
            return Err(Unverified::Invalid);
        }
        let status = review(&self.client, token, audience).await;
        let status = status.map_err(|error| Unverified::Unavailable(error.to_string()))?;
        let subject = subject(&status, audience).map(Arc::from);
        let until = until(now, expires, subject.is_some());
        self.known.lock().put(key, subject.clone(), until, now);
        subject.ok_or(Unverified::Invalid)
    }
}

/// What the API server says of a token.
async fn review(client: &kube::Client, token: &str, audience: &str) -> kube::Result<TokenReviewStatus> {
    let review = TokenReview {
        spec: TokenReviewSpec {
            token: token.to_owned(),
            audiences: Some(vec![audience.to_owned()]),
        },
        ..TokenReview::default()
    };
    let reviews: Api<TokenReview> = Api::all(client.clone());
    let review = reviews.create(&PostParams::default(), &review).await?;
    Ok(review.status.unwrap_or_default())
}

fn subject(status: &TokenReviewStatus, audience: &str) -> Option<String> {
    let audiences = status.audiences.as_deref().unwrap_or_default();
    // A server that knows nothing of audiences would leave them out.
    if status.authenticated != Some(true) || !audiences.iter().any(|found| found == audience) {
        return None;
    }
    let user = status.user.as_ref()?;
    user.username.clone().filter(|name| !name.is_empty())
}

fn until(now: Timestamp, expires: i64, good: bool) -> Timestamp {
    let holds = if good { HOLDS } else { REFUSED };
    let held = now.checked_add(holds).unwrap_or(now);
    Timestamp::from_second(expires).map_or(now, |expires| held.min(expires))
}

type Digest = [u8; SHA256_OUTPUT_LEN];

/// Tokens themselves are not kept.
fn digest(token: &str, audience: &str) -> Digest {
    let mut context = Context::new(&SHA256);
    for part in [token, "\0", audience] {
        context.update(part.as_bytes());
    }
    let mut digest = Digest::default();
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

/// What the API server said.
#[derive(Default)]
struct Known {
    answers: HashMap<Digest, Answer>,
}

struct Answer {
    /// `None`: the token is not good.
    subject: Option<Arc<str>>,
    until: Timestamp,
}

impl Known {
    fn get(&self, key: &Digest, now: Timestamp) -> Option<Option<Arc<str>>> {
        let answer = self.answers.get(key).filter(|answer| now < answer.until)?;
        Some(answer.subject.clone())
    }

    fn put(&mut self, key: Digest, subject: Option<Arc<str>>, until: Timestamp, now: Timestamp) {
        if self.answers.len() >= MOST {
            self.answers.retain(|_, answer| now < answer.until);
        }
        if self.answers.len() >= MOST {
            // Refused tokens are made faster than good ones.
            self.answers.retain(|_, answer| answer.subject.is_some());
        }
        if self.answers.len() < MOST {
            self.answers.insert(key, Answer { subject, until });
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_subject_of_a_token_for_the_audience_is_known() {
        let user = json!({"username": "system:serviceaccount:ns:a"});
        for (status, expected) in [
            (
                json!({"authenticated": true, "audiences": ["a"], "user": user}),
                true,
            ),
            (
                json!({"authenticated": true, "audiences": ["x", "a"], "user": user}),
                true,
            ),
            (
                json!({"authenticated": true, "audiences": ["x"], "user": user}),
                false,
            ),
            (json!({"authenticated": true, "user": user}), false),
            (
                json!({"authenticated": false, "audiences": ["a"], "user": user}),
                false,
            ),
            (json!({"audiences": ["a"], "user": user}), false),
            (
                json!({"authenticated": true, "audiences": ["a"], "user": {"username": ""}}),
                false,
            ),
            (json!({"authenticated": true, "audiences": ["a"]}), false),
        ] {
            let read = serde_json::from_value(status.clone()).unwrap();
            assert_eq!(subject(&read, "a").is_some(), expected, "{status}");
        }
    }

    #[test]
    fn answers_hold_for_a_while_and_never_longer_than_the_token() {
        let now = Timestamp::from_second(1_000).unwrap();
        for (expires, good, expected) in [
            (5_000, true, 1_060),
            (1_030, true, 1_030),
            (5_000, false, 1_010),
            (1_005, false, 1_005),
            (i64::MAX, true, 1_000),
        ] {
            assert_eq!(
                until(now, expires, good).as_second(),
                expected,
                "{expires} {good}"
            );
        }
    }

    #[test]
    fn what_is_known_is_bounded_and_ends() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let key = |n: usize| digest(&n.to_string(), "a");
        let good: Option<Arc<str>> = Some("me".into());
        let mut known = Known::default();
        known.put(key(0), good.clone(), at(10), at(0));
        assert_eq!(known.get(&key(0), at(9)), Some(good.clone()));
        assert_eq!(known.get(&key(0), at(10)), None);
        for n in 1..MOST {
            known.put(key(n), None, at(20), at(0));
        }
        assert_eq!(known.answers.len(), MOST);
        assert_eq!(known.get(&key(1), at(0)), Some(None));
        // Those that were refused make room for others.
        known.put(key(MOST), good.clone(), at(20), at(0));
        assert_eq!(known.answers.len(), 2);
        for n in 0..2 * MOST {
            known.put(key(n), good.clone(), at(20), at(0));
        }
        assert_eq!(known.answers.len(), MOST);
    }

    #[test]
    fn tokens_and_audiences_are_told_apart() {
        assert_ne!(digest("ab", "c"), digest("a", "bc"));
        assert_ne!(digest("a", "b"), digest("a", "c"));
        assert_eq!(digest("a", "b"), digest("a", "b"));
    }
}
