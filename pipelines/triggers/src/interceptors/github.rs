//! `github`: signature, kind of event, changed files.

use serde::Deserialize;

use super::signature::{self, Algorithm};
use super::{Secret, SecretRef, Verdict, changed_files, header, wanted};
use crate::event::{Seen, is_form};

/// What it is told.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Params {
    /// The secret that GitHub signs with.
    pub secret_ref: Option<SecretRef>,
    /// Kinds of events that are wanted; all, if none are named.
    pub event_types: Vec<String>,
    /// Adds the files that a push changes.
    pub add_changed_files: Switch,
    /// Asks who may start builds by comments.
    pub github_owners: Switch,
}

/// Something that may be turned on.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Switch {
    /// Is it?
    pub enabled: bool,
}

/// Does the signature fit? Only the one with SHA-256 counts.
///
/// # Errors
/// Why it does not.
pub fn verify(event: &Seen, secret: &[u8]) -> Result<(), String> {
    let given = header(event, "x-hub-signature-256").ok_or("the header X-Hub-Signature-256 is missing")?;
    let digits = given
        .strip_prefix("sha256=")
        .ok_or("the header X-Hub-Signature-256 must start with sha256=")?;
    if signature::fits(Algorithm::Sha256, secret, &event.raw, digits) {
        Ok(())
    } else {
        Err("the signature does not fit: both sides must have the same secret".to_owned())
    }
}

/// Looks at an event.
pub fn check(params: &Params, event: &Seen, secret: Secret<'_>) -> Verdict {
    if is_form(&event.headers) {
        return Verdict::Stop("the webhook must have the content type application/json".to_owned());
    }
    if let Err(problem) = wanted(event, "x-github-event", &params.event_types) {
        return Verdict::Stop(problem);
    }
    if let Some(refusal) = super::gitlab::refusal(secret, |secret| verify(event, secret)) {
        return refusal;
    }
    if params.github_owners.enabled {
        // To let an event through unasked would let everybody start builds.
        return Verdict::Fail(
            "githubOwners is not available here: turn it off, or filter with cel".to_owned(),
        );
    }
    if !params.add_changed_files.enabled {
        return Verdict::go();
    }
    if header(event, "x-github-event") != Some("push") {
        return match header(event, "x-github-event") {
            Some("pull_request") => Verdict::Fail(
                "addChangedFiles is available here for push events only: the payload of a pull request does not list them"
                    .to_owned(),
            ),
            _ => Verdict::go(),
        };
    }
    match changed_files::of_push(&event.body) {
        Some(extensions) => Verdict::Continue(extensions),
        None => Verdict::Fail(
            "the push does not list all of its commits, so the changed files are not known".to_owned(),
        ),
    }
}
