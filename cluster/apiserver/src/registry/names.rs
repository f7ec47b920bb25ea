//! Names of custom resources: each belongs to one definition of its group
//! (`k8s.io/apiextensions-apiserver/pkg/controller/status/naming_controller.go`).

use serde_json::{Map, Value, json};

use crate::meta::{self, as_map, child_mut};

/// What a definition's names come to.
#[derive(Debug, PartialEq)]
struct Verdict {
    accepted: Value,
    /// Reason and message of the last conflict.
    conflict: Option<(&'static str, String)>,
}

/// Writes `acceptedNames` and the conditions `NamesAccepted` and `Established` into the status of a definition, going by
/// the other definitions. What is established stays so.
pub(super) fn write_status(definition: &mut Value, others: &[Value], now: &str) {
    let verdict = judge(definition, others);
    let status = child_mut(definition, "status");
    status.insert("acceptedNames".into(), verdict.accepted);
    let accepted = match &verdict.conflict {
        None => ("True", "NoConflicts", "no conflicts found".to_owned()),
        Some((reason, message)) => ("False", *reason, message.clone()),
    };
    let established = is_established(status);
    set_condition(status, "NamesAccepted", accepted, now);
    if !established {
        let condition = match verdict.conflict {
            None => (
                "True",
                "InitialNamesAccepted",
                "the initial names have been accepted".to_owned(),
            ),
            Some(_) => ("False", "NotAccepted", "not all names are accepted".to_owned()),
        };
        set_condition(status, "Established", condition, now);
    }
}

/// Returns whether a definition waits for others to give up its names.
pub(super) fn waits(definition: &Value) -> bool {
    condition(&definition["status"], "NamesAccepted").is_some_and(|condition| condition["status"] == "False")
}

fn is_established(status: &Map<String, Value>) -> bool {
    let conditions = status.get("conditions").and_then(Value::as_array);
    conditions
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == "Established" && condition["status"] == "True")
}

fn condition<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    let conditions = status["conditions"].as_array();
    conditions
        .into_iter()
        .flatten()
        .find(|condition| condition["type"] == kind)
}

fn judge(definition: &Value, others: &[Value]) -> Verdict {
    let asked = &definition["spec"]["names"];
    let had = &definition["status"]["acceptedNames"];
    // Names of resources share one space, kinds another.
    let (mut resources, mut kinds): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    for other in others {
        let same_group = other["spec"]["group"] == definition["spec"]["group"];
        if !same_group || meta::name(other) == meta::name(definition) {
            continue;
        }
        let names = &other["status"]["acceptedNames"];
        resources.extend(
            ["plural", "singular"]
                .iter()
                .filter_map(|key| names[key].as_str()),
        );
        let short = names["shortNames"].as_array();
        resources.extend(short.into_iter().flatten().filter_map(Value::as_str));
        kinds.extend(["kind", "listKind"].iter().filter_map(|key| names[key].as_str()));
    }
    let mut accepted = asked.clone();
    let mut conflict = None;
    let mut refuse = |field: &str, reason: &'static str, names: &[&str]| {
        let names: Vec<String> = names
            .iter()
            .map(|name| format!("\"{name}\" is already in use"))
            .collect();
        conflict = Some((reason, names.join(", ")));
        let had = had.get(field).cloned();
        meta::set(as_map(&mut accepted), field, had);
    };
    for (field, reason, taken) in [
        ("plural", "PluralConflict", &resources),
        ("singular", "SingularConflict", &resources),
    ] {
        if let Some(name) = asked[field].as_str().filter(|name| taken.contains(name)) {
            refuse(field, reason, &[name]);
        }
    }
    let short = asked["shortNames"].as_array().into_iter().flatten();
    let short: Vec<&str> = short
        .filter_map(Value::as_str)
        .filter(|name| resources.contains(name))
        .collect();
    if !short.is_empty() {
        refuse("shortNames", "ShortNamesConflict", &short);
    }
    for (field, reason) in [("kind", "KindConflict"), ("listKind", "ListKindConflict")] {
        if let Some(name) = asked[field].as_str().filter(|name| kinds.contains(name)) {
            refuse(field, reason, &[name]);
        }
    }
    Verdict { accepted, conflict }
}

