//! What a ResolutionRequest says by now.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crds::tekton::{RefSource, ResolutionRequest, RunStatus as _};
use k8s_openapi::jiff::Timestamp;

/// What a resolver gets beyond the time that it has, to say that the time is up.
const GRACE: Duration = Duration::from_secs(5);

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answer {
    NotYet,
    /// And why not.
    Never(String),
    Data {
        data: Vec<u8>,
        source: Option<RefSource>,
    },
}

pub(super) fn is_answered(request: &ResolutionRequest) -> bool {
    request.status.as_ref().is_some_and(|status| status.is_done())
}

/// Resolvers have `patience` from the creation of the question on.
pub(super) fn answer(request: &ResolutionRequest, now: Timestamp, patience: Duration) -> Answer {
    let status = request.status.clone().unwrap_or_default();
    match status.succeeded() {
        Some(condition) if condition.is_true() => match STANDARD.decode(status.data.trim()) {
            Ok(data) => Answer::Data {
                data,
                source: status.ref_source,
            },
            Err(_) => Answer::Never("its answer is no base64".to_owned()),
        },
        Some(condition) if condition.is_false() => {
            let message = condition.message.clone().filter(|message| !message.is_empty());
            let reason = || condition.reason.clone().unwrap_or_default();
            Answer::Never(message.unwrap_or_else(reason))
        }
        _ => {
            let since = request
                .metadata
                .creation_timestamp
                .as_ref()
                .map_or(now, |time| time.0);
            let waited = Duration::try_from(now.duration_since(since)).unwrap_or_default();
            if waited > patience + GRACE {
                return Answer::Never(format!("it did not answer within {patience:?}"));
            }
            Answer::NotYet
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request(status: serde_json::Value) -> ResolutionRequest {
        serde_json::from_value(json!({
            "apiVersion": "resolution.tekton.dev/v1beta1", "kind": "ResolutionRequest",
            "metadata": {"name": "r", "creationTimestamp": "2026-01-01T00:00:00Z"}, "spec": {}, "status": status,
        }))
        .unwrap()
    }

    fn condition(status: &str, reason: &str, message: &str) -> serde_json::Value {
        json!([{"type": "Succeeded", "status": status, "reason": reason, "message": message}])
    }

    #[test]
    fn answers_come_from_status_and_time() {
        let never = |words: &str| Answer::Never(words.to_owned());
        for (status, second, expected) in [
            (json!({}), 0, Answer::NotYet),
            (json!({}), 64, Answer::NotYet),
            (json!({}), 66, never("it did not answer within 60s")),
            (
                json!({"conditions": condition("Unknown", "ResolutionInProgress", "")}),
                30,
                Answer::NotYet,
            ),
            (
                json!({"conditions": condition("False", "ResolutionFailed", "no such file")}),
                0,
                never("no such file"),
            ),
            (
                json!({"conditions": condition("False", "ResolutionTimedOut", "")}),
                0,
                never("ResolutionTimedOut"),
            ),
            (
                json!({"data": "%", "conditions": condition("True", "ResolutionSuccessful", "")}),
                0,
                never("its answer is no base64"),
            ),
            (
                json!({"data": "aGk=", "refSource": {"uri": "u"},
                       "conditions": condition("True", "ResolutionSuccessful", "")}),
                900,
                Answer::Data {
                    data: b"hi".to_vec(),
                    source: Some(RefSource {
                        uri: "u".to_owned(),
                        ..RefSource::default()
                    }),
                },
            ),
        ] {
            let now = "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap() + Duration::from_secs(second);
            assert_eq!(
                answer(&request(status.clone()), now, Duration::from_secs(60)),
                expected,
                "{status}"
            );
        }
    }
}
