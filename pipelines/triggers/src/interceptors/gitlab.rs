//! `gitlab`: token, kind of event.

use serde::Deserialize;

use super::{Secret, SecretRef, Verdict, header, signature, wanted};
use crate::event::Seen;

/// What it is told.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Params {
    /// The token that GitLab sends.
    pub secret_ref: Option<SecretRef>,
    /// Kinds of events that are wanted; all, if none are named.
    pub event_types: Vec<String>,
}

/// Is it the token?
///
/// # Errors
/// Why it is not.
pub fn verify(event: &Seen, secret: &[u8]) -> Result<(), String> {
    let given = header(event, "x-gitlab-token").ok_or("the header X-Gitlab-Token is missing")?;
    if signature::same(given.as_bytes(), secret) {
        Ok(())
    } else {
        Err("the token does not fit: both sides must have the same secret".to_owned())
    }
}

/// Looks at an event.
pub fn check(params: &Params, event: &Seen, secret: Secret<'_>) -> Verdict {
    if let Err(problem) = wanted(event, "x-gitlab-event", &params.event_types) {
        return Verdict::Stop(problem);
    }
    refusal(secret, |secret| verify(event, secret)).unwrap_or_else(Verdict::go)
}

/// What is said to an event that does not prove that its sender knows the secret. It counts as a failure: the secret
/// may be mended, and the delivery made again.
pub(super) fn refusal(
    secret: Secret<'_>,
    verify: impl FnOnce(&[u8]) -> Result<(), String>,
) -> Option<Verdict> {
    match secret {
        Secret::NotAsked => None,
        Secret::Missing => Some(Verdict::Fail("the secret is missing".to_owned())),
        Secret::Known(secret) => verify(secret).err().map(Verdict::Fail),
    }
}
