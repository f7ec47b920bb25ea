//! What the readiness probe of a pod said last. Kubernetes tells it in events only.

use k8s_openapi::api::core::v1::{Event, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::api::ListParams;
use kube::{Api, Client};
use tracing::debug;

use crate::shared::{namespace_of, uid_of};

/// Events read at most; a pod has fewer.
const MAX_EVENTS: u32 = 100;
const REASON: &str = "Unhealthy";
const PREFIX: &str = "Readiness probe failed: ";
/// Before these words stands how kubelet asked queue-proxy, after them what queue-proxy found out.
const FOUND_BY_QUEUE_PROXY: &str = "the container is not ready: ";

/// Asks for the pod's events. `None` also if they cannot be had: the message that wants them can do without.
pub(super) async fn last(client: &Client, pod: &Pod) -> Option<String> {
    let events: Api<Event> = Api::namespaced(client.clone(), namespace_of(&pod.metadata));
    let about = format!("involvedObject.uid={}", uid_of(&pod.metadata));
    match events
        .list(&ListParams::default().fields(&about).limit(MAX_EVENTS))
        .await
    {
        Ok(list) => latest(&list.items),
        Err(error) => {
            debug!(%error, "Events of a pod cannot be read");
            None
        }
    }
}

fn latest(events: &[Event]) -> Option<String> {
    let failures = events
        .iter()
        .filter(|event| event.reason.as_deref() == Some(REASON))
        .filter_map(|event| Some((time(event), event.message.as_deref()?.strip_prefix(PREFIX)?)));
    let (_, message) = failures.max_by_key(|(time, _)| *time)?;
    let found = message
        .split_once(FOUND_BY_QUEUE_PROXY)
        .map_or(message, |(_, found)| found);
    Some(found.trim().to_owned()).filter(|found| !found.is_empty())
}

fn time(event: &Event) -> Option<Timestamp> {
    let last = event.last_timestamp.as_ref().map(|time| time.0);
    last.or_else(|| event.event_time.as_ref().map(|time| time.0))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    fn event(reason: &str, message: &str, second: i64) -> Event {
        Event {
            reason: Some(reason.to_owned()),
            message: Some(message.to_owned()),
            last_timestamp: Some(Time(Timestamp::from_second(second).unwrap())),
            ..Event::default()
        }
    }

    #[test]
    fn the_latest_failure_of_the_readiness_probe_counts() {
        let queue_proxy = "Readiness probe failed: HTTP probe failed with statuscode: 503: the container is not \
                           ready: connection refused at port 8081";
        let table = [
            (
                "none",
                vec![event("Pulled", "Readiness probe failed: x", 9)],
                None,
            ),
            (
                "of queue-proxy",
                vec![
                    event("Unhealthy", queue_proxy, 5),
                    event("Unhealthy", "Liveness probe failed: y", 7),
                    event("Unhealthy", "Readiness probe failed: old", 4),
                ],
                Some("connection refused at port 8081"),
            ),
            (
                "of another kubelet",
                vec![event(
                    "Unhealthy",
                    "Readiness probe failed: HTTP probe failed with statuscode: 503",
                    1,
                )],
                Some("HTTP probe failed with statuscode: 503"),
            ),
        ];
        for (case, events, expected) in table {
            assert_eq!(latest(&events).as_deref(), expected, "{case}");
        }
    }
}
