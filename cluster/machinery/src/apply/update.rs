//! Ownership by writes that are not applies: create, update, and the other patches.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::managers::{ManagerId, Managers, Operation, Owned, is_reset};
use super::set::FieldSet;
use super::typed::Typed;
use super::{UNOWNED, compare, owned, set_entries, split, take_entries};
use crate::schema::Schema;

/// A write whose result is known and whose ownership must be recorded.
#[derive(Debug)]
pub struct UpdateRequest<'a> {
    /// The stored object; `None` for a create.
    pub old: Option<&'a Value>,
    /// The object to store, defaulted; its `managedFields` are written here.
    pub new: &'a mut Value,
    /// `fieldManager`, or the first part of the user agent.
    pub manager: &'a str,
    /// `status`, `scale`, …; `None` for the main resource.
    pub subresource: Option<&'a str>,
    /// Fields this endpoint does not write: see [`reset_fields`](super::reset_fields).
    pub reset_fields: &'a [&'a [&'a str]],
    /// Schema of the kind.
    pub schema: &'a Schema,
    /// The kind's versions name fields differently, so paths of other versions mean nothing here.
    pub versions_differ: bool,
    /// Time of the request.
    pub now: Timestamp,
}

/// Records that the manager set what differs between `old` and `new`, and that others no longer own what changed
/// or went. If nothing differs, `managedFields` are those of `old`.
///
/// A request may set `managedFields` itself: `[]` or `[{}]` forgets all managers, after which updates are not
/// tracked until the next apply; entries that cannot be read are ignored.
pub fn record_update(request: UpdateRequest<'_>) {
    let given = take_entries(request.new);
    let (old, live) = split(request.old);
    let live = Managers::decode(&live).unwrap_or_default();
    let mut managers = match given {
        // A subresource is no way to change the record.
        Some(given) if request.subresource.is_none() => {
            if is_reset(&given) {
                Managers::default()
            } else {
                Managers::decode(&given)
                    .filter(|managers| !managers.is_empty())
                    .unwrap_or(live)
            }
        }
        _ => live,
    };
    // An object nobody tracks is not tracked from the middle of its life.
    if !(managers.is_empty() && request.old.is_some()) {
        let typed = Typed::root(request.schema);
        let version = request
            .new
            .get("apiVersion")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let apart = if request.versions_differ {
            managers.set_apart(version, None)
        } else {
            Managers::default()
        };
        for owned in managers.owned.values_mut() {
            owned.fields = owned::fitted(&owned.fields, typed);
        }
        let id = ManagerId::new(Operation::Update, request.manager, version, request.subresource);
        let now = request.now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        track(
            &mut managers,
            typed,
            &old,
            request.new,
            &id,
            request.reset_fields,
            &now,
        );
        managers.owned.extend(apart.owned);
        managers.cap();
    }
    if request.new.get("metadata").is_none()
        && let Some(object) = request.new.as_object_mut()
        && !managers.is_empty()
    {
        object.insert("metadata".to_owned(), Value::Object(Map::new()));
    }
    set_entries(request.new, &managers);
}

/// Moves the ownership of what changed to `id`.
pub(super) fn track(
    managers: &mut Managers,
    typed: Typed<'_>,
    old: &Value,
    new: &Value,
    id: &ManagerId,
    reset_fields: &[&[&str]],
    now: &str,
) {
    let difference = compare::compare(typed, old, new).without(&FieldSet::of_fields(reset_fields));
    if difference.is_empty() {
        return;
    }
    let taken = difference.modified.union(&difference.added);
    managers.disown(&taken.union(&difference.removed), |_| true);
    let fields = taken.difference(&FieldSet::of_fields(&UNOWNED));
    if fields.is_empty() {
        return;
    }
    let owned = managers.owned.entry(id.clone()).or_insert_with(|| Owned {
        api_version: id.api_version.clone(),
        fields: FieldSet::default(),
        time: None,
    });
    owned.fields = owned.fields.union(&fields);
    owned.time = Some(now.to_owned());
}
