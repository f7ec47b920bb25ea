//! `AdmissionReview`: what is asked, and what an answer comes to (`k8s.io/apiserver/pkg/admission/plugin/webhook/request`).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube::core::admission::AdmissionResponse;
use serde_json::{Value, json};

use super::Operation;
use super::matching::Attributes;
use crate::registry::Call;
use crate::resource::ResourceRef;
use crate::status::StatusError;

/// Bytes of all warnings of one request together (upstream: 4 KiB, 256 characters each).
const MAX_WARNINGS: usize = 16;
const MAX_WARNING: usize = 256;

/// What a webhook answered.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Verdict {
    /// Why not, if the webhook refuses.
    pub(crate) refusal: Option<Value>,
    /// JSON patch; empty if nothing changes.
    pub(crate) patch: Vec<Value>,
    pub(crate) warnings: Vec<String>,
}

/// The objects of a request in the version in which a webhook sees them.
pub(crate) struct Shown {
    object: Option<Value>,
    old: Option<Value>,
}

impl Shown {
    /// Converts the objects where that is needed.
    ///
    /// # Errors
    /// When a conversion webhook fails.
    pub(crate) async fn of(request: &Attributes<'_>, seen: &ResourceRef) -> Result<Self, StatusError> {
        let show = async |object: Option<&Value>| match object {
            Some(object) => converted(request.resource, seen, object).await.map(Some),
            None => Ok(None),
        };
        Ok(Self {
            object: show(request.object).await?,
            old: show(request.old).await?,
        })
    }
}

/// Makes the question about a request, shown in the version `seen`.
pub(crate) fn question(
    call: &Call,
    request: &Attributes<'_>,
    seen: &ResourceRef,
    shown: &Shown,
    review_version: &str,
) -> Value {
    let kind = |resource: &ResourceRef| match resource.subresource(request.subresource) {
        Some(sub) => json!({"group": sub.group, "version": sub.version, "kind": sub.kind}),
        None => json!({"group": resource.group, "version": resource.version, "kind": resource.kind}),
    };
    let plural = |resource: &ResourceRef| json!({"group": resource.group, "version": resource.version, "resource": resource.plural});
    let subresource = (!request.subresource.is_empty()).then_some(request.subresource);
    json!({
        "apiVersion": format!("admission.k8s.io/{review_version}"),
        "kind": "AdmissionReview",
        "request": {
            "uid": uuid::Uuid::new_v4().to_string(),
            "kind": kind(seen),
            "resource": plural(seen),
            "subResource": subresource,
            "requestKind": kind(request.resource),
            "requestResource": plural(request.resource),
            "requestSubResource": subresource,
            "name": call.name,
            "namespace": (!request.namespace.is_empty()).then_some(request.namespace),
            "operation": request.operation.name(),
            "userInfo": {
                "username": call.caller.name,
                "uid": call.caller.uid,
                "groups": call.caller.groups,
                "extra": call.caller.extra,
            },
            "object": shown.object,
            "oldObject": shown.old,
            "dryRun": call.query.dry_run,
            "options": options(call, request.operation),
        },
    })
}

/// Shows an object of one version of a resource in another one. A subresource's own kind is the same in both.
///
/// # Errors
/// When a conversion webhook fails.
pub(crate) async fn converted(
    from: &ResourceRef,
    to: &ResourceRef,
    object: &Value,
) -> Result<Value, StatusError> {
    let mut object = object.clone();
    let own_kind = object["kind"] != *from.kind;
    if from.version == to.version && from.group == to.group || own_kind {
        return Ok(object);
    }
    from.to_storage(&mut object).await?;
    to.present(&mut object).await?;
    Ok(object)
}

