//! POST on a collection.

use std::sync::Arc;

use serde_json::Value;

use super::metadata::{generate_name, match_path, prepare_create};
use super::{ATTEMPTS, Answer, Call, Registry, to_bytes};
use crate::admission::Operation;
use crate::meta;
use crate::status::StatusError;
use crate::store::{Change, Expect, Object, Write, WriteError};

impl Registry {
    /// Creates an object.
    pub(crate) async fn create(&self, call: &mut Call, body: Value) -> Result<Answer, StatusError> {
        let mut body = body;
        self.check_type(call, &mut body)?;
        if call.resource.namespaced && call.namespace.is_empty() {
            return Err(StatusError::bad_request(
                "an empty namespace may not be set during creation",
            ));
        }
        let base = meta::text(&body, "/metadata/generateName").to_owned();
        let generated = meta::name(&body).is_empty() && call.name.is_empty() && !base.is_empty();
        let mut attempt = 0;
        loop {
            attempt += 1;
            let mut object = body.clone();
            if generated {
                call.name = generate_name(&base);
            } else if call.name.is_empty() {
                call.name = meta::name(&object).to_owned();
            }
            match_path(call, &mut object)?;
            match self.create_once(call, object).await {
                // Somebody has the generated name, or the namespace changed under us: try again.
                Err(Failure::Retry(error))
                    if attempt >= ATTEMPTS || (!generated && error.reason == "AlreadyExists") =>
                {
                    return Err(error);
                }
                Err(Failure::Retry(_)) => {}
                Err(Failure::Final(error)) => return Err(error),
                Ok(answer) => return Ok(answer),
            }
        }
    }

    async fn create_once(&self, call: &mut Call, mut object: Value) -> Result<Answer, Failure> {
        let guard = self.guard_namespace(call, &call.name)?;
        prepare_create(&mut object, &self.now(), call.resource.has_generation());
        self.prepare_fields(call, &mut object)?;
        self.strategy_create(call, &mut object)?;
        // Owners are recorded first, as upstream: what webhooks and the server set by itself belongs to nobody.
        self.record_fields(call, None, &mut object)?;
        self.admit_account(call, &mut object).await?;
        self.mutate(call, Operation::Create, Some(&mut object), None)
            .await?;
        self.admit_account(call, &mut object).await?;
        self.complete_fields(call, &mut object)?;
        match_path(call, &mut object)?;
        let reservation = self.allocate(call, &mut object, None)?;
        self.validate_create(call, &object)?;
        self.check_escalation(call, &object)?;
        self.validate_admission(call, Operation::Create, Some(&object), None)
            .await?;

        let mut stored = object;
        call.resource.to_storage(&mut stored).await?;
        let raw = to_bytes(&stored);
        if raw.len() > super::MAX_OBJECT_BYTES {
            return Err(StatusError::too_large(super::MAX_OBJECT_BYTES).into());
        }
        let key = call.key();
        if call.query.dry_run {
            if self.store.get(&key).is_some() {
                return Err(Failure::Retry(call.write_error(&WriteError::Exists)));
            }
            let preview = Object { revision: 0, raw };
            return Ok(Answer::Object {
                code: 201,
                raw: self.served(&call.resource, &preview).await?,
            });
        }
        let write = Write {
            key,
            expect: Expect::Absent,
            change: Change::Put(stored),
            guard,
            durability: call.durability(),
        };
        match self.store.write(write).await {
            Ok(object) => {
                reservation.keep();
                self.after_write(call, &object);
                Ok(Answer::Object {
                    code: 201,
                    raw: self.served(&call.resource, &object).await?,
                })
            }
            Err(error @ (WriteError::Exists | WriteError::Guard)) => {
                Err(Failure::Retry(call.write_error(&error)))
            }
            Err(error) => Err(call.write_error(&error).into()),
        }
    }

    /// What must follow a change of the store before the caller is answered.
    pub(super) fn after_write(&self, call: &Call, _object: &Arc<Object>) {
        if call
            .resource
            .is("apiextensions.k8s.io", "customresourcedefinitions")
        {
            self.reload_definitions();
        }
        if call.resource.group == "admissionregistration.k8s.io" {
            self.reload_webhooks();
        }
    }
}

/// Whether another attempt may end better.
enum Failure {
    Retry(StatusError),
    Final(StatusError),
}

impl From<StatusError> for Failure {
    fn from(error: StatusError) -> Self {
        Self::Final(error)
    }
}
