//! How events are delivered: `spec.delivery`.

use serde_json::{Value, json};

use super::json::{at, drop_empty, object, set_text};
use crate::error::CliError;
use crate::flags::delivery::{BackoffPolicy, RetryArgs};

/// Sets or, for `Some(None)`, removes the destination of what could not be delivered.
pub fn dead_letter(spec: &mut Value, sink: Option<Option<Value>>) {
    match sink {
        None => return,
        Some(None) => {
            object(at(spec, &["delivery"])).remove("deadLetterSink");
        }
        Some(Some(sink)) => *at(spec, &["delivery", "deadLetterSink"]) = sink,
    }
    drop_empty(spec, "delivery");
}

/// Applies the flags; what none of them names stays.
///
/// # Errors
/// Names the flag whose value is wrong.
pub fn retry(spec: &mut Value, flags: &RetryArgs) -> Result<(), CliError> {
    if *flags == RetryArgs::default() {
        return Ok(());
    }
    let delivery = at(spec, &["delivery"]);
    if let Some(retry) = flags.retry {
        if retry < 0 {
            return Err(CliError::usage(format!("--retry {retry}: expected 0 or more")));
        }
        *at(delivery, &["retry"]) = json!(retry);
    }
    if let Some(policy) = flags.backoff_policy {
        let policy = match policy {
            BackoffPolicy::Linear => "linear",
            BackoffPolicy::Exponential => "exponential",
        };
        set_text(delivery, "backoffPolicy", policy);
    }
    for (flag, field, value) in [
        ("timeout", "timeout", &flags.timeout),
        ("backoff-delay", "backoffDelay", &flags.backoff_delay),
        ("retry-after-max", "retryAfterMax", &flags.retry_after_max),
    ] {
        if let Some(value) = value {
            is_duration(flag, value)?;
            set_text(delivery, field, value);
        }
    }
    drop_empty(spec, "delivery");
    Ok(())
}

/// ISO 8601, as the API takes it: `PT0.5S`; not `500ms`.
fn is_duration(flag: &str, value: &str) -> Result<(), CliError> {
    let iso = value.is_empty() || (value.starts_with('P') && value.parse::<jiff::Span>().is_ok());
    match iso {
        true => Ok(()),
        false => Err(CliError::usage(format!(
            "--{flag} {value}: expected a duration of ISO 8601, such as PT10S, PT0.5S or PT2M"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_come_and_go() {
        let mut spec = json!({ "delivery": { "future": 1, "timeout": "PT1S" } });
        let flags = RetryArgs {
            retry: Some(0),
            backoff_policy: Some(BackoffPolicy::Linear),
            backoff_delay: Some("PT0.5S".into()),
            timeout: Some(String::new()),
            ..RetryArgs::default()
        };
        retry(&mut spec, &flags).unwrap();
        dead_letter(&mut spec, Some(Some(json!({ "uri": "http://x" }))));
        assert_eq!(
            spec,
            json!({ "delivery": { "future": 1, "retry": 0, "backoffPolicy": "linear", "backoffDelay": "PT0.5S", "deadLetterSink": { "uri": "http://x" } } })
        );
        let mut spec = json!({ "delivery": { "deadLetterSink": {} } });
        dead_letter(&mut spec, Some(None));
        assert_eq!(spec, json!({}));
    }

    #[test]
    fn durations_are_those_of_the_api() {
        for right in ["PT10S", "PT0.2S", "P1DT2H", ""] {
            is_duration("timeout", right).unwrap();
        }
        for wrong in ["10s", "1m", "PT", "P", "x"] {
            let message = is_duration("timeout", wrong).unwrap_err().message;
            assert!(
                message.contains("--timeout") && message.contains("PT10S"),
                "{wrong}"
            );
        }
    }
}
