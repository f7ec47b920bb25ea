//! Delivery specs.

use std::time::Duration;

use serde_json::Value;

use super::super::{FieldError, FieldErrors};
use super::destination::optional;
use crate::iso_duration;
use crate::resource::events::Context;
use crate::resource::{get, integer, text};

/// Checks `delivery` of `holder`, if it is there.
pub(super) fn delivery(holder: &Value, context: &Context<'_>) -> FieldErrors {
    match get(holder, "delivery") {
        Some(found) => spec(found, context).via_field("delivery"),
        None => FieldErrors::default(),
    }
}

fn spec(delivery: &Value, context: &Context<'_>) -> FieldErrors {
    let features = &context.configs.features;
    let mut errors = optional(delivery, "deadLetterSink", context);
    if let Some(retry) = integer(delivery, "retry").filter(|retry| *retry < 0) {
        errors.also(FieldError::invalid(retry, "retry"));
    }
    let flagged = [
        ("timeout", features.delivery_timeout, false),
        ("retryAfterMax", features.delivery_retry_after, true),
    ];
    for (name, flag, zero) in flagged {
        if get(delivery, name).is_none() {
            continue;
        }
        if flag.is_allowed() {
            errors.also(duration(delivery, name, |duration| zero || !duration.is_zero()));
        } else {
            errors.also(FieldError::disallowed(name));
        }
    }
    errors.also(duration(delivery, "backoffDelay", |_| true));
    for (name, allowed) in [
        ("backoffPolicy", ["linear", "exponential"]),
        ("format", ["json", "binary"]),
    ] {
        if get(delivery, name).is_some() && !allowed.contains(&text(delivery, name)) {
            errors.also(FieldError::invalid(text(delivery, name), name));
        }
    }
    let order_by = text(delivery, "orderBy");
    if get(delivery, "orderBy").is_some() && !is_attribute(order_by) {
        let details = "the name of an attribute has lower-case letters and digits only";
        errors.also(FieldError::invalid(order_by, "orderBy").with_details(details));
    }
    errors
}

/// Complains about a text that is no ISO 8601 duration, or one that `accepts` does not accept.
pub(super) fn duration(holder: &Value, name: &str, accepts: impl Fn(Duration) -> bool) -> Option<FieldError> {
    get(holder, name)?;
    let value = text(holder, name);
    let valid = iso_duration::parse(value).is_ok_and(accepts);
    (!valid).then(|| FieldError::invalid(value, name))
}

/// May this be the name of an attribute?
pub(super) fn is_attribute(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit())
}
