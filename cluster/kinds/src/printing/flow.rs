//! Flow schemas and priority levels.

use jiff::Timestamp;
use serde_json::Value;

use super::text::{NONE, or};
use super::{age, name};
use crate::json::{at, integer, items, text};

pub(super) fn schema(object: &Value, now: Timestamp) -> Vec<Value> {
    let dangling = items(object, &["status", "conditions"])
        .iter()
        .find(|condition| text(condition, &["type"]) == "Dangling")
        .map_or("?", |condition| text(condition, &["status"]));
    vec![
        name(object),
        text(object, &["spec", "priorityLevelConfiguration", "name"]).into(),
        integer(object, &["spec", "matchingPrecedence"])
            .unwrap_or_default()
            .to_string()
            .into(),
        or(text(object, &["spec", "distinguisherMethod", "type"]), NONE).into(),
        age(object, now),
        dangling.into(),
    ]
}

pub(super) fn priority_level(object: &Value, now: Timestamp) -> Vec<Value> {
    let limited = at(object, &["spec", "limited"]).unwrap_or(&Value::Null);
    let number =
        |path: &[&str]| integer(limited, path).map_or_else(|| NONE.to_owned(), |number| number.to_string());
    vec![
        name(object),
        text(object, &["spec", "type"]).into(),
        number(&["nominalConcurrencyShares"]).into(),
        number(&["limitResponse", "queuing", "queues"]).into(),
        number(&["limitResponse", "queuing", "handSize"]).into(),
        number(&["limitResponse", "queuing", "queueLengthLimit"]).into(),
        age(object, now),
    ]
}