/// Sets a condition; its time moves only with its status.
fn set_condition(
    status: &mut Map<String, Value>,
    kind: &str,
    (value, reason, message): (&str, &str, String),
    now: &str,
) {
    let conditions = status.entry("conditions").or_insert_with(|| json!([]));
    if !conditions.is_array() {
        *conditions = json!([]);
    }
    let Some(conditions) = conditions.as_array_mut() else {
        return;
    };
    let mut condition = json!({
        "type": kind, "status": value, "reason": reason, "message": message, "lastTransitionTime": now,
    });
    match conditions.iter_mut().find(|present| present["type"] == kind) {
        Some(present) => {
            if present["status"] == value {
                condition["lastTransitionTime"] = present["lastTransitionTime"].clone();
            }
            *present = condition;
        }
        None => conditions.push(condition),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(plural: &str, singular: &str, kind: &str, short: &[&str]) -> Value {
        json!({
            "metadata": {"name": format!("{plural}.example.com")},
            "spec": {"group": "example.com", "names": {
                "plural": plural, "singular": singular, "kind": kind, "listKind": format!("{kind}List"),
                "shortNames": short,
            }},
        })
    }

    fn of<'a>(definition: &'a Value, kind: &str) -> (&'a str, &'a str, &'a str) {
        let found = condition(&definition["status"], kind).unwrap();
        let text = |field: &str| found[field].as_str().unwrap();
        (text("status"), text("reason"), text("message"))
    }

    #[test]
    fn the_first_definition_of_a_name_has_it() {
        let mut first = definition("tests", "test", "Test", &["t"]);
        write_status(&mut first, &[], "1");
        assert_eq!(of(&first, "NamesAccepted").0, "True");
        assert_eq!(of(&first, "Established").1, "InitialNamesAccepted");
        let table = [
            (
                definition("test", "", "Other", &[]),
                "PluralConflict",
                "\"test\" is already in use",
            ),
            (
                definition("others", "test", "Other", &[]),
                "SingularConflict",
                "\"test\" is already in use",
            ),
            (
                definition("others", "other", "Other", &["o", "t"]),
                "ShortNamesConflict",
                "\"t\" is already in use",
            ),
            (
                definition("others", "other", "TestList", &[]),
                "KindConflict",
                "\"TestList\" is already in use",
            ),
        ];
        for (mut later, reason, message) in table {
            write_status(&mut later, std::slice::from_ref(&first), "2");
            assert_eq!(of(&later, "NamesAccepted"), ("False", reason, message));
            assert_eq!(of(&later, "Established").1, "NotAccepted");
            assert!(waits(&later));
            write_status(&mut later, &[], "3");
            assert_eq!(of(&later, "NamesAccepted").0, "True");
            assert_eq!(of(&later, "Established").0, "True");
        }
        let mut elsewhere = definition("tests", "test", "Test", &["t"]);
        elsewhere["metadata"]["name"] = json!("tests.example.org");
        elsewhere["spec"]["group"] = json!("example.org");
        write_status(&mut elsewhere, std::slice::from_ref(&first), "2");
        assert_eq!(
            of(&elsewhere, "NamesAccepted").0,
            "True",
            "each group has its own names"
        );
    }

    #[test]
    fn what_is_established_stays_so_with_the_names_that_it_had() {
        let mut first = definition("tests", "test", "Test", &["t"]);
        write_status(&mut first, &[], "1");
        let mut other = definition("others", "other", "Other", &["o"]);
        write_status(&mut other, std::slice::from_ref(&first), "1");
        other["spec"]["names"]["shortNames"] = json!(["t"]);
        write_status(&mut other, &[first], "2");
        assert_eq!(of(&other, "NamesAccepted").0, "False");
        assert_eq!(of(&other, "Established").0, "True");
        assert_eq!(other["status"]["acceptedNames"]["shortNames"], json!(["o"]));
    }
}
