//! Who owns what: `metadata.managedFields` as data (`apimachinery/pkg/util/managedfields/internal`).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::fields_v1;
use super::set::FieldSet;

/// Most `Update` managers of one object; older ones are merged (upstream: `DefaultMaxUpdateManagers`).
const MAX_UPDATE_MANAGERS: usize = 10;

/// Name of the manager that merged ones become.
const ANCIENT_CHANGES: &str = "ancient-changes";

/// How a manager writes. `Apply` sorts before `Update`, as in the encoded list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Operation {
    Apply,
    Update,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

/// Identity of a manager. Appliers are the same manager in every version of a kind, updaters are not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ManagerId {
    pub(super) operation: Operation,
    pub(super) manager: String,
    /// Empty for appliers.
    pub(super) api_version: String,
    /// Empty for the main resource.
    pub(super) subresource: String,
}

impl ManagerId {
    pub(super) fn new(
        operation: Operation,
        manager: &str,
        api_version: &str,
        subresource: Option<&str>,
    ) -> Self {
        Self {
            operation,
            manager: manager.to_owned(),
            api_version: if operation == Operation::Apply {
                String::new()
            } else {
                api_version.to_owned()
            },
            subresource: subresource.unwrap_or_default().to_owned(),
        }
    }
}

/// What a manager owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owned {
    pub(super) api_version: String,
    pub(super) fields: FieldSet,
    /// Time of the last change, RFC 3339; entries written by hand may have none.
    pub(super) time: Option<String>,
}

/// All managers of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Managers {
    pub(super) owned: BTreeMap<ManagerId, Owned>,
}

impl Managers {
    /// Reads `metadata.managedFields`. `None` if an entry is not what Kubernetes writes.
    pub(super) fn decode(entries: &Value) -> Option<Self> {
        let mut managers = Self::default();
        for entry in entries.as_array()? {
            let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default();
            let operation = match text("operation") {
                "Apply" => Operation::Apply,
                "Update" => Operation::Update,
                _ => return None,
            };
            let fields = match entry.get("fieldsV1") {
                None | Some(Value::Null) => FieldSet::default(),
                Some(fields) => fields_v1::decode(fields)?,
            };
            let time = entry.get("time").and_then(Value::as_str).map(str::to_owned);
            let id = ManagerId::new(
                operation,
                text("manager"),
                text("apiVersion"),
                Some(text("subresource")),
            );
            let api_version = text("apiVersion").to_owned();
            match managers.owned.get_mut(&id) {
                Some(known) => known.fields = known.fields.union(&fields),
                None => {
                    managers.owned.insert(
                        id,
                        Owned {
                            api_version,
                            fields,
                            time,
                        },
                    );
                }
            }
        }
        Some(managers)
    }

    /// Writes `metadata.managedFields`: appliers first, then by time and name.
    pub(super) fn encode(&self) -> Value {
        let mut entries: Vec<(&ManagerId, &Owned)> = self.owned.iter().collect();
        entries.sort_by(|(left, left_owned), (right, right_owned)| {
            let seconds = |owned: &Owned| {
                owned
                    .time
                    .as_deref()
                    .and_then(|time| time.parse::<jiff::Timestamp>().ok())
                    .map_or(0, |time| time.as_second())
            };
            let key = |id: &ManagerId, owned: &Owned| {
                (
                    id.operation,
                    seconds(owned),
                    id.manager.clone(),
                    owned.api_version.clone(),
                    id.subresource.clone(),
                )
            };
            key(left, left_owned).cmp(&key(right, right_owned))
        });
        let encoded = entries.into_iter().map(|(id, owned)| {
            let mut entry = Map::new();
            entry.insert("manager".to_owned(), Value::from(id.manager.as_str()));
            entry.insert("operation".to_owned(), Value::from(id.operation.name()));
            entry.insert("apiVersion".to_owned(), Value::from(owned.api_version.as_str()));
            if let Some(time) = &owned.time {
                entry.insert("time".to_owned(), Value::from(time.as_str()));
            }
            entry.insert("fieldsType".to_owned(), Value::from("FieldsV1"));
            entry.insert("fieldsV1".to_owned(), fields_v1::encode(&owned.fields));
            if !id.subresource.is_empty() {
                entry.insert("subresource".to_owned(), Value::from(id.subresource.as_str()));
            }
            Value::Object(entry)
        });
        Value::Array(encoded.collect())
    }

    /// Takes out those of other versions than this one, but for the manager `but`, which is about to say anew what it
    /// owns.
    pub(super) fn set_apart(&mut self, version: &str, but: Option<&ManagerId>) -> Self {
        let owned = std::mem::take(&mut self.owned);
        let (here, apart) = owned
            .into_iter()
            .partition(|(id, owned)| owned.api_version == version || but == Some(id));
        self.owned = here;
        Self { owned: apart }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.owned.is_empty()
    }

    /// What all managers own together.
    pub(super) fn union(&self) -> FieldSet {
        self.owned
            .values()
            .fold(FieldSet::default(), |all, owned| all.union(&owned.fields))
    }

    /// Takes paths from every manager that `of` selects, and drops managers that own nothing any more.
    pub(super) fn disown(&mut self, fields: &FieldSet, of: impl Fn(&ManagerId) -> bool) {
        if fields.is_empty() {
            return;
        }
        for (id, owned) in &mut self.owned {
            if of(id) {
                owned.fields = owned.fields.difference(fields);
            }
        }
        self.owned.retain(|id, owned| !of(id) || !owned.fields.is_empty());
    }

    /// Merges the oldest updaters of each version until few enough are left (upstream: `capManagersManager`).
    pub(super) fn cap(&mut self) {
        let mut updaters: Vec<(Option<String>, ManagerId)> = self
            .owned
            .iter()
            .filter(|(id, _)| id.operation == Operation::Update)
            .map(|(id, owned)| (owned.time.clone(), id.clone()))
            .collect();
        updaters.sort();
        let mut left = updaters.len();
        let mut first_of_version: BTreeMap<String, ManagerId> = BTreeMap::new();
        for (time, id) in updaters {
            if left <= MAX_UPDATE_MANAGERS {
                break;
            }
            let Some(first) = first_of_version.get(&id.api_version).cloned() else {
                first_of_version.insert(id.api_version.clone(), id);
                continue;
            };
            let bucket = ManagerId::new(Operation::Update, ANCIENT_CHANGES, &id.api_version, None);
            let Some(merged) = self.owned.remove(&id) else {
                continue;
            };
            if first != bucket
                && let Some(first) = self.owned.remove(&first)
            {
                let entry = self.owned.entry(bucket.clone());
                entry
                    .and_modify(|known| known.fields = known.fields.union(&first.fields))
                    .or_insert(first);
            }
            first_of_version.insert(id.api_version.clone(), bucket.clone());
            if let Some(bucket) = self.owned.get_mut(&bucket) {
                bucket.fields = bucket.fields.union(&merged.fields);
                bucket.time = time;
            }
            left -= 1;
        }
    }
}

/// Whether the request asks to forget all managers: `[]` or `[{}]` (upstream: `isResetManagedFields`).
pub(super) fn is_reset(entries: &Value) -> bool {
    match entries.as_array().map(Vec::as_slice) {
        Some([]) => true,
        Some([only]) => *only == json!({}),
        _ => false,
    }
}
