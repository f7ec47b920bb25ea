//! `slack`: signature, fields of a command.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::signature::{self, Algorithm};
use super::{Secret, SecretRef, Verdict, header};
use crate::event::{Seen, is_form};

/// Seconds that the time in a signature may be off (Slack's own advice).
const WINDOW: i64 = 300;

/// What it is told.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Params {
    /// The secret that Slack signs with. Without it nothing but the presence of a signature is checked, as upstream.
    pub secret_ref: Option<SecretRef>,
    /// Fields that become extensions.
    pub requested_fields: Vec<String>,
}

/// Does the signature fit, and was it made just before the event came?
///
/// # Errors
/// Why it does not.
pub fn verify(event: &Seen, secret: &[u8]) -> Result<(), String> {
    let given = header(event, "x-slack-signature").ok_or("the header X-Slack-Signature is missing")?;
    let digits = given
        .strip_prefix("v0=")
        .ok_or("the header X-Slack-Signature must start with v0=")?;
    let time = header(event, "x-slack-request-timestamp")
        .ok_or("the header X-Slack-Request-Timestamp is missing")?;
    let second: i64 = time
        .parse()
        .map_err(|_| "the header X-Slack-Request-Timestamp must be a number")?;
    if event.received_at.as_second().abs_diff(second) > WINDOW.unsigned_abs() {
        return Err("the signature is too old".to_owned());
    }
    let mut message = format!("v0:{time}:").into_bytes();
    message.extend_from_slice(&event.raw);
    if signature::fits(Algorithm::Sha256, secret, &message, digits) {
        Ok(())
    } else {
        Err("the signature does not fit: both sides must have the same secret".to_owned())
    }
}

/// Looks at an event.
pub fn check(params: &Params, event: &Seen, secret: Secret<'_>) -> Verdict {
    if !is_form(&event.headers) {
        return Verdict::Stop("the body must be a form".to_owned());
    }
    if header(event, "x-slack-signature").is_none() {
        return Verdict::Fail("the header X-Slack-Signature is missing".to_owned());
    }
    if let Some(refusal) = super::gitlab::refusal(secret, |secret| verify(event, secret)) {
        return refusal;
    }
    let mut extensions = Map::new();
    for field in &params.requested_fields {
        let Some(values) = event.body.get(field).and_then(Value::as_array) else {
            return Verdict::Stop(format!("the form has no field {field:?}"));
        };
        extensions.insert(field.clone(), json!(values));
    }
    Verdict::Continue(extensions)
}
