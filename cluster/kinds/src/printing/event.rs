//! Events, in the form of the core group and in that of `events.k8s.io`.

use jiff::Timestamp;
use serde_json::Value;

use super::age::age_since;
use super::text::or;
use crate::json::{at, integer, text};

pub(super) fn event(event: &Value, now: Timestamp) -> Vec<Value> {
    // The newer group renamed what the older one had.
    let either = |new: &[&str], old: &[&str]| -> String { or(text(event, old), text(event, new)).to_owned() };
    let first_time = either(&["deprecatedFirstTimestamp"], &["firstTimestamp"]);
    let last_time = either(&["deprecatedLastTimestamp"], &["lastTimestamp"]);
    let first = age_since(or(&first_time, text(event, &["eventTime"])), now);
    let mut last = if last_time.is_empty() {
        first.clone()
    } else {
        age_since(&last_time, now)
    };
    let mut count = integer(event, &["count"])
        .or_else(|| integer(event, &["deprecatedCount"]))
        .unwrap_or_default();
    if let Some(series) = at(event, &["series"]) {
        last = age_since(text(series, &["lastObservedTime"]), now);
        count = integer(series, &["count"]).unwrap_or_default();
    } else if count == 0 {
        // An event that happened once carries no count.
        count = 1;
    }
    let about = at(event, &["involvedObject"])
        .or_else(|| at(event, &["regarding"]))
        .unwrap_or(&Value::Null);
    let kind = text(about, &["kind"]).to_lowercase();
    let target = match text(about, &["name"]) {
        "" => kind,
        name => format!("{kind}/{name}"),
    };
    vec![
        last.into(),
        text(event, &["type"]).into(),
        text(event, &["reason"]).into(),
        target.into(),
        text(about, &["fieldPath"]).into(),
        source(event).into(),
        either(&["note"], &["message"]).trim().into(),
        first.into(),
        count.into(),
        text(event, &["metadata", "name"]).into(),
    ]
}

fn source(event: &Value) -> String {
    let old = at(event, &["source"])
        .or_else(|| at(event, &["deprecatedSource"]))
        .unwrap_or(&Value::Null);
    let reporting = |new: &str, old: &str| or(text(event, &[new]), text(event, &[old])).to_owned();
    let component = or(
        text(old, &["component"]),
        &reporting("reportingController", "reportingComponent"),
    )
    .to_owned();
    let instance = or(text(old, &["host"]), text(event, &["reportingInstance"])).to_owned();
    if instance.is_empty() {
        component
    } else {
        format!("{component}, {instance}")
    }
}
