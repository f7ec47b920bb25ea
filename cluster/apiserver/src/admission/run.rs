//! Calling the handlers of a request.

use serde_json::{Value, json};

use super::Admission;
use crate::registry::{Call, Registry};
use crate::status::StatusError;

/// What a request does to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Create,
    Update,
    Delete,
}

impl Operation {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
        }
    }
}

impl Registry {
    /// Lets the mutating handlers change `object`.
    pub(crate) async fn mutate(
        &self,
        call: &mut Call,
        operation: Operation,
        object: &mut Value,
        old: Option<&Value>,
    ) -> Result<(), StatusError> {
        for admission in self.matching(call, operation, true) {
            let review = review(call, operation, Some(object), old)?;
            let response = ask(admission, review, call).await?;
            if let Some(patch) = response.patch {
                let failed = |why: String| {
                    StatusError::internal(format!("failed calling webhook \"{}\": {why}", admission.name))
                };
                let patch: Value =
                    serde_json::from_slice(&patch).map_err(|error| failed(error.to_string()))?;
                cluster_machinery::patch::json(object, &patch).map_err(|error| failed(error.to_string()))?;
            }
        }
        Ok(())
    }

    /// Lets the validating handlers refuse.
    pub(crate) async fn validate_admission(
        &self,
        call: &mut Call,
        operation: Operation,
        object: &Value,
        old: Option<&Value>,
    ) -> Result<(), StatusError> {
        for admission in self.matching(call, operation, false) {
            let object = (operation != Operation::Delete).then_some(object);
            let review = review(call, operation, object, old)?;
            ask(admission, review, call).await?;
        }
        Ok(())
    }

    fn matching(&self, call: &Call, operation: Operation, mutating: bool) -> Vec<&Admission> {
        let resource = if call.subresource.is_empty() {
            call.resource.plural.clone()
        } else {
            format!("{}/{}", call.resource.plural, call.subresource)
        };
        let (group, version) = (&call.resource.group, &call.resource.version);
        self.admission
            .iter()
            .filter(|admission| {
                admission.mutating == mutating
                    && admission
                        .rules
                        .iter()
                        .any(|rule| rule.matches(operation.name(), group, version, &resource))
            })
            .collect()
    }
}

type Review = kube::core::admission::AdmissionReview<kube::core::DynamicObject>;

/// Makes the review that a webhook would get.
fn review(
    call: &Call,
    operation: Operation,
    object: Option<&Value>,
    old: Option<&Value>,
) -> Result<Review, StatusError> {
    let resource = &call.resource;
    let kind = json!({"group": resource.group, "version": resource.version, "kind": resource.kind});
    let plural = json!({"group": resource.group, "version": resource.version, "resource": resource.plural});
    let subresource = (!call.subresource.is_empty()).then_some(&call.subresource);
    let review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": uuid::Uuid::new_v4().to_string(),
            "kind": kind,
            "resource": plural,
            "subResource": subresource,
            "requestKind": kind,
            "requestResource": plural,
            "requestSubResource": subresource,
            "name": call.name,
            "namespace": (!call.namespace.is_empty()).then_some(&call.namespace),
            "operation": operation.name(),
            "userInfo": {
                "username": call.caller.name,
                "uid": call.caller.uid,
                "groups": call.caller.groups,
                "extra": call.caller.extra,
            },
            "object": object,
            "oldObject": old,
            "dryRun": call.query.dry_run,
        },
    });
    serde_json::from_value(review).map_err(StatusError::internal)
}

/// Asks one handler; a refusal becomes the error that a webhook's refusal would be.
async fn ask(
    admission: &Admission,
    review: Review,
    call: &mut Call,
) -> Result<kube::core::admission::AdmissionResponse, StatusError> {
    let answered = admission.handler.admit(review).await;
    let response = answered.response.ok_or_else(|| {
        StatusError::internal(format!(
            "failed calling webhook \"{}\": the review has no response",
            admission.name
        ))
    })?;
    call.warnings
        .extend(response.warnings.clone().unwrap_or_default());
    if response.allowed {
        return Ok(response);
    }
    Err(refusal(&admission.name, &response.result))
}

/// The error of a refusal (`k8s.io/apiserver/pkg/admission/plugin/webhook/errors/statuserror.go`): the handler's code and
/// reason, 403 when it sets none.
fn refusal(name: &str, result: &kube::core::Status) -> StatusError {
    let why = match (result.message.is_empty(), result.reason.is_empty()) {
        (false, _) => format!(": {}", result.message),
        (true, false) => format!(": {}", result.reason),
        (true, true) => " without explanation".to_owned(),
    };
    let code = if result.code == 0 { 403 } else { result.code };
    let reason = match (code, result.reason.as_str()) {
        (400, _) => "BadRequest",
        (409, _) => "Conflict",
        (422, _) => "Invalid",
        (429, _) => "TooManyRequests",
        (500.., _) => "InternalError",
        (404, _) => "NotFound",
        _ => "Forbidden",
    };
    StatusError::new(
        code,
        reason,
        format!("admission webhook \"{name}\" denied the request{why}"),
    )
}
