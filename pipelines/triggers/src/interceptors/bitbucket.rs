//! `bitbucket`: signature, kind of event.

use serde::Deserialize;

use super::github::Switch;
use super::signature::{self, Algorithm};
use super::{Secret, SecretRef, Verdict, header, wanted};
use crate::event::Seen;

/// What it is told.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Params {
    /// The secret that Bitbucket signs with.
    pub secret_ref: Option<SecretRef>,
    /// Kinds of events that are wanted; all, if none are named.
    pub event_types: Vec<String>,
    /// Adds the files that a push changes.
    pub add_changed_files: Switch,
    /// Asks who may start builds by comments.
    pub bitbucket_owners: Switch,
}

/// Does the signature fit?
///
/// # Errors
/// Why it does not.
pub fn verify(event: &Seen, secret: &[u8]) -> Result<(), String> {
    let given = header(event, "x-hub-signature").ok_or("the header X-Hub-Signature is missing")?;
    let (algorithm, digits) = match given.split_once('=') {
        Some(("sha256", digits)) => (Algorithm::Sha256, digits),
        Some(("sha1", digits)) => (Algorithm::Sha1, digits),
        _ => return Err("the header X-Hub-Signature must start with sha256= or sha1=".to_owned()),
    };
    if signature::fits(algorithm, secret, &event.raw, digits) {
        Ok(())
    } else {
        Err("the signature does not fit: both sides must have the same secret".to_owned())
    }
}

/// Looks at an event.
pub fn check(params: &Params, event: &Seen, secret: Secret<'_>) -> Verdict {
    if let Err(problem) = wanted(event, "x-event-key", &params.event_types) {
        return Verdict::Stop(problem);
    }
    if let Some(refusal) = super::gitlab::refusal(secret, |secret| verify(event, secret)) {
        return refusal;
    }
    if params.add_changed_files.enabled || params.bitbucket_owners.enabled {
        return Verdict::Fail(
            "addChangedFiles and bitbucketOwners are not available here: turn them off, or filter with cel"
                .to_owned(),
        );
    }
    Verdict::go()
}
