//! The event of a tick.

use event::{DataKind, Event};
use jiff::Timestamp;

use super::plan::Plan;
use crate::id;

/// Type of the events of PingSources.
const TYPE: &str = "dev.knative.sources.ping";

/// The event that `plan` sends for the tick at `time`. Equal arguments give the same event, id included.
pub(crate) fn event(plan: &Plan, time: Timestamp) -> Event {
    let source = format!(
        "/apis/v1/namespaces/{}/pingsources/{}",
        plan.key.namespace, plan.key.name
    );
    let mut event = Event::new(id::named(&plan.uid, &time.to_string()), source, TYPE);
    event.set_extension("time", time.to_string());
    if let Some(content_type) = &plan.content_type {
        event.set_extension("datacontenttype", content_type.clone());
    }
    for (name, value) in &plan.extensions {
        event.set_extension(name.clone(), value.clone());
    }
    event.data = plan.data.clone();
    event.data_kind = DataKind::Binary;
    event
}
