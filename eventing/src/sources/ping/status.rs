//! The status of a PingSource from what was observed.

use crds::duck::CloudEventAttributes;
use crds::sources::{PingSource, PingSourceStatus};
use event_schedule::ScheduleError;
use k8s_openapi::jiff::Timestamp;
use reconciler::ConditionSet;

use crate::identity::{Identity, OIDC_IDENTITY_CREATED};
use crate::shared::{name_of, namespace_of};
use crate::sources::sink::{self, SINK_PROVIDED, Sink};

const DEPLOYED: &str = "Deployed";
const CONDITIONS: ConditionSet = ConditionSet::new(&[SINK_PROVIDED, DEPLOYED, OIDC_IDENTITY_CREATED]);

/// Type of the events.
const TYPE: &str = "dev.knative.sources.ping";

/// What one look at a source's surroundings found.
#[derive(Debug)]
pub(super) struct Observed {
    pub sink: Sink,
    /// What admission should have refused.
    pub problem: Option<ScheduleError>,
    pub identity: Identity,
}

pub(super) fn ping_status(source: &PingSource, observed: &Observed, now: Timestamp) -> PingSourceStatus {
    let mut status = source.status.clone().unwrap_or_default();
    let before = status.conditions.clone();
    let generation = source.metadata.generation;
    CONDITIONS.begin(&mut status, generation, now);
    sink::fill(&mut status, &observed.sink, events(source), &observed.identity);
    let mut conditions = CONDITIONS.manage(&mut status, now);
    sink::mark(&mut conditions, &observed.sink, &observed.identity);
    match (&observed.problem, &observed.sink) {
        (Some(problem), _) => conditions.mark_false(DEPLOYED, "InvalidSchedule", &problem.to_string()),
        // One sender serves all sources, and takes up each whose sink is known.
        (None, Ok(_)) => conditions.mark_true(DEPLOYED),
        (None, Err(_)) => {
            conditions.mark_unknown(DEPLOYED, "NoSink", "Nothing is sent before the sink is known.")
        }
    }
    CONDITIONS.finish(&mut status, &before, generation, now);
    status
}

fn events(source: &PingSource) -> Vec<CloudEventAttributes> {
    let (namespace, name) = (namespace_of(&source.metadata), name_of(&source.metadata));
    vec![CloudEventAttributes {
        type_: Some(TYPE.to_owned()),
        source: Some(format!("/apis/v1/namespaces/{namespace}/pingsources/{name}")),
    }]
}

#[cfg(test)]
mod tests {
    use crds::conditions::{Condition, ConditionedStatus, READY};
    use serde_json::json;

    use super::*;
    use crate::resolver::{ResolveError, Resolved};

    fn source() -> PingSource {
        serde_json::from_value(json!({
            "apiVersion": "sources.knative.dev/v1", "kind": "PingSource",
            "metadata": {"name": "tick", "namespace": "ns", "generation": 2},
            "spec": {"schedule": "* * * * *", "sink": {"uri": "http://sink"}},
        }))
        .unwrap()
    }

    fn status(observed: &Observed) -> PingSourceStatus {
        ping_status(&source(), observed, Timestamp::UNIX_EPOCH)
    }

    fn told(status: &PingSourceStatus) -> Vec<String> {
        let text = |found: &Condition| {
            let reason = found.reason.clone().unwrap_or_default();
            format!("{} {} {reason}", found.type_, found.status.as_str())
        };
        status.conditions.iter().map(text).collect()
    }

    #[test]
    fn a_source_with_a_sink_is_ready() {
        let url = "http://sink".to_owned();
        let status = status(&Observed {
            sink: Ok(Resolved {
                url,
                ..Resolved::default()
            }),
            problem: None,
            identity: Identity::Disabled,
        });
        assert!(status.is_ready(Some(2)));
        assert_eq!(status.sink_uri.as_deref(), Some("http://sink"));
        assert_eq!(
            told(&status),
            [
                "Deployed True ",
                "OIDCIdentityCreated True authentication-oidc feature disabled",
                "Ready True ",
                "SinkProvided True "
            ]
        );
        assert_eq!(
            serde_json::to_value(&status.ce_attributes).unwrap(),
            json!([{"type": "dev.knative.sources.ping", "source": "/apis/v1/namespaces/ns/pingsources/tick"}])
        );
    }

    #[test]
    fn a_source_without_a_sink_says_so_and_announces_nothing() {
        let mut observed = Observed {
            sink: Err(ResolveError::Nothing),
            problem: None,
            identity: Identity::Account("a".to_owned()),
        };
        let without = status(&observed);
        assert_eq!(
            (without.sink_uri.as_deref(), without.ce_attributes.len()),
            (None, 0)
        );
        let ready = without.condition(READY).unwrap();
        assert_eq!(
            (ready.is_false(), ready.reason.as_deref()),
            (true, Some("NotFound"))
        );
        assert_eq!(
            without.auth.clone().unwrap().service_account_name.as_deref(),
            Some("a")
        );
        observed.problem = Some(ScheduleError::Empty);
        assert!(told(&status(&observed)).contains(&"Deployed False InvalidSchedule".to_owned()));
    }
}
