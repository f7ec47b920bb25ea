//! PUT and PATCH: the read-modify-write that both share.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::metadata::{match_path, prepare_update};
use super::scale::{scale_of, set_replicas};
use super::{ATTEMPTS, Answer, Call, Registry, to_bytes};
use crate::admission::Operation;
use crate::meta;
use crate::status::StatusError;
use crate::store::{Change, Expect, Object, Write, WriteError};

/// Computes the next object from the present one. Called again when somebody else was faster.
pub(super) type Next<'a> = dyn FnMut(&Registry, &mut Call, &Value) -> Result<Value, StatusError> + Send + 'a;

impl Registry {
    /// Replaces an object.
    pub(crate) async fn replace(&self, call: &mut Call, body: Value) -> Result<Answer, StatusError> {
        let mut body = body;
        self.check_type(call, &mut body)?;
        match_path(call, &mut body)?;
        let validation = call.query.validation;
        self.modify(call, &mut |registry, call, _| {
            let mut next = body.clone();
            registry.prepare_fields(call, &mut next)?;
            // The next attempt must not repeat the warnings of this one.
            call.query.validation = crate::request::Validation::Ignore;
            Ok(next)
        })
        .await
        .inspect(|_| call.query.validation = validation)
    }

    /// Changes an object until nobody interferes, or answers the conflict.
    pub(super) async fn modify(&self, call: &mut Call, next: &mut Next<'_>) -> Result<Answer, StatusError> {
        for _ in 0..ATTEMPTS {
            let current = self.find(call)?;
            let old = self.presented(call, &current).await?;
            let new = next(self, call, &old)?;
            match self.update_once(call, &current, &old, new).await {
                Err(Failure::Raced) => {}
                Err(Failure::Final(error)) => return Err(error),
                Ok(answer) => return Ok(answer),
            }
        }
        Err(call.modified())
    }

    async fn update_once(
        &self,
        call: &mut Call,
        current: &Arc<Object>,
        old: &Value,
        mut new: Value,
    ) -> Result<Answer, Failure> {
        self.check_type(call, &mut new)?;
        match_path(call, &mut new)?;
        check_preconditions(call, current.revision, old, &new)?;
        prepare_update(&mut new, old);
        self.strategy_update(call, &mut new, old)?;
        // Owners are recorded first, as upstream: what webhooks and the server set by itself belongs to nobody.
        self.record_fields(call, Some(old), &mut new)?;
        self.mutate_update(call, &mut new, old).await?;
        self.complete_fields(call, &mut new)?;
        match_path(call, &mut new)?;
        let reservation = self.allocate(call, &mut new, Some(old))?;
        meta::metadata_mut(&mut new).insert("resourceVersion".into(), current.revision.to_string().into());
        if call.subresource != "status" && call.resource.has_generation() && spec_changed(call, old, &new) {
            let generation = old
                .pointer("/metadata/generation")
                .and_then(Value::as_i64)
                .unwrap_or(0);
            meta::metadata_mut(&mut new).insert("generation".into(), (generation + 1).into());
        }
        self.validate_update(call, &new, old)?;
        if spec_changed(call, old, &new) {
            self.check_escalation(call, &new)?;
        }
        self.admit_update(call, &new, old).await?;

        let removed = meta::is_deleting(&new) && self.deletion_is_complete(call, &new);
        if !removed && same_content(old, &new) {
            return Ok(Answer::Object {
                code: 200,
                raw: self.served(&call.resource, current).await?,
            });
        }
        let mut stored = new;
        call.resource.to_storage(&mut stored).await?;
        let raw = to_bytes(&stored);
        if raw.len() > super::MAX_OBJECT_BYTES {
            return Err(StatusError::too_large(super::MAX_OBJECT_BYTES).into());
        }
        if call.query.dry_run {
            let preview = Object {
                revision: current.revision,
                raw,
            };
            return Ok(Answer::Object {
                code: 200,
                raw: self.served(&call.resource, &preview).await?,
            });
        }
        let change = if removed {
            Change::Remove(stored)
        } else {
            Change::Put(stored)
        };
        let expect = Expect::Revision(current.revision);
        let write = Write {
            key: call.key(),
            expect,
            change,
            guard: None,
            durability: call.durability(),
        };
        match self.store.write(write).await {
            Ok(object) => {
                reservation.keep();
                if removed {
                    self.release(call, old);
                }
                self.after_write(call, &object);
                Ok(Answer::Object {
                    code: 200,
                    raw: self.served(&call.resource, &object).await?,
                })
            }
            Err(WriteError::Changed | WriteError::Guard) => Err(Failure::Raced),
            Err(error) => Err(call.write_error(&error).into()),
        }
    }
}

