//! The event of a change.

use bytes::Bytes;
use event::{DataKind, Event};
use jiff::Timestamp;
use serde_json::json;

use super::plan::Plan;
use super::seen::Change;
use crate::id;

/// What events name as the API server.
pub(crate) const SOURCE: &str = "https://kubernetes.default.svc";

/// The event that `plan` sends for a change. The same change of the same object has the same id each time.
pub(crate) fn event(plan: &Plan, change: &Change) -> Event {
    let meta = &change.object.metadata;
    let types = change.object.types.clone().unwrap_or_default();
    let name = meta.name.as_deref().unwrap_or_default();
    let namespace = meta.namespace.as_deref().unwrap_or_default();
    let (class, data) = if plan.whole {
        ("resource", serde_json::to_vec(&change.object))
    } else {
        let reference = json!({
            "apiVersion": types.api_version, "kind": types.kind, "name": name, "namespace": namespace,
        });
        ("ref", serde_json::to_vec(&reference))
    };
    let type_ = format!("dev.knative.apiserver.{class}.{}", change.verb.as_str());
    let mut event = Event::new(id::named(&plan.uid, &name_of(change)), SOURCE, type_);
    event.set_extension("time", Timestamp::now().to_string());
    event.set_extension("datacontenttype", "application/json");
    let (version, plural) = (&types.api_version, &change.plural);
    let subject = match namespace {
        "" => format!("/apis/{version}/{plural}/{name}"),
        _ => format!("/apis/{version}/namespaces/{namespace}/{plural}/{name}"),
    };
    event.set_extension("subject", subject);
    for (attribute, value) in [
        ("apiversion", types.api_version.as_str()),
        ("kind", types.kind.as_str()),
        ("namespace", namespace),
        ("name", name),
    ] {
        // An attribute must not be empty, and objects outside of namespaces have none.
        if !value.is_empty() {
            event.set_extension(attribute, value);
        }
    }
    for (attribute, value) in &plan.extensions {
        event.set_extension(attribute.clone(), value.clone());
    }
    event.data = data.ok().map(Bytes::from);
    event.data_kind = DataKind::Binary;
    event
}

/// What the change is known by, among all changes.
fn name_of(change: &Change) -> String {
    let meta = &change.object.metadata;
    let (uid, version) = (meta.uid.as_deref(), meta.resource_version.as_deref());
    format!(
        "{} {} {}",
        change.verb.as_str(),
        uid.unwrap_or_default(),
        version.unwrap_or_default()
    )
}
