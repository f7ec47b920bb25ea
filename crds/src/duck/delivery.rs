//! How often and how long delivery is tried, and what becomes of events that cannot be delivered.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Destination;
use crate::iso_duration;

/// How events are delivered (`duck.knative.dev/v1 DeliverySpec`). Without one there is a single attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeliverySpec {
    /// Where events go that could not be delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letter_sink: Option<Destination>,
    /// Attempts after the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<i32>,
    /// Longest that one attempt may take, ISO 8601.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// How the pauses between attempts grow; effective only together with `backoffDelay`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff_policy: Option<BackoffPolicy>,
    /// The pause that `backoffPolicy` starts from, ISO 8601.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff_delay: Option<String>,
    /// Longest pause that a receiver may ask for with `Retry-After`, ISO 8601; absent or zero: the header is ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_max: Option<String>,
    /// Content mode in which events are sent; absent: as they were received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<DeliveryFormat>,
    /// Attribute whose equal values are delivered one after the other, in the order of arrival. Absent: no order.
    /// Spindrift's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_by: Option<String>,
}

impl DeliverySpec {
    /// `timeout`; `None` also if it is not valid, which admission refuses.
    pub fn timeout(&self) -> Option<Duration> {
        duration(self.timeout.as_deref())
    }

    /// `backoffDelay`, as [`DeliverySpec::timeout`].
    pub fn backoff_delay(&self) -> Option<Duration> {
        duration(self.backoff_delay.as_deref())
    }

    /// `retryAfterMax`, as [`DeliverySpec::timeout`].
    pub fn retry_after_max(&self) -> Option<Duration> {
        duration(self.retry_after_max.as_deref())
    }
}

fn duration(text: Option<&str>) -> Option<Duration> {
    text.and_then(|text| iso_duration::parse(text).ok())
}

/// How the pauses between attempts grow. With n counted from 0: see the variants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackoffPolicy {
    /// delay · n: the first pause is none at all.
    Linear,
    /// delay · 2ⁿ
    Exponential,
    /// A word that admission refuses; no pauses.
    #[serde(untagged)]
    Other(String),
}

/// Content mode in which events are sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryFormat {
    /// Structured, as JSON.
    Json,
    /// Binary: attributes in headers.
    Binary,
    /// A word that admission refuses; as received.
    #[serde(untagged)]
    Other(String),
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_wire_form_survives_a_round_trip() {
        let wire = json!({
            "deadLetterSink": {"ref": {"apiVersion": "v1", "kind": "Service", "name": "dls"}, "uri": "/x", "CACerts": "pem"},
            "retry": 10, "backoffPolicy": "exponential", "backoffDelay": "PT0.2S", "timeout": "PT1M",
            "retryAfterMax": "PT0S", "format": "json", "orderBy": "subject",
        });
        let delivery: DeliverySpec = serde_json::from_value(wire.clone()).unwrap();
        assert_eq!(serde_json::to_value(&delivery).unwrap(), wire);
        assert_eq!(delivery.backoff_delay(), Some(Duration::from_millis(200)));
        assert_eq!(delivery.timeout(), Some(Duration::from_secs(60)));
        assert_eq!(delivery.retry_after_max(), Some(Duration::ZERO));
        let odd: DeliverySpec = serde_json::from_value(json!({"backoffPolicy": "cubic"})).unwrap();
        assert_eq!(odd.backoff_policy, Some(BackoffPolicy::Other("cubic".to_owned())));
    }
}