impl Registry {
    /// Lets webhooks change what a write makes of an object; of a scale they see the scale, and of a binding they have seen
    /// the binding.
    async fn mutate_update(&self, call: &mut Call, new: &mut Value, old: &Value) -> Result<(), StatusError> {
        match call.subresource.as_str() {
            "binding" => Ok(()),
            "scale" => {
                let old = scale_of(&call.resource, old)?;
                let mut scale = scale_of(&call.resource, new)?;
                self.mutate(call, Operation::Update, Some(&mut scale), Some(&old))
                    .await?;
                set_replicas(&call.resource, new, &scale)
            }
            _ => self.mutate(call, Operation::Update, Some(new), Some(old)).await,
        }
    }

    async fn admit_update(&self, call: &mut Call, new: &Value, old: &Value) -> Result<(), StatusError> {
        match call.subresource.as_str() {
            "binding" => Ok(()),
            "scale" => {
                let (new, old) = (scale_of(&call.resource, new)?, scale_of(&call.resource, old)?);
                self.validate_admission(call, Operation::Update, Some(&new), Some(&old))
                    .await
            }
            subresource => {
                if subresource == "ephemeralcontainers" {
                    self.admit_ephemeral(call, new).await?;
                }
                self.validate_admission(call, Operation::Update, Some(new), Some(old))
                    .await
            }
        }
    }
}

/// Why an attempt failed.
enum Failure {
    /// Somebody else wrote first; the next attempt starts from their object.
    Raced,
    Final(StatusError),
}

impl From<StatusError> for Failure {
    fn from(error: StatusError) -> Self {
        Self::Final(error)
    }
}

/// Checks the resource version and uid that a body names, if it does.
fn check_preconditions(call: &Call, revision: u64, old: &Value, new: &Value) -> Result<(), StatusError> {
    let wanted = meta::text(new, "/metadata/resourceVersion");
    if !wanted.is_empty() && wanted != "0" && wanted != revision.to_string() {
        if wanted.parse::<u64>().is_err() {
            return Err(StatusError::bad_request(format!(
                "metadata.resourceVersion: Invalid value: \"{wanted}\": must be the version that the server returned"
            )));
        }
        return Err(call.modified());
    }
    let (wanted, actual) = (meta::uid(new), meta::uid(old));
    if !wanted.is_empty() && wanted != actual {
        let why = format!("Precondition failed: UID in precondition: {wanted}, UID in object meta: {actual}");
        return Err(StatusError::conflict(call.resource.subject(), &call.name, why));
    }
    Ok(())
}

/// Returns whether anything but metadata and (where it is separate) status differs.
fn spec_changed(call: &Call, old: &Value, new: &Value) -> bool {
    let separate_status = call.resource.has_status();
    specified(old, separate_status) != specified(new, separate_status)
}

fn specified(object: &Value, separate_status: bool) -> BTreeMap<&str, &Value> {
    let entries = object.as_object().into_iter().flatten();
    entries
        .map(|(key, value)| (key.as_str(), value))
        .filter(|(key, _)| {
            let outside = matches!(*key, "metadata" | "apiVersion" | "kind");
            !(outside || separate_status && *key == "status")
        })
        .collect()
}

/// Returns whether a write would change nothing but the times in `managedFields`.
fn same_content(old: &Value, new: &Value) -> bool {
    let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else {
        return false;
    };
    let rest_is_same = old.len() == new.len()
        && old
            .iter()
            .all(|(key, value)| key == "metadata" || new.get(key) == Some(value));
    let metadata = |object: &serde_json::Map<String, Value>| {
        let mut metadata = object.get("metadata").cloned().unwrap_or_default();
        for entry in metadata
            .get_mut("managedFields")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            if let Some(entry) = entry.as_object_mut() {
                entry.remove("time");
            }
        }
        metadata
    };
    rest_is_same && metadata(old) == metadata(new)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_times_of_managers_do_not_count_as_a_change() {
        let old = json!({"metadata": {"name": "a", "managedFields": [{"manager": "m", "time": "1"}]}, "spec": {"x": 1}});
        let mut new = old.clone();
        new["metadata"]["managedFields"][0]["time"] = json!("2");
        assert!(same_content(&old, &new));
        new["metadata"]["managedFields"][0]["manager"] = json!("n");
        assert!(!same_content(&old, &new));
        let mut new = old.clone();
        new["spec"]["x"] = json!(2);
        assert!(!same_content(&old, &new));
    }
}
