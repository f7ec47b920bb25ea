//! DELETE of one object and of a collection.

use serde_json::{Value, json};

use super::{ATTEMPTS, Answer, Call, ListAnswer, Registry, to_bytes};
use crate::admission::Operation;
use crate::meta;
use crate::request::DeleteQuery;
use crate::status::StatusError;
use crate::store::{Change, Expect, Object, Write, WriteError};

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";
/// Grace period of a pod that does not say (upstream default).
const DEFAULT_GRACE_SECONDS: i64 = 30;

/// What a delete does to an object.
#[derive(Debug, PartialEq)]
enum Plan {
    /// It goes now.
    Remove,
    /// It is marked, and goes when its finalizers (or its grace period) are done.
    Mark(Value),
    /// It is already on its way.
    Nothing,
}

impl Registry {
    /// Deletes an object, or starts to.
    pub(crate) async fn delete(&self, call: &mut Call) -> Result<Answer, StatusError> {
        for _ in 0..ATTEMPTS {
            let current = self.find(call)?;
            let old = self.presented(call, &current).await?;
            check_preconditions(call, current.revision, &old)?;
            // Whoever may evict has been asked about the eviction.
            if call.subresource.is_empty() {
                self.mutate(call, Operation::Delete, None, Some(&old)).await?;
                self.validate_admission(call, Operation::Delete, None, Some(&old))
                    .await?;
            }
            let stored = current.value();
            let plan = plan(call, &stored, (self.clock)())?;
            let (change, removed) = match plan {
                Plan::Nothing => {
                    return Ok(Answer::Object {
                        code: 200,
                        raw: self.served(&call.resource, &current).await?,
                    });
                }
                Plan::Remove => (Change::Remove(stored), true),
                Plan::Mark(marked) => (Change::Put(marked), false),
            };
            if call.query.dry_run {
                return Ok(match change {
                    Change::Remove(_) => deleted(call, &old),
                    Change::Put(marked) => {
                        let preview = Object {
                            revision: current.revision,
                            raw: to_bytes(&marked),
                        };
                        Answer::Object {
                            code: 200,
                            raw: self.served(&call.resource, &preview).await?,
                        }
                    }
                });
            }
            let write = Write {
                key: call.key(),
                expect: Expect::Revision(current.revision),
                change,
                guard: None,
                durability: call.durability(),
            };
            match self.store.write(write).await {
                Ok(object) => {
                    if removed {
                        self.release(call, &old);
                    }
                    self.after_write(call, &object);
                    // Clients of pods and services expect the object, of everything else a `Status`.
                    let whole = call.resource.is("", "pods") || call.resource.is("", "services");
                    return Ok(if removed && !whole {
                        deleted(call, &old)
                    } else {
                        Answer::Object {
                            code: 200,
                            raw: self.served(&call.resource, &object).await?,
                        }
                    });
                }
                Err(WriteError::Changed | WriteError::Guard) => {}
                Err(error) => return Err(call.write_error(&error)),
            }
        }
        Err(call.modified())
    }

    /// Deletes everything that a list of the same query would show.
    pub(crate) async fn delete_collection(&self, call: &mut Call) -> Result<Answer, StatusError> {
        let list = self.list_objects(call).await?;
        let mut items = Vec::with_capacity(list.items.len());
        for raw in list.items {
            let value: Value = serde_json::from_slice(&raw).unwrap_or_default();
            call.name = meta::name(&value).to_owned();
            let namespace = std::mem::replace(&mut call.namespace, meta::namespace(&value).to_owned());
            let result = self.delete(call).await;
            call.namespace = namespace;
            match result {
                Ok(Answer::Object { raw, .. }) => items.push(raw),
                Ok(_) => items.push(raw),
                // Gone in the meantime, as was asked.
                Err(error) if error.code == 404 => {}
                Err(error) => return Err(error),
            }
        }
        call.name.clear();
        Ok(Answer::List(ListAnswer {
            revision: self.store.revision(),
            continue_token: list.continue_token,
            remaining: list.remaining,
            items,
        }))
    }

    /// Returns whether an object that is being deleted has nothing left to wait for.
    pub(super) fn deletion_is_complete(&self, call: &Call, object: &Value) -> bool {
        let grace = object
            .pointer("/metadata/deletionGracePeriodSeconds")
            .and_then(Value::as_i64)
            .unwrap_or(0);
        grace == 0 && meta::finalizers(object).next().is_none() && !held_by_spec(call, object)
    }
}

fn deleted(call: &Call, object: &Value) -> Answer {
    Answer::Status(json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {
            "name": call.name,
            "group": call.resource.group,
            "kind": call.resource.plural,
            "uid": meta::uid(object),
        },
    }))
}

