//! Server-side apply: who owns which field, and merging a configuration into an object accordingly.
//!
//! The problem: several writers each want some fields of an object, and must neither undo each other silently nor
//! leave behind what they no longer want. The idea (`sigs.k8s.io/structured-merge-diff`, KEP-555): every object
//! records in `metadata.managedFields` which paths each manager set. [`apply`] merges the applied configuration,
//! refuses to change what others own unless forced, and removes what this manager applied before, no longer does
//! and nobody else owns. [`record_update`] keeps the record for all other writes.
//!
//! Limits: paths are not converted between versions of a kind. Where versions name fields differently, what managers of
//! other versions own is kept as it is (`versions_differ`): nobody conflicts with it, and nothing it names is removed.

mod check;
mod compare;
mod conflict;
mod fields_v1;
mod last_applied;
mod managers;
mod merge;
mod owned;
mod path;
mod remove;
mod set;
mod typed;
mod update;

use std::borrow::Cow;

use jiff::Timestamp;
use serde_json::{Map, Value};

use self::managers::{ManagerId, Managers, Operation, Owned};
use self::set::FieldSet;
use self::typed::Typed;
use crate::schema::Schema;
use crate::{MAX_DEPTH, exceeds_depth};

pub use self::conflict::Conflict;
pub use self::update::{UpdateRequest, record_update};

/// Longest manager name (upstream: `validation.FieldManagerMaxLength`).
pub const MAX_MANAGER_LENGTH: usize = 128;

/// Who "owns" the fields of objects that were written before anything was tracked.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// Fields that identify an object or belong to the server; nobody owns them (upstream: `stripMetaManager`).
const UNOWNED: [&[&str]; 12] = [
    &["apiVersion"],
    &["kind"],
    &["metadata"],
    &["metadata", "name"],
    &["metadata", "namespace"],
    &["metadata", "creationTimestamp"],
    &["metadata", "selfLink"],
    &["metadata", "uid"],
    &["metadata", "clusterName"],
    &["metadata", "generation"],
    &["metadata", "managedFields"],
    &["metadata", "resourceVersion"],
];

/// An `application/apply-patch+yaml` request.
#[derive(Clone, Copy, Debug)]
pub struct ApplyRequest<'a> {
    /// The stored object; `None` creates it.
    pub live: Option<&'a Value>,
    /// The applied configuration: an object with `apiVersion` and `kind`.
    pub config: &'a Value,
    /// `fieldManager`.
    pub manager: &'a str,
    /// Take fields from other managers instead of refusing.
    pub force: bool,
    /// `status`, `scale`, …; `None` for the main resource.
    pub subresource: Option<&'a str>,
    /// Fields this endpoint does not write, so that nobody comes to own them here: see [`reset_fields`].
    pub reset_fields: &'a [&'a [&'a str]],
    /// Schema of the kind.
    pub schema: &'a Schema,
    /// The kind's versions name fields differently, so paths of other versions mean nothing here.
    pub versions_differ: bool,
    /// Time of the request.
    pub now: Timestamp,
}

/// Why an apply is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ApplyError {
    /// Other managers own fields with other values (409, reason `Conflict`; one cause of type
    /// `FieldManagerConflict` each, with [`Conflict::field`] and the conflict's `Display` as message).
    #[error("{}", conflict::message(.0))]
    Conflicts(Vec<Conflict>),
    /// The configuration cannot be applied to this kind (400).
    #[error("{0}")]
    Invalid(String),
}

impl ApplyError {
    /// HTTP status of the answer: 409 or 400.
    #[must_use]
    pub fn status_code(&self) -> u16 {
        match self {
            Self::Conflicts(_) => 409,
            Self::Invalid(_) => 400,
        }
    }
}

/// The fields that a write to the main resource, or to its status, leaves as they are, for kinds that have the
/// subresource (upstream: each strategy's `GetResetFields`).
#[must_use]
pub fn reset_fields(subresource: Option<&str>, has_status: bool) -> &'static [&'static [&'static str]] {
    match subresource {
        Some("status") => &[&["spec"], &["metadata", "labels"], &["metadata", "annotations"]],
        None if has_status => &[&["status"]],
        _ => &[],
    }
}

/// Applies a configuration. The result is the new object with its new `managedFields`; if nothing changes, it is
/// the live object as it was, times included, so that the caller can skip the write.
///
/// The caller restores what belongs to the server (uid, creationTimestamp, …), then defaults and validates.
///
/// # Errors
/// [`ApplyError::Conflicts`] without `force`, if others own fields with other values; [`ApplyError::Invalid`] for a
/// configuration with undeclared fields, list items without key, or its own `managedFields`.
pub fn apply(request: ApplyRequest<'_>) -> Result<Value, ApplyError> {
    let config = cleaned(&request)?;
    let typed = Typed::root(request.schema);
    let problems = check::errors(typed, &config);
    if !problems.is_empty() {
        return Err(ApplyError::Invalid(not_typed(&config, &problems)));
    }
    let applied = last_applied::apply(&Step {
        request,
        config: &config,
        typed,
    })?;
    Ok(applied)
}

/// One try to apply, with the request made ready.
struct Step<'a> {
    request: ApplyRequest<'a>,
    /// The configuration without nulls that mean nothing.
    config: &'a Value,
    typed: Typed<'a>,
}

/// Disputed fields, as shown and as paths.
struct Disputed(Vec<(Conflict, FieldSet)>);

