//! Writes one entry into the subscribers of a channel of any kind.
//!
//! All Subscriptions of a channel write into one list: each write is held to the version that was read, and a lost race
//! is run again.

use crds::duck::SubscriberSpec;
use kube::api::{Patch, PatchParams};
use reconciler::Error;
use serde_json::{Value, json};

use super::status::Physical;
use crate::backing;
use crate::shared::Shared;

/// Makes `entry` the one of its Subscription; true if it was not before.
pub(super) async fn write(
    shared: &Shared,
    physical: &Physical,
    entry: &SubscriberSpec,
) -> Result<bool, Error> {
    let wanted = serde_json::to_value(entry).map_err(Error::fault)?;
    change(shared, physical, |subscribers| {
        with(subscribers, &entry.uid, &wanted)
    })
    .await
}

/// Takes out the entry of a Subscription; true if there was one.
pub(super) async fn remove(shared: &Shared, physical: &Physical, uid: &str) -> Result<bool, Error> {
    change(shared, physical, |subscribers| without(subscribers, uid)).await
}

async fn change(
    shared: &Shared,
    physical: &Physical,
    changed: impl Fn(&Value) -> Option<Vec<Value>>,
) -> Result<bool, Error> {
    if changed(&physical.found.subscribers).is_none() {
        return Ok(false);
    }
    let (kind, key) = (&physical.target.kind, &physical.target.key);
    let doing = || format!("subscribe to {} {key}", kind.kind);
    let api = backing::api(shared, kind, &key.namespace)
        .await
        .map_err(Error::fault)?;
    let live = api
        .get(&key.name)
        .await
        .map_err(|error| Error::api(doing(), error))?;
    let subscribers = live.data.pointer("/spec/subscribers").unwrap_or(&Value::Null);
    let Some(subscribers) = changed(subscribers) else {
        return Ok(false);
    };
    let patch = json!({
        "metadata": {"resourceVersion": live.metadata.resource_version}, "spec": {"subscribers": subscribers},
    });
    let params = PatchParams {
        field_manager: Some("spindrift-subscription".to_owned()),
        ..PatchParams::default()
    };
    api.patch(&key.name, &params, &Patch::Merge(patch))
        .await
        .map_err(|error| Error::api(doing(), error))?;
    Ok(true)
}

/// The list with this entry for `uid`; `None` if it has it.
fn with(subscribers: &Value, uid: &str, wanted: &Value) -> Option<Vec<Value>> {
    let mut list = entries(subscribers);
    match list.iter_mut().find(|entry| has_uid(entry, uid)) {
        Some(entry) if *entry == *wanted => return None,
        Some(entry) => *entry = wanted.clone(),
        None => list.push(wanted.clone()),
    }
    Some(list)
}

/// The list without the entry of `uid`; `None` if it has none.
fn without(subscribers: &Value, uid: &str) -> Option<Vec<Value>> {
    let list = entries(subscribers);
    let rest: Vec<Value> = list
        .iter()
        .filter(|entry| !has_uid(entry, uid))
        .cloned()
        .collect();
    (rest.len() < list.len()).then_some(rest)
}

fn entries(subscribers: &Value) -> Vec<Value> {
    subscribers.as_array().cloned().unwrap_or_default()
}

fn has_uid(entry: &Value, uid: &str) -> bool {
    entry.get("uid").and_then(Value::as_str) == Some(uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_entry_is_put_in_changed_and_taken_out() {
        let (a, b) = (
            json!({"uid": "a", "generation": 1}),
            json!({"uid": "b", "generation": 1}),
        );
        let list = json!([a]);
        assert_eq!(with(&Value::Null, "a", &a), Some(vec![a.clone()]));
        assert_eq!(with(&list, "a", &a), None);
        assert_eq!(with(&list, "b", &b), Some(vec![a.clone(), b.clone()]));
        let newer = json!({"uid": "a", "generation": 2});
        assert_eq!(with(&json!([a, b]), "a", &newer), Some(vec![newer, b.clone()]));
        assert_eq!(without(&json!([a, b]), "a"), Some(vec![b]));
        assert_eq!(without(&Value::Null, "a"), None);
    }
}