fn options(call: &Call, operation: Operation) -> Value {
    let kind = match operation {
        Operation::Create => "CreateOptions",
        Operation::Update if call.applying => "PatchOptions",
        Operation::Update => "UpdateOptions",
        Operation::Delete => "DeleteOptions",
    };
    let mut options = json!({"apiVersion": "meta.k8s.io/v1", "kind": kind});
    if call.query.dry_run {
        options["dryRun"] = json!(["All"]);
    }
    if !call.query.field_manager.is_empty() && operation != Operation::Delete {
        options["fieldManager"] = call.query.field_manager.clone().into();
    }
    if operation == Operation::Delete
        && let Some(policy) = &call.query.delete.propagation
    {
        options["propagationPolicy"] = policy.clone().into();
    }
    options
}

/// Reads an answer to `question`.
///
/// # Errors
/// A sentence, if it is no answer to it.
pub(crate) fn verdict(question: &Value, answer: &Value, mutating: bool) -> Result<Verdict, String> {
    let invalid = |why: String| Err(format!("received invalid webhook response: {why}"));
    for field in ["apiVersion", "kind"] {
        if answer[field] != question[field] {
            return invalid(format!(
                "expected webhook response of {field} {}, got {}",
                question[field], answer[field]
            ));
        }
    }
    let response = &answer["response"];
    if !response.is_object() {
        return invalid("webhook response was absent".to_owned());
    }
    // The first version of reviews did not ask for it.
    let expected = &question["request"]["uid"];
    if response["uid"] != *expected && question["apiVersion"] != "admission.k8s.io/v1beta1" {
        return invalid(format!(
            "expected response.uid={expected}, got {}",
            match &response["uid"] {
                Value::Null => "\"\"".to_owned(),
                other => other.to_string(),
            }
        ));
    }
    let warnings = response["warnings"].as_array().into_iter().flatten();
    let warnings = warnings
        .filter_map(Value::as_str)
        .take(MAX_WARNINGS)
        .map(|warning| warning.chars().take(MAX_WARNING).collect())
        .collect();
    if response["allowed"] != true {
        return Ok(Verdict {
            refusal: Some(response.get("status").cloned().unwrap_or_default()),
            warnings,
            ..Verdict::default()
        });
    }
    let patch = match (&response["patch"], mutating) {
        (Value::Null, _) | (_, false) => Vec::new(),
        (Value::String(text), true) if text.is_empty() => Vec::new(),
        (patch, true) => {
            if response["patchType"] != "JSONPatch" {
                return invalid(format!(
                    "webhook returned invalid response.patchType of {}",
                    response["patchType"]
                ));
            }
            decode(patch).map_err(|why| format!("received undecodable patch in webhook response: {why}"))?
        }
    };
    Ok(Verdict {
        refusal: None,
        patch,
        warnings,
    })
}

/// Reads the answer of a handler in process, which need not repeat what it was asked.
pub(crate) fn verdict_in_process(response: AdmissionResponse) -> Result<Verdict, String> {
    let warnings = response.warnings.unwrap_or_default();
    if !response.allowed {
        return Ok(Verdict {
            refusal: Some(serde_json::to_value(response.result).map_err(|error| error.to_string())?),
            warnings,
            ..Verdict::default()
        });
    }
    let patch = match response.patch {
        Some(patch) => serde_json::from_slice(&patch).map_err(|error| error.to_string())?,
        None => Vec::new(),
    };
    Ok(Verdict {
        refusal: None,
        patch,
        warnings,
    })
}

fn decode(patch: &Value) -> Result<Vec<Value>, String> {
    let bytes = match patch {
        Value::String(text) => STANDARD.decode(text).map_err(|error| error.to_string())?,
        // Go reads a list of numbers as bytes too, and some webhooks rely on it.
        Value::Array(bytes) => bytes
            .iter()
            .map(|byte| byte.as_u64().and_then(|byte| u8::try_from(byte).ok()))
            .collect::<Option<Vec<u8>>>()
            .ok_or("it is neither base64 nor bytes")?,
        _ => return Err("it is no text".to_owned()),
    };
    serde_json::from_slice(&bytes).map_err(|error| error.to_string())
}

