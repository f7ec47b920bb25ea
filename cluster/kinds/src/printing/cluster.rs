//! Configuration, access control, and other kinds with few cells.

use jiff::Timestamp;
use serde_json::Value;

use super::text::or;
use super::{age, name};
use crate::json::{at, entries, flag, integer, items, text};

pub(super) fn namespace(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        name(object),
        text(object, &["status", "phase"]).into(),
        age(object, now),
    ]
}

pub(super) fn secret(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        name(object),
        text(object, &["type"]).into(),
        entries(object, &["data"]).count().into(),
        age(object, now),
    ]
}

pub(super) fn config_map(object: &Value, now: Timestamp) -> Vec<Value> {
    let entries = entries(object, &["data"]).count() + entries(object, &["binaryData"]).count();
    vec![name(object), entries.into(), age(object, now)]
}

pub(super) fn service_account(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        name(object),
        items(object, &["secrets"]).len().into(),
        age(object, now),
    ]
}

/// Requests and everything else stand in one cell, limits in another.
pub(super) fn resource_quota(object: &Value, now: Timestamp) -> Vec<Value> {
    let (mut requests, mut limits) = (Vec::new(), Vec::new());
    for (resource, hard) in entries(object, &["status", "hard"]) {
        let used = or(text(object, &["status", "used", resource]), "0");
        let cell = format!("{resource}: {used}/{}", hard.as_str().unwrap_or_default());
        if resource.starts_with("limits") {
            limits.push(cell)
        } else {
            requests.push(cell)
        }
    }
    vec![
        name(object),
        requests.join(", ").into(),
        limits.join(", ").into(),
        age(object, now),
    ]
}

pub(super) fn lease(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        name(object),
        text(object, &["spec", "holderIdentity"]).into(),
        age(object, now),
    ]
}

pub(super) fn role_binding(object: &Value, now: Timestamp) -> Vec<Value> {
    let role = format!(
        "{}/{}",
        text(object, &["roleRef", "kind"]),
        text(object, &["roleRef", "name"])
    );
    let subjects = |kind: &str| {
        let names: Vec<String> = items(object, &["subjects"])
            .iter()
            .filter(|subject| text(subject, &["kind"]) == kind)
            .map(|subject| match kind {
                "ServiceAccount" => format!("{}/{}", text(subject, &["namespace"]), text(subject, &["name"])),
                _ => text(subject, &["name"]).to_owned(),
            })
            .collect();
        Value::from(names.join(", "))
    };
    vec![
        name(object),
        role.into(),
        age(object, now),
        subjects("User"),
        subjects("Group"),
        subjects("ServiceAccount"),
    ]
}

pub(super) fn api_service(object: &Value, now: Timestamp) -> Vec<Value> {
    let service = match at(object, &["spec", "service"]) {
        Some(service) => format!("{}/{}", text(service, &["namespace"]), text(service, &["name"])),
        None => "Local".to_owned(),
    };
    let conditions = items(object, &["status", "conditions"]);
    let available = conditions
        .iter()
        .find(|condition| text(condition, &["type"]) == "Available");
    let available =
        match available.map(|condition| (text(condition, &["status"]), text(condition, &["reason"]))) {
            Some(("True", _)) => "True".to_owned(),
            Some((status, reason)) => format!("{status} ({reason})"),
            None => "Unknown".to_owned(),
        };
    vec![name(object), service.into(), available.into(), age(object, now)]
}

pub(super) fn webhooks(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        name(object),
        items(object, &["webhooks"]).len().into(),
        age(object, now),
    ]
}

pub(super) fn priority_class(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        name(object),
        integer(object, &["value"]).unwrap_or_default().into(),
        flag(object, &["globalDefault"]).into(),
        age(object, now),
        text(object, &["preemptionPolicy"]).into(),
    ]
}

pub(super) fn runtime_class(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(object), text(object, &["handler"]).into(), age(object, now)]
}