impl Step<'_> {
    fn run(&self, force: bool) -> Result<Value, Disputed> {
        let Self {
            request,
            config,
            typed,
        } = self;
        let now = request.now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let (base, entries) = split(request.live);
        let before = Managers::decode(&entries).unwrap_or_default();
        let version = config
            .get("apiVersion")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let id = ManagerId::new(Operation::Apply, request.manager, version, request.subresource);
        let mut managers = before.clone();
        let apart = if request.versions_differ {
            managers.set_apart(version, Some(&id))
        } else {
            Managers::default()
        };
        for owned in managers.owned.values_mut() {
            owned.fields = owned::fitted(&owned.fields, *typed);
        }
        if before.is_empty() && request.live.is_some() {
            let shown = base.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
            let unknown = ManagerId::new(Operation::Update, BEFORE_FIRST_APPLY, shown, None);
            let old = Value::Object(Map::new());
            update::track(
                &mut managers,
                *typed,
                &old,
                &base,
                &unknown,
                request.reset_fields,
                &now,
            );
        }
        let last = managers.owned.remove(&id);

        let reset = FieldSet::of_fields(request.reset_fields);
        let unowned = FieldSet::of_fields(&UNOWNED);
        let set = owned::owned(*typed, config).recursive_difference(&reset);
        let mut merged = base.clone();
        merge::merge(*typed, &mut merged, config);
        if let Some(last) = &last {
            // Only what nobody else owns goes, and never what identifies the object.
            let kept = managers.union().union(&apart.union());
            let kept = kept.union(&set).union(&unowned);
            let gone = owned::with_named_parents(&last.fields, *typed)
                .difference(&owned::with_named_parents(&kept, *typed));
            remove::remove(*typed, &mut merged, &gone);
        }
        let difference = compare::compare(*typed, &base, &merged).without(&reset);
        let wanted = difference.modified.union(&difference.added);
        let disputed = conflict::conflicts(&managers, &id, &wanted);
        if !force && !disputed.is_empty() {
            return Err(Disputed(disputed));
        }
        managers.disown(&wanted.union(&difference.removed), |_| true);

        let changed = !difference.is_empty() || !path::same(&base, &merged);
        let fields = set.difference(&unowned);
        if !fields.is_empty() {
            let same_claim = last
                .as_ref()
                .is_some_and(|last| last.fields == fields && last.api_version == version);
            let time = match &last {
                Some(last) if same_claim && !changed => last.time.clone(),
                _ => Some(now),
            };
            managers.owned.insert(
                id,
                Owned {
                    api_version: version.to_owned(),
                    fields,
                    time,
                },
            );
        }
        managers.owned.extend(apart.owned);
        match request.live {
            Some(live) if !changed && managers == before => Ok(live.clone()),
            _ => Ok(joined(if changed { merged } else { base }, &managers)),
        }
    }
}

/// The configuration without what must not, or need not, be in it.
fn cleaned<'a>(request: &ApplyRequest<'a>) -> Result<Cow<'a, Value>, ApplyError> {
    let invalid = |text: &str| Err(ApplyError::Invalid(text.to_owned()));
    let config = request.config;
    if !config.is_object() {
        return invalid("an applied configuration must be an object");
    }
    if exceeds_depth(config, MAX_DEPTH) {
        return invalid("the applied configuration nests too deep");
    }
    if request.manager.is_empty() {
        return invalid(
            "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch",
        );
    }
    if request.manager.len() > MAX_MANAGER_LENGTH {
        return invalid("fieldManager: Too long: may not be more than 128 bytes");
    }
    let metadata = config.get("metadata");
    let field = |name: &str| metadata.and_then(|metadata| metadata.get(name));
    if field("managedFields")
        .and_then(Value::as_array)
        .is_some_and(|entries| !entries.is_empty())
    {
        return invalid("metadata.managedFields must be nil");
    }
    // Manifests printed by older tools say `creationTimestamp: null`.
    if field("managedFields").is_none() && field("creationTimestamp") != Some(&Value::Null) {
        return Ok(Cow::Borrowed(config));
    }
    let mut config = config.clone();
    if let Some(metadata) = config.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
        if metadata.get("creationTimestamp") == Some(&Value::Null) {
            metadata.remove("creationTimestamp");
        }
    }
    Ok(Cow::Owned(config))
}

fn not_typed(config: &Value, problems: &[String]) -> String {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let metadata = |name: &str| text(config.get("metadata").and_then(|metadata| metadata.get(name)));
    let object = format!(
        "{}/{}; {}, Kind={}",
        metadata("namespace"),
        metadata("name"),
        text(config.get("apiVersion")),
        text(config.get("kind"))
    );
    let problems = match problems {
        [only] => only.clone(),
        several => format!("errors:\n  {}", several.join("\n  ")),
    };
    format!("failed to create typed patch object ({object}): {problems}")
}

/// The object without its managers, and the managers.
fn split(object: Option<&Value>) -> (Value, Value) {
    let mut base = object.cloned().unwrap_or_else(|| Value::Object(Map::new()));
    let entries = take_entries(&mut base).unwrap_or_else(|| Value::Array(Vec::new()));
    (base, entries)
}

fn take_entries(object: &mut Value) -> Option<Value> {
    object
        .get_mut("metadata")?
        .as_object_mut()?
        .remove("managedFields")
}

fn joined(mut object: Value, managers: &Managers) -> Value {
    set_entries(&mut object, managers);
    object
}

fn set_entries(object: &mut Value, managers: &Managers) {
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else {
        return;
    };
    if managers.is_empty() {
        metadata.remove("managedFields");
    } else {
        metadata.insert("managedFields".to_owned(), managers.encode());
    }
}

#[cfg(test)]
mod tests;
