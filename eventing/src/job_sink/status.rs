//! The status of a JobSink from what was observed.

use crds::conditions::ConditionedStatus;
use crds::labels::JOB_SINK_NAME;
use crds::sinks::{JobSink, JobSinkJobStatus, JobSinkStatus};
use k8s_openapi::jiff::Timestamp;
use reconciler::ConditionSet;

use crate::addresses::Addresses;
use crate::policies::{EVENT_POLICIES_READY, Policies};
use crate::shared::name_of;

const ADDRESSABLE: &str = "Addressable";
const CONDITIONS: ConditionSet = ConditionSet::new(&[ADDRESSABLE, EVENT_POLICIES_READY]);

/// What the API server says to the Job of a sink.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Template {
    Accepted,
    Missing,
    Refused(String),
}

/// What one look at a sink's surroundings found.
#[derive(Debug)]
pub(super) struct Observed {
    pub template: Template,
    /// Is the data plane there?
    pub served: bool,
    pub addresses: Addresses,
    pub policies: Policies,
}

/// Whether the Job of this generation of `sink` has been accepted before.
pub(super) fn was_accepted(sink: &JobSink) -> bool {
    sink.status.as_ref().is_some_and(|status| {
        status.observed_generation == sink.metadata.generation
            && sink.metadata.generation.is_some()
            && status
                .condition(ADDRESSABLE)
                .is_some_and(|condition| condition.is_true())
    })
}

pub(super) fn job_sink_status(sink: &JobSink, observed: &Observed, now: Timestamp) -> JobSinkStatus {
    let mut status = sink.status.clone().unwrap_or_default();
    let before = status.conditions.clone();
    let generation = sink.metadata.generation;
    CONDITIONS.begin(&mut status, generation, now);

    let accepted = observed.template == Template::Accepted;
    let addresses = match accepted {
        true => observed.addresses.clone(),
        false => Addresses::default(),
    };
    status.address = addresses.address;
    status.addresses = addresses.all;
    status.job = Some(JobSinkJobStatus {
        selector: format!("{JOB_SINK_NAME}={}", name_of(&sink.metadata)),
    });
    status.policies = observed.policies.references();

    let mut conditions = CONDITIONS.manage(&mut status, now);
    observed.policies.mark(&mut conditions);
    match &observed.template {
        Template::Accepted if observed.served => observed.addresses.mark(&mut conditions, ADDRESSABLE),
        Template::Accepted => conditions.mark_false(
            ADDRESSABLE,
            "EndpointSlicesUnavailable",
            &format!(
                "Job sinks have no ready endpoint: Service {:?} is not there, or nothing serves it.",
                crds::names::JOB_SINK_SERVICE
            ),
        ),
        Template::Missing => {
            conditions.mark_false(
                ADDRESSABLE,
                "InvalidJob",
                "spec.job is missing: give the Job whole.",
            );
        }
        Template::Refused(message) => conditions.mark_false(
            ADDRESSABLE,
            "InvalidJob",
            &format!("The API server refuses the Job in spec.job: {message}"),
        ),
    }
    CONDITIONS.finish(&mut status, &before, generation, now);
    status
}

#[cfg(test)]
mod tests {
    use crds::conditions::READY;
    use crds::config::events::{AuthorizationMode, TransportEncryption};
    use serde_json::json;

    use super::*;
    use crate::addresses::{Certificate, NO_CERTIFICATE, Secure};

    fn sink() -> JobSink {
        serde_json::from_value(
            json!({"metadata": {"name": "s", "namespace": "ns", "generation": 2}, "spec": {}}),
        )
        .unwrap()
    }

    #[test]
    fn a_sink_is_ready_when_its_job_is_accepted_and_somebody_serves() {
        let refused = || Template::Refused("spec.template: no".to_owned());
        let unserved = "EndpointSlicesUnavailable";
        let http = TransportEncryption::Disabled;
        let strict = TransportEncryption::Strict;
        for (template, mode, served, ready, reason, address) in [
            (Template::Accepted, http, true, true, None, true),
            (Template::Accepted, http, false, false, Some(unserved), true),
            (
                Template::Accepted,
                strict,
                true,
                false,
                Some(NO_CERTIFICATE),
                false,
            ),
            (Template::Missing, http, true, false, Some("InvalidJob"), false),
            (refused(), http, true, false, Some("InvalidJob"), false),
        ] {
            let observed = Observed {
                template,
                served,
                addresses: Addresses::new(
                    mode,
                    "http://job-sink/ns/s".to_owned(),
                    Secure {
                        url: "https://job-sink/ns/s".to_owned(),
                        service: "job-sink",
                        has_port: true,
                        certificate: Certificate::Missing("secret"),
                    },
                    None,
                ),
                policies: Policies::Default(AuthorizationMode::AllowSameNamespace),
            };
            let mut sink = sink();
            let status = job_sink_status(&sink, &observed, Timestamp::UNIX_EPOCH);
            let found = status.condition(READY).unwrap();
            assert_eq!(
                (found.is_true(), found.reason.as_deref()),
                (ready, reason),
                "{observed:?}"
            );
            assert_eq!(status.address.is_some(), address);
            assert_eq!(
                status.job.as_ref().unwrap().selector,
                "sinks.knative.dev/job-sink-name=s"
            );
            let policies = status.condition(EVENT_POLICIES_READY).unwrap();
            assert_eq!(policies.reason.as_deref(), Some("DefaultAuthorizationMode"));
            sink.status = Some(status);
            assert_eq!(was_accepted(&sink), ready);
            sink.metadata.generation = Some(3);
            assert!(!was_accepted(&sink));
        }
    }
}
