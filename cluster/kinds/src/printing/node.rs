//! Nodes.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;

use super::text::{NONE, or};
use super::{age, name};
use crate::json::{entries, flag, items, text};

pub(super) fn node(object: &Value, now: Timestamp) -> Vec<Value> {
    let info = |field: &str| text(object, &["status", "nodeInfo", field]);
    vec![
        name(object),
        status(object).into(),
        roles(object).into(),
        age(object, now),
        info("kubeletVersion").into(),
        address(object, "InternalIP").into(),
        address(object, "ExternalIP").into(),
        or(info("osImage"), "<unknown>").into(),
        or(info("kernelVersion"), "<unknown>").into(),
        or(info("containerRuntimeVersion"), "<unknown>").into(),
    ]
}

fn status(node: &Value) -> String {
    let conditions = items(node, &["status", "conditions"]);
    let ready = conditions
        .iter()
        .find(|condition| text(condition, &["type"]) == "Ready");
    let status = match ready.map(|condition| text(condition, &["status"])) {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    };
    if flag(node, &["spec", "unschedulable"]) {
        format!("{status},SchedulingDisabled")
    } else {
        status.to_owned()
    }
}

fn roles(node: &Value) -> String {
    let roles: BTreeSet<&str> = entries(node, &["metadata", "labels"])
        .filter_map(
            |(key, value)| match key.strip_prefix("node-role.kubernetes.io/") {
                Some(role) => Some(role),
                None if key == "kubernetes.io/role" => value.as_str(),
                None => None,
            },
        )
        .filter(|role| !role.is_empty())
        .collect();
    let roles: Vec<&str> = roles.into_iter().collect();
    or(&roles.join(","), NONE).to_owned()
}

fn address<'a>(node: &'a Value, kind: &str) -> &'a str {
    let addresses = items(node, &["status", "addresses"]);
    let found = addresses.iter().find(|address| text(address, &["type"]) == kind);
    found.map_or(NONE, |address| text(address, &["address"]))
}
