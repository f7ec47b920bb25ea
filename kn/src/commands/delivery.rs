//! How commands read and show the delivery of events.

use serde_json::Value;

use crate::change::delivery as change;
use crate::commands::list::text;
use crate::context::Context;
use crate::error::CliError;
use crate::flags::delivery::{DeliveryArgs, RetryArgs};
use crate::{describe, sink};

/// What the flags of delivery do to an object, with all they refer to found.
#[derive(Clone, Debug, Default)]
pub struct Delivery {
    dead_letter: Option<Option<Value>>,
    retry: RetryArgs,
}

impl Delivery {
    /// Looks up what the flags refer to, seen from `namespace`.
    ///
    /// # Errors
    /// There is no such sink.
    pub async fn read(context: &Context, flags: &DeliveryArgs, namespace: &str) -> Result<Self, CliError> {
        Ok(Self {
            dead_letter: destination(context, "dl-sink", flags.dl_sink.as_deref(), namespace).await?,
            retry: flags.retry.clone(),
        })
    }

    /// Applies the flags to a spec.
    ///
    /// # Errors
    /// Names the flag whose value is wrong.
    pub fn apply(&self, spec: &mut Value) -> Result<(), CliError> {
        change::retry(spec, &self.retry)?;
        change::dead_letter(spec, self.dead_letter.clone());
        Ok(())
    }
}

/// The destination that an optional flag names; `Some(None)` if it is empty, which means none.
///
/// # Errors
/// As [`sink::resolve`].
pub async fn destination(
    context: &Context,
    flag: &str,
    value: Option<&str>,
    namespace: &str,
) -> Result<Option<Option<Value>>, CliError> {
    match value {
        None => Ok(None),
        Some("") => Ok(Some(None)),
        Some(value) => Ok(Some(Some(sink::resolve(context, flag, value, namespace).await?))),
    }
}

/// Where what could not be delivered goes, as tables show it.
pub fn dead_letter(object: &Value) -> String {
    sink::cell(
        &object["spec"]["delivery"]["deadLetterSink"],
        &text(object, "/metadata/namespace"),
    )
}

/// The block of a description.
pub fn describe(object: &Value) -> String {
    let delivery = &object["spec"]["delivery"];
    let mut rows = vec![
        (
            "Retry",
            delivery["retry"]
                .as_i64()
                .map(|retry| retry.to_string())
                .unwrap_or_default(),
        ),
        ("Timeout", text(delivery, "/timeout")),
        ("Backoff Policy", text(delivery, "/backoffPolicy")),
        ("Backoff Delay", text(delivery, "/backoffDelay")),
        ("Retry After Max", text(delivery, "/retryAfterMax")),
        ("Dead Letter Sink", dead_letter(object)),
    ];
    rows.retain(|(_, value)| !value.is_empty());
    describe::block(&rows)
}