fn check_preconditions(call: &Call, revision: u64, object: &Value) -> Result<(), StatusError> {
    let DeleteQuery {
        uid,
        resource_version,
        ..
    } = &call.query.delete;
    let conflict = |what: &str, wanted: &str, actual: &str| {
        let why =
            format!("Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {actual}");
        Err(StatusError::conflict(call.resource.subject(), &call.name, why))
    };
    match uid {
        Some(wanted) if wanted != meta::uid(object) => return conflict("UID", wanted, meta::uid(object)),
        _ => {}
    }
    match resource_version {
        Some(wanted) if *wanted != revision.to_string() => {
            conflict("ResourceVersion", wanted, &revision.to_string())
        }
        _ => Ok(()),
    }
}

/// Decides what happens to an object (`k8s.io/apiserver/pkg/registry/rest/delete.go` and `…/generic/registry/store.go`).
fn plan(call: &Call, object: &Value, now: jiff::Timestamp) -> Result<Plan, StatusError> {
    let finalizers = next_finalizers(&call.query.delete, object)?;
    let grace = grace_period(call, object);
    let deleting = meta::is_deleting(object);
    if finalizers.is_empty() && grace == 0 && !held_by_spec(call, object) {
        return Ok(Plan::Remove);
    }
    let current: Vec<&str> = meta::finalizers(object).collect();
    let present_grace = object
        .pointer("/metadata/deletionGracePeriodSeconds")
        .and_then(Value::as_i64);
    if deleting && finalizers == current && present_grace.unwrap_or(0) <= grace {
        return Ok(Plan::Nothing);
    }
    let mut marked = object.clone();
    let metadata = meta::metadata_mut(&mut marked);
    meta::set(
        metadata,
        "finalizers",
        (!finalizers.is_empty()).then(|| finalizers.into()),
    );
    if !deleting || present_grace.unwrap_or(0) > grace {
        let shorter = present_grace.map_or(grace, |present| present.min(grace));
        let at = now
            .checked_add(jiff::SignedDuration::from_secs(shorter))
            .unwrap_or(now);
        metadata.insert("deletionTimestamp".into(), meta::time(at).into());
        metadata.insert("deletionGracePeriodSeconds".into(), shorter.into());
        if let Some(generation) = metadata.get("generation").and_then(Value::as_i64) {
            metadata.insert("generation".into(), (generation + 1).into());
        }
    }
    if call.resource.is("", "namespaces") {
        meta::child_mut(&mut marked, "status").insert("phase".into(), "Terminating".into());
    }
    if call
        .resource
        .is("apiextensions.k8s.io", "customresourcedefinitions")
    {
        super::strategy::mark_definition_terminating(&mut marked, &meta::time(now));
    }
    Ok(Plan::Mark(marked))
}

/// Applies the propagation policy to the finalizers.
fn next_finalizers(options: &DeleteQuery, object: &Value) -> Result<Vec<String>, StatusError> {
    let mut finalizers: Vec<String> = meta::finalizers(object).map(str::to_owned).collect();
    let policy = match (options.propagation.as_deref(), options.orphan_dependents) {
        (Some(policy), _) => Some(policy),
        (None, Some(true)) => Some("Orphan"),
        (None, Some(false)) => Some("Background"),
        (None, None) => None,
    };
    let wanted = match policy {
        None => return Ok(finalizers),
        Some("Background") => None,
        Some("Orphan") => Some(ORPHAN),
        Some("Foreground") => Some(FOREGROUND),
        Some(other) => {
            return Err(StatusError::bad_request(format!(
                "invalid DeleteOptions: propagationPolicy: Unsupported value: \"{other}\": supported values: \
                 \"Background\", \"Foreground\", \"Orphan\""
            )));
        }
    };
    finalizers
        .retain(|finalizer| !matches!(finalizer.as_str(), ORPHAN | FOREGROUND) || wanted == Some(finalizer));
    if let Some(wanted) = wanted
        && !finalizers.iter().any(|finalizer| finalizer == wanted)
    {
        finalizers.push(wanted.to_owned());
    }
    Ok(finalizers)
}

/// Returns the seconds a pod gets to stop; 0 for pods that no node has, that are done, and for all other kinds.
fn grace_period(call: &Call, object: &Value) -> i64 {
    if !call.resource.is("", "pods") {
        return 0;
    }
    let unscheduled = meta::text(object, "/spec/nodeName").is_empty();
    let done = matches!(meta::text(object, "/status/phase"), "Succeeded" | "Failed");
    if unscheduled || done {
        return 0;
    }
    let own = object
        .pointer("/spec/terminationGracePeriodSeconds")
        .and_then(Value::as_i64);
    call.query
        .delete
        .grace_period
        .or(own)
        .unwrap_or(DEFAULT_GRACE_SECONDS)
        .max(0)
}

/// Namespaces have finalizers of their own in `spec`, removed through the `finalize` subresource.
fn held_by_spec(call: &Call, object: &Value) -> bool {
    call.resource.is("", "namespaces")
        && object
            .pointer("/spec/finalizers")
            .and_then(Value::as_array)
            .is_some_and(|items| !items.is_empty())
}

#[cfg(test)]
mod tests;
