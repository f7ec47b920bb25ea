//! What the statuses of all sources say alike: the sink, the events, the identity.

use crds::conditions::ConditionedStatus;
use crds::duck::{AuthStatus, CloudEventAttributes};
use crds::sources::{ApiServerSourceStatus, GitHubSourceStatus, PingSourceStatus, SinkBindingStatus};
use reconciler::{Conditions, Next};

use crate::broker::LOOK_AGAIN;
use crate::identity::Identity;
use crate::resolver::{ResolveError, Resolved};

pub(super) const SINK_PROVIDED: &str = "SinkProvided";

/// Where the events of a source go, or why that is not known.
pub(super) type Sink = Result<Resolved, ResolveError>;

/// The status of a source.
pub(super) trait SourceStatus: ConditionedStatus {
    fn set_sink(&mut self, sink: Option<&Resolved>);
    fn set_events(&mut self, events: Vec<CloudEventAttributes>);
    fn set_auth(&mut self, auth: Option<AuthStatus>);
}

macro_rules! source_status {
    ($($status:ty),*) => {$(
        impl SourceStatus for $status {
            fn set_sink(&mut self, sink: Option<&Resolved>) {
                self.sink_uri = sink.map(|sink| sink.url.clone());
                self.sink_ca_certs = sink.and_then(|sink| sink.ca_certs.clone());
                self.sink_audience = sink.and_then(|sink| sink.audience.clone());
            }

            fn set_events(&mut self, events: Vec<CloudEventAttributes>) {
                self.ce_attributes = events;
            }

            fn set_auth(&mut self, auth: Option<AuthStatus>) {
                self.auth = auth;
            }
        }
    )*};
}
source_status!(
    ApiServerSourceStatus,
    GitHubSourceStatus,
    PingSourceStatus,
    SinkBindingStatus
);

/// Fills in what does not depend on the kind. Without a sink no events are announced, since none are sent.
pub(super) fn fill(
    status: &mut impl SourceStatus,
    sink: &Sink,
    events: Vec<CloudEventAttributes>,
    identity: &Identity,
) {
    status.set_sink(sink.as_ref().ok());
    status.set_events(if sink.is_ok() { events } else { Vec::new() });
    status.set_auth(identity.status());
}

/// The conditions of that.
pub(super) fn mark(conditions: &mut Conditions<'_>, sink: &Sink, identity: &Identity) {
    identity.mark(conditions);
    mark_sink(conditions, sink);
}

/// The condition of the sink alone.
pub(super) fn mark_sink(conditions: &mut Conditions<'_>, sink: &Sink) {
    match sink {
        Ok(_) => conditions.mark_true(SINK_PROVIDED),
        Err(error) => conditions.mark_false(SINK_PROVIDED, "NotFound", &error.to_string()),
    }
}

/// When to look again although no watch fires.
pub(super) fn next(sink: &Sink) -> Next {
    if sink.as_ref().err().is_none_or(ResolveError::heals_by_watch) {
        Next::OnChange
    } else {
        Next::After(LOOK_AGAIN)
    }
}
