//! What is wrong with the schedule of a PingSource, in the words of who reads it.

use crds::resource::events::Resource;
use crds::validation::FieldError;
use event_schedule::Schedule;
use serde_json::Value;

pub(super) fn problem(resource: Resource, object: &Value) -> Option<FieldError> {
    if resource != Resource::PingSource {
        return None;
    }
    let spec = object.get("spec")?;
    let text = |name: &str| spec.get(name).and_then(Value::as_str).unwrap_or_default();
    let error = Schedule::parse(text("schedule"), text("timezone")).err()?;
    let field = if error.is_zone() { "timezone" } else { "schedule" };
    Some(FieldError::invalid(error, field).via_field("spec"))
}
