//! HorizontalPodAutoscalers of both versions.

use jiff::Timestamp;
use serde_json::Value;

use super::{age, name};
use crate::json::{at, integer, items, text};

const UNKNOWN: &str = "<unknown>";

pub(super) fn autoscaler(object: &Value, now: Timestamp) -> Vec<Value> {
    let target = at(object, &["spec", "scaleTargetRef"]).unwrap_or(&Value::Null);
    let minimum = integer(object, &["spec", "minReplicas"])
        .map_or_else(|| "<unset>".to_owned(), |count| count.to_string());
    vec![
        name(object),
        format!("{}/{}", text(target, &["kind"]), text(target, &["name"])).into(),
        targets(object).into(),
        minimum.into(),
        integer(object, &["spec", "maxReplicas"])
            .unwrap_or_default()
            .into(),
        integer(object, &["status", "currentReplicas"])
            .unwrap_or_default()
            .into(),
        age(object, now),
    ]
}

fn targets(object: &Value) -> String {
    // The first version knows the CPU only.
    if let Some(wanted) = integer(object, &["spec", "targetCPUUtilizationPercentage"]) {
        let current = percent(integer(object, &["status", "currentCPUUtilizationPercentage"]));
        return format!("cpu: {current}/{wanted}%");
    }
    let currents = items(object, &["status", "currentMetrics"]);
    let list: Vec<String> = items(object, &["spec", "metrics"])
        .iter()
        .enumerate()
        .map(|(index, metric)| target(metric, currents.get(index).unwrap_or(&Value::Null)))
        .collect();
    match list.as_slice() {
        [] => "<none>".to_owned(),
        [first, second, rest @ ..] if !rest.is_empty() => {
            format!("{first}, {second} + {} more...", rest.len())
        }
        shown => shown.join(", "),
    }
}

/// Formats one metric as `current/wanted`.
fn target(metric: &Value, current: &Value) -> String {
    let (field, named) = match text(metric, &["type"]) {
        "Resource" => ("resource", true),
        "ContainerResource" => ("containerResource", true),
        "Pods" => ("pods", false),
        "Object" => ("object", false),
        "External" => ("external", false),
        _ => return "<unknown type>".to_owned(),
    };
    let wanted = at(metric, &[field, "target"]).unwrap_or(&Value::Null);
    let now = at(current, &[field, "current"]).unwrap_or(&Value::Null);
    let quantity = |value: &Value, name: &str| match text(value, &[name]) {
        "" => UNKNOWN.to_owned(),
        text => text.to_owned(),
    };
    let average = at(wanted, &["averageValue"]).is_some();
    let pair = if average || field == "pods" {
        format!(
            "{}/{}",
            quantity(now, "averageValue"),
            quantity(wanted, "averageValue")
        )
    } else if named {
        let auto = || "<auto>".to_owned();
        let wanted =
            integer(wanted, &["averageUtilization"]).map_or_else(auto, |wanted| format!("{wanted}%"));
        format!("{}/{wanted}", percent(integer(now, &["averageUtilization"])))
    } else {
        format!("{}/{}", quantity(now, "value"), quantity(wanted, "value"))
    };
    match (named, average && field != "pods") {
        (true, _) => format!("{}: {pair}", text(metric, &[field, "name"])),
        (false, true) => format!("{pair} (avg)"),
        (false, false) => pair,
    }
}

fn percent(value: Option<i64>) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), |value| format!("{value}%"))
}
