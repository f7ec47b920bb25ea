//! Decides without asking the server whether an apply would change anything.
//!
//! It would not if the live object holds every applied value, and this manager owns nothing beyond what is applied
//! (else something has to be taken back). A wrong "no" costs one request that the server finds to be empty; a wrong
//! "yes" would lose an update, so doubt says no.

use informer::cache::owned_fields;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use serde_json::{Map, Value};

/// Whether applying `wanted` as `manager` would leave `live` as it is.
pub fn in_sync(live: &Value, managed: Option<&[ManagedFieldsEntry]>, wanted: &Value, manager: &str) -> bool {
    // Never applied by us: fields would get an owner, which others can see.
    covers(live, wanted)
        && owned_fields(managed, manager).is_some_and(|fields| owns_no_more_than(&fields, live, wanted))
}

/// Whether every value of `wanted` is in `live`.
fn covers(live: &Value, wanted: &Value) -> bool {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => wanted
            .iter()
            .all(|(key, value)| live.get(key).is_some_and(|live| covers(live, value))),
        (Value::Array(live), Value::Array(wanted)) => {
            live.len() == wanted.len() && live.iter().zip(wanted).all(|(live, wanted)| covers(live, wanted))
        }
        (live, wanted) => live == wanted,
    }
}

/// Whether each path of a `fieldsV1` set leads to something in `wanted`, and what is owned as a whole is the same as a
/// whole: in an atomic list or map a field that `live` has beyond `wanted` is one to be taken back.
fn owns_no_more_than(owned: &Value, live: &Value, wanted: &Value) -> bool {
    let Value::Object(owned) = owned else { return true };
    if owned.is_empty() {
        return live == wanted;
    }
    owned.iter().all(|(path, below)| match path.split_once(':') {
        Some(("f", field)) => match (live.get(field), wanted.get(field)) {
            (Some(live), Some(wanted)) => owns_no_more_than(below, live, wanted),
            // An empty map or list that went over the wire, or one that defaulting filled in.
            _ => false,
        },
        Some(("k", keys)) => match (element(live, keys), element(wanted, keys)) {
            (Some(live), Some(wanted)) => owns_no_more_than(below, live, wanted),
            _ => false,
        },
        Some(("v", value)) => serde_json::from_str::<Value>(value)
            .is_ok_and(|value| wanted.as_array().is_some_and(|all| all.contains(&value))),
        // `.` is the element itself, which was found if we got here.
        None => true,
        Some(_) => false,
    })
}

/// The element of a list that has these key fields. A key that the applied element leaves out was defaulted.
fn element<'a>(list: &'a Value, keys: &str) -> Option<&'a Value> {
    let keys: Map<String, Value> = serde_json::from_str(keys).ok()?;
    list.as_array()?.iter().find(|element| {
        keys.iter()
            .all(|(key, value)| element.get(key).is_none_or(|found| found == value))
    })
}

/// Removes null fields: absent and null mean the same to the API.
pub(super) fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(elements) => elements.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::FieldsV1;
    use serde_json::json;

    use super::*;

    fn managed(manager: &str, fields: Value) -> Vec<ManagedFieldsEntry> {
        vec![ManagedFieldsEntry {
            manager: Some(manager.into()),
            operation: Some("Apply".into()),
            fields_v1: Some(FieldsV1(fields)),
            ..ManagedFieldsEntry::default()
        }]
    }

    #[test]
    fn equal_and_defaulted_objects_are_in_sync() {
        let live = json!({"spec": {"ports": [{"port": 80, "protocol": "TCP"}], "type": "ClusterIP"}});
        let owned =
            json!({"f:spec": {"f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}}}}});
        let wanted = json!({"spec": {"ports": [{"port": 80}]}});
        assert!(in_sync(&live, Some(&managed("me", owned)), &wanted, "me"));
    }

    #[test]
    fn differences_and_leftovers_are_not_in_sync() {
        let live = json!({"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"list": [1, 2]}});
        let owned = json!({"f:metadata": {"f:labels": {"f:a": {}, "f:b": {}}}, "f:spec": {"f:list": {}}});
        let table = [
            (
                "same",
                json!({"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"list": [1, 2]}}),
                true,
            ),
            (
                "changed value",
                json!({"metadata": {"labels": {"a": "1", "b": "3"}}, "spec": {"list": [1, 2]}}),
                false,
            ),
            (
                "label to take back",
                json!({"metadata": {"labels": {"a": "1"}}, "spec": {"list": [1, 2]}}),
                false,
            ),
            (
                "list to take back",
                json!({"metadata": {"labels": {"a": "1", "b": "2"}}}),
                false,
            ),
            (
                "shorter list",
                json!({"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"list": [1]}}),
                false,
            ),
        ];
        for (case, wanted, expected) in table {
            assert_eq!(
                in_sync(&live, Some(&managed("me", owned.clone())), &wanted, "me"),
                expected,
                "{case}"
            );
        }
    }

    #[test]
    fn fields_of_others_do_not_matter_but_own_ownership_does() {
        let live = json!({"spec": {"a": 1, "theirs": 2}});
        let wanted = json!({"spec": {"a": 1}});
        assert!(in_sync(
            &live,
            Some(&managed("me", json!({"f:spec": {"f:a": {}}}))),
            &wanted,
            "me"
        ));
        assert!(!in_sync(
            &live,
            Some(&managed("them", json!({"f:spec": {"f:a": {}}}))),
            &wanted,
            "me"
        ));
        assert!(!in_sync(&live, None, &wanted, "me"));
    }

    #[test]
    fn what_is_owned_as_a_whole_is_compared_as_a_whole() {
        let rules =
            |headers: Value| json!({"spec": {"rules": [{"host": "a", "headers": headers}], "timeout": 5}});
        let owned = json!({"f:spec": {"f:rules": {}, "f:timeout": {}}});
        let sync =
            |live: &Value, wanted: &Value| in_sync(live, Some(&managed("me", owned.clone())), wanted, "me");
        let (with, without) = (rules(json!({"x": "1"})), rules(json!({})));
        assert!(sync(&with, &with) && sync(&without, &without));
        assert!(
            !sync(&with, &without),
            "a header inside an atomic list has to be taken back"
        );
        assert!(!sync(&without, &with));
    }

    #[test]
    fn set_values_are_compared() {
        let live = json!({"finalizers": ["a", "b"]});
        let owned = json!({"f:finalizers": {"v:\"a\"": {}, "v:\"b\"": {}}});
        assert!(in_sync(
            &live,
            Some(&managed("me", owned.clone())),
            &json!({"finalizers": ["a", "b"]}),
            "me"
        ));
        assert!(!in_sync(
            &live,
            Some(&managed("me", owned)),
            &json!({"finalizers": ["a"]}),
            "me"
        ));
    }
}
