//! The event of a tick.

use event::{DataKind, Event};
use jiff::Timestamp;
use sha1::{Digest, Sha1};
use uuid::{Builder, Uuid};

use super::plan::Plan;

/// Type of the events of PingSources.
const TYPE: &str = "dev.knative.sources.ping";

/// The event that `plan` sends for the tick at `time`. Equal arguments give the same event, id included.
pub(crate) fn event(plan: &Plan, time: Timestamp) -> Event {
    let source = format!(
        "/apis/v1/namespaces/{}/pingsources/{}",
        plan.key.namespace, plan.key.name
    );
    let mut event = Event::new(id(&plan.uid, time), source, TYPE);
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

/// A UUID by name (RFC 9562, version 5): the source is the name space, the time of the tick the name.
fn id(uid: &str, time: Timestamp) -> String {
    let space = Uuid::parse_str(uid).unwrap_or_default();
    let mut hash = Sha1::new();
    hash.update(space.as_bytes());
    if space.is_nil() {
        hash.update(uid.as_bytes());
    }
    hash.update(time.to_string().as_bytes());
    let mut bytes = [0; 16];
    bytes
        .iter_mut()
        .zip(hash.finalize())
        .for_each(|(to, from)| *to = from);
    Builder::from_sha1_bytes(bytes).into_uuid().to_string()
}