/// The error of a refusal (`…/plugin/webhook/errors/statuserror.go`): the webhook's code and reason, 400 when it sets no
/// code of an error.
pub(crate) fn refusal(name: &str, status: &Value) -> StatusError {
    let text = |field: &str| status[field].as_str().unwrap_or_default();
    let why = match (text("message"), text("reason")) {
        ("", "") => " without explanation".to_owned(),
        ("", reason) => format!(": {reason}"),
        (message, _) => format!(": {message}"),
    };
    let code = status["code"]
        .as_u64()
        .and_then(|code| u16::try_from(code).ok())
        .filter(|code| (400..600).contains(code))
        .unwrap_or(400);
    StatusError::new(
        code,
        reason(text("reason")),
        format!("admission webhook \"{name}\" denied the request{why}"),
    )
}

/// Reasons that clients know; any other is left out, as one that says nothing.
fn reason(given: &str) -> &'static str {
    const KNOWN: [&str; 14] = [
        "BadRequest",
        "Unauthorized",
        "Forbidden",
        "NotFound",
        "MethodNotAllowed",
        "NotAcceptable",
        "AlreadyExists",
        "Conflict",
        "Gone",
        "Invalid",
        "TooManyRequests",
        "InternalError",
        "ServiceUnavailable",
        "Timeout",
    ];
    KNOWN
        .into_iter()
        .find(|known| *known == given)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question() -> Value {
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": "u"}})
    }

    fn answer(response: Value) -> Value {
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})
    }

    #[test]
    fn answers_must_fit_the_question() {
        let patch = STANDARD.encode(r#"[{"op":"remove","path":"/a"}]"#);
        let table = [
            (answer(json!({"uid": "u", "allowed": true})), Ok(0)),
            (
                answer(json!({"uid": "u", "allowed": true, "patchType": "JSONPatch", "patch": patch})),
                Ok(1),
            ),
            (
                answer(json!({"uid": "v", "allowed": true})),
                Err("expected response.uid=\"u\", got \"v\""),
            ),
            (
                answer(json!({"allowed": true})),
                Err("expected response.uid=\"u\", got \"\""),
            ),
            (
                answer(json!({"uid": "u", "allowed": true, "patchType": "Merge", "patch": patch})),
                Err("invalid response.patchType of \"Merge\""),
            ),
            (
                answer(json!({"uid": "u", "allowed": true, "patchType": "JSONPatch", "patch": "!"})),
                Err("undecodable patch"),
            ),
            (answer(Value::Null), Err("webhook response was absent")),
            (
                json!({"kind": "Status"}),
                Err("expected webhook response of apiVersion"),
            ),
        ];
        for (answer, expected) in table {
            match (verdict(&question(), &answer, true), expected) {
                (Ok(verdict), Ok(operations)) => assert_eq!(verdict.patch.len(), operations, "{answer}"),
                (Err(why), Err(expected)) => assert!(why.contains(expected), "{why}"),
                (other, _) => panic!("{answer}: {other:?}"),
            }
        }
    }

    #[test]
    fn refusals_keep_the_code_and_reason_of_the_webhook() {
        let table = [
            (
                json!({"message": "no", "code": 403, "reason": "Forbidden"}),
                (403, "Forbidden"),
                ": no",
            ),
            (json!({"message": "no", "code": 200}), (400, ""), ": no"),
            (json!({"reason": "TooBlue"}), (400, ""), ": TooBlue"),
            (Value::Null, (400, ""), " without explanation"),
        ];
        for (status, (code, reason), why) in table {
            let error = refusal("a.b.c", &status);
            assert_eq!((error.code, error.reason), (code, reason));
            assert_eq!(
                error.message,
                format!("admission webhook \"a.b.c\" denied the request{why}")
            );
        }
    }
}
