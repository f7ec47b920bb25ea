//! Server-side apply: merging a configuration, and recording who owns which field.

use cluster_machinery::apply::{self, ApplyError, ApplyRequest, UpdateRequest};
use serde_json::Value;

use super::metadata::match_path;
use super::{Answer, Call, Registry};
use crate::authz::{Decision, Request, denied};
use crate::meta;
use crate::request::Validation;
use crate::status::{Cause, StatusError};

impl Registry {
    /// Merges a configuration into an object and records who owns what; creates the object if there is none.
    pub(super) async fn apply(&self, call: &mut Call, config: Value) -> Result<Answer, StatusError> {
        if call.query.field_manager.is_empty() {
            return Err(StatusError::bad_request(
                "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch",
            ));
        }
        let mut config = config;
        self.check_type(call, &mut config)?;
        match_path(call, &mut config)?;
        super::fields::report_fields(call, &config)?;
        call.query.validation = Validation::Ignore;
        call.applying = true;
        // Whoever loses the race to create finds the object on the next attempt, and the other way round.
        for _ in 0..super::ATTEMPTS {
            let exists = self.store.get(&call.key()).is_some();
            let result = if exists {
                self.modify(call, &mut |registry, call, current| {
                    let mut merged = registry.merged(call, Some(current), &config)?;
                    registry.complete_fields(call, &mut merged)?;
                    Ok(merged)
                })
                .await
            } else if call.subresource.is_empty() {
                self.may_create(call)?;
                let body = self.merged(call, None, &config)?;
                self.create(call, body).await
            } else {
                return Err(call.not_found());
            };
            match result {
                Err(error) if exists && error.code == 404 && call.subresource.is_empty() => {}
                Err(error) if !exists && error.reason == "AlreadyExists" => {}
                other => return other,
            }
        }
        Err(call.modified())
    }

    /// An apply that creates needs the right to create.
    fn may_create(&self, call: &Call) -> Result<(), StatusError> {
        let request = Request {
            verb: "create",
            group: &call.resource.group,
            resource: &call.resource.plural,
            namespace: &call.namespace,
            name: &call.name,
            ..Request::default()
        };
        match self.authorize(&call.caller, &request) {
            Decision::Allowed(_) => Ok(()),
            Decision::Denied => Err(denied(&call.caller, &request)),
        }
    }

    fn merged(&self, call: &Call, live: Option<&Value>, config: &Value) -> Result<Value, StatusError> {
        let Some(schema) = call.resource.schema() else {
            return Err(StatusError::bad_request(format!(
                "{} have no schema to apply by",
                call.resource.plural
            )));
        };
        let subresource = subresource(call);
        let request = ApplyRequest {
            live,
            config,
            manager: &call.query.field_manager,
            force: call.query.force,
            subresource,
            reset_fields: apply::reset_fields(subresource, call.resource.has_status()),
            schema: &schema,
            versions_differ: call.resource.converter().is_some(),
            now: (self.clock)(),
        };
        apply::apply(request).map_err(|error| match error {
            ApplyError::Conflicts(ref conflicts) => {
                let mut status = StatusError::new(409, "Conflict", error.to_string());
                status.details.causes = conflicts
                    .iter()
                    .map(|conflict| Cause {
                        reason: "FieldManagerConflict".into(),
                        message: conflict.to_string(),
                        field: conflict.field.clone(),
                    })
                    .collect();
                status
            }
            ApplyError::Invalid(why) => StatusError::bad_request(why),
        })
    }

    /// Records who owns the fields that a write other than an apply changed.
    pub(super) fn record_fields(
        &self,
        call: &Call,
        old: Option<&Value>,
        new: &mut Value,
    ) -> Result<(), StatusError> {
        // An apply has recorded its own.
        if call.applying {
            return Ok(());
        }
        let Some(schema) = call.resource.schema() else {
            return Ok(());
        };
        let subresource = subresource(call);
        // A client that says nothing about managed fields leaves them as they are; an empty list resets them.
        apply::record_update(UpdateRequest {
            old,
            new,
            manager: manager(call),
            subresource,
            reset_fields: apply::reset_fields(subresource, call.resource.has_status()),
            schema: &schema,
            versions_differ: call.resource.converter().is_some(),
            now: (self.clock)(),
        });
        if new
            .pointer("/metadata/managedFields")
            .and_then(Value::as_array)
            .is_some_and(Vec::is_empty)
        {
            meta::metadata_mut(new).remove("managedFields");
        }
        Ok(())
    }
}

fn subresource(call: &Call) -> Option<&str> {
    (!call.subresource.is_empty()).then_some(call.subresource.as_str())
}

/// Returns the manager of a write: the one it names, or the program that sends it.
fn manager(call: &Call) -> &str {
    if !call.query.field_manager.is_empty() {
        &call.query.field_manager
    } else if call.caller.agent.is_empty() {
        "unknown"
    } else {
        &call.caller.agent
    }
}
