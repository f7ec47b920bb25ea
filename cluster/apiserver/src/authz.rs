//! Authorization: who may do what, by roles and their bindings (RBAC).
//!
//! Roles are read anew for each request of anybody but the administrators: such requests are few, roles are small, and a
//! binding that is taken away must not work a moment longer.

mod bootstrap;
mod escalation;
mod resolve;
mod rules;

pub(crate) use self::bootstrap::{bindings, roles};
pub(crate) use self::resolve::{Decision, listed};
pub(crate) use self::rules::Request;

use crate::registry::Caller;
use crate::status::{StatusError, Subject};

/// 403 in the words of `k8s.io/apiserver/pkg/endpoints/handlers/responsewriters/errors.go`.
pub(crate) fn denied(caller: &Caller, request: &Request<'_>) -> StatusError {
    tracing::debug!(
        user = caller.name,
        verb = request.verb,
        group = request.group,
        resource = request.qualified(),
        namespace = request.namespace,
        name = request.name,
        "Request is denied"
    );
    let place = match request.namespace {
        "" => "at the cluster scope".to_owned(),
        namespace => format!("in the namespace \"{namespace}\""),
    };
    let subject = Subject {
        group: request.group,
        resource: request.resource,
    };
    StatusError::forbidden(
        subject,
        request.name,
        format!(
            "User \"{}\" cannot {} resource \"{}\" in API group \"{}\" {place}",
            caller.name,
            request.verb,
            request.qualified(),
            request.group
        ),
    )
}
