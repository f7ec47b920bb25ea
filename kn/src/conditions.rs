//! Conditions as lists and descriptions show them.

use jiff::Timestamp;
use serde_json::Value;

use crate::{age, table};

fn all(object: &Value) -> &[Value] {
    object["status"]["conditions"]
        .as_array()
        .map_or(&[], Vec::as_slice)
}

/// The condition of this type.
pub fn get<'a>(object: &'a Value, type_: &str) -> Option<&'a Value> {
    all(object).iter().find(|condition| condition["type"] == type_)
}

/// `2 OK / 3`: the true ones of all.
pub fn summary(object: &Value) -> String {
    let ok = all(object)
        .iter()
        .filter(|condition| condition["status"] == "True")
        .count();
    format!("{ok} OK / {}", all(object).len())
}

/// The status word of Ready.
pub fn ready(object: &Value) -> String {
    get(object, "Ready")
        .and_then(|condition| condition["status"].as_str())
        .unwrap_or_default()
        .to_owned()
}

/// `Reason : Message` unless Ready is True.
pub fn reason(object: &Value) -> String {
    let Some(condition) = get(object, "Ready").filter(|condition| condition["status"] != "True") else {
        return String::new();
    };
    let text = |field: &str| condition[field].as_str().unwrap_or_default();
    match (text("reason"), text("message")) {
        ("", "") => String::new(),
        (reason, "") => reason.to_owned(),
        (reason, message) => format!("{reason} : {message}"),
    }
}

/// `Ready is False: Reason: Message`, a line for each condition that is not True. Those for information only are left out,
/// and Ready where it only repeats another.
pub fn not_true(object: &Value) -> Vec<String> {
    let text = |condition: &Value, field: &str| condition[field].as_str().unwrap_or_default().to_owned();
    let same = |a: &Value, b: &Value| {
        ["status", "reason", "message"]
            .iter()
            .all(|field| a[*field] == b[*field])
    };
    let repeats = |ready: &Value| {
        all(object)
            .iter()
            .any(|other| other["type"] != "Ready" && same(ready, other))
    };
    all(object)
        .iter()
        .filter(|condition| condition["status"] != "True" && condition["severity"] != "Info")
        .filter(|condition| condition["type"] != "Ready" || !repeats(condition))
        .map(|condition| {
            let said: Vec<String> = ["reason", "message"]
                .map(|field| text(condition, field).trim().to_owned())
                .into_iter()
                .filter(|word| !word.is_empty())
                .collect();
            let head = format!("{} is {}", text(condition, "type"), text(condition, "status"));
            if said.is_empty() {
                head
            } else {
                format!("{head}: {}", said.join(": "))
            }
        })
        .collect()
}

/// The table of a description: marks, Ready first, then by severity and type.
pub fn describe(object: &Value, verbose: bool, now: Timestamp) -> String {
    let mut conditions: Vec<&Value> = all(object).iter().collect();
    let rank = |condition: &&Value| {
        let severity = match condition["severity"].as_str() {
            None | Some("") => 0,
            Some("Warning") => 1,
            _ => 2,
        };
        let type_ = condition["type"].as_str().unwrap_or_default().to_owned();
        (type_ != "Ready", severity, type_)
    };
    conditions.sort_by_key(rank);
    let rows: Vec<Vec<String>> = conditions
        .into_iter()
        .map(|condition| {
            let text = |field: &str| condition[field].as_str().unwrap_or_default();
            let mark = match (text("status"), text("severity")) {
                ("True", _) => "++",
                ("False", "") => "!!",
                ("False", "Warning") => " W",
                ("False", _) => " I",
                _ => "??",
            };
            let reason = match (text("reason"), text("message")) {
                (reason, message) if verbose && !message.is_empty() => {
                    format!("{reason} ({message})").trim().to_owned()
                }
                (reason, _) => reason.to_owned(),
            };
            vec![
                mark.to_owned(),
                text("type").to_owned(),
                age::since(condition["lastTransitionTime"].as_str(), now),
                reason,
            ]
        })
        .collect();
    let table = table::render(&["OK", "TYPE", "AGE", "REASON"], &rows, true);
    format!("Conditions:\n{}", indent(&table))
}

/// Two blanks in front of each line.
pub fn indent(text: &str) -> String {
    text.lines()
        .map(|line| format!("  {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lists_and_marks() {
        let object = json!({ "status": { "conditions": [
            { "type": "Active", "status": "False", "severity": "Info", "reason": "NoTraffic" },
            { "type": "Ready", "status": "False", "reason": "RevisionFailed", "message": "it broke" },
            { "type": "ContainerHealthy", "status": "Unknown" },
            { "type": "ResourcesAvailable", "status": "True" } ] } });
        assert_eq!(summary(&object), "1 OK / 4");
        assert_eq!(ready(&object), "False");
        assert_eq!(reason(&object), "RevisionFailed : it broke");
        let text = describe(&object, true, Timestamp::UNIX_EPOCH);
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        assert!(
            lines[2].starts_with("  !!       Ready") && lines[2].ends_with("RevisionFailed (it broke)"),
            "{text}"
        );
        assert!(lines[3].starts_with("  ??       ContainerHealthy"));
        assert!(lines[5].starts_with("   I       Active"));
    }
}
