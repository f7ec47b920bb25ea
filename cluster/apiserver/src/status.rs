//! Errors as clients see them: the Kubernetes `Status` object.
//!
//! Clients branch on `reason` and `code`, and people read `message`; all three are those of upstream
//! (`k8s.io/apimachinery/pkg/api/errors`).

use cluster_machinery::FieldError;
use serde_json::{Value, json};

/// One entry of `details.causes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// Machine-readable reason, such as `FieldValueInvalid`.
    pub reason: String,
    /// Sentence about this cause.
    pub message: String,
    /// JSON path of the field, empty when the cause is not about one.
    pub field: String,
}

impl From<FieldError> for Cause {
    fn from(error: FieldError) -> Self {
        Self {
            reason: error.reason().to_owned(),
            message: error.message,
            field: error.path,
        }
    }
}

/// A failed request.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct StatusError {
    /// HTTP status code.
    pub code: u16,
    /// Machine-readable reason, such as `NotFound`.
    pub reason: &'static str,
    /// Sentence for people.
    pub message: String,
    /// What else clients may look at.
    pub details: Box<Details>,
}

/// What an error is about, and its single causes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// Name of the object that the error is about.
    pub name: String,
    /// Group of its resource.
    pub group: String,
    /// Plural resource name (for validation errors: the kind).
    pub kind: String,
    /// Single causes, for validation errors and conflicts.
    pub causes: Vec<Cause>,
    /// Seconds after which a retry makes sense.
    pub retry_after: Option<u32>,
}

/// What an error is about: a group and resource, or a group and kind.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// API group; empty for the core group.
    pub group: &'a str,
    /// Plural resource name, or kind, as the message needs it.
    pub resource: &'a str,
}

impl Subject<'_> {
    fn qualified(&self) -> String {
        if self.group.is_empty() {
            self.resource.to_owned()
        } else {
            format!("{}.{}", self.resource, self.group)
        }
    }
}

impl StatusError {
    /// An error without details.
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            details: Box::default(),
        }
    }

    fn about(mut self, subject: Subject<'_>, name: &str) -> Self {
        self.details.group = subject.group.to_owned();
        self.details.kind = subject.resource.to_owned();
        self.details.name = name.to_owned();
        self
    }

    /// 400: the request cannot be understood.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 401: nobody is known by these credentials.
    pub fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    /// 403: refused although the request is understood.
    pub fn forbidden(subject: Subject<'_>, name: &str, why: impl std::fmt::Display) -> Self {
        let message = if name.is_empty() {
            format!("{} is forbidden: {why}", subject.qualified())
        } else {
            format!("{} \"{name}\" is forbidden: {why}", subject.qualified())
        };
        Self::new(403, "Forbidden", message).about(subject, name)
    }

    /// 404: no such object.
    pub fn not_found(subject: Subject<'_>, name: &str) -> Self {
        Self::new(
            404,
            "NotFound",
            format!("{} \"{name}\" not found", subject.qualified()),
        )
        .about(subject, name)
    }

    /// 405: the resource does not have this verb.
    pub fn method_not_allowed() -> Self {
        Self::new(
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        )
    }

    /// 406: no acceptable representation.
    pub fn not_acceptable(offered: &str) -> Self {
        Self::new(
            406,
            "NotAcceptable",
            format!("only the following media types are accepted: {offered}"),
        )
    }

    /// 409: an object with this name exists.
    pub fn already_exists(subject: Subject<'_>, name: &str) -> Self {
        Self::new(
            409,
            "AlreadyExists",
            format!("{} \"{name}\" already exists", subject.qualified()),
        )
        .about(subject, name)
    }

    /// 409: somebody else was faster, or the object is not in the state that the request relies on.
    pub fn conflict(subject: Subject<'_>, name: &str, why: impl std::fmt::Display) -> Self {
        let message = format!(
            "Operation cannot be fulfilled on {} \"{name}\": {why}",
            subject.qualified()
        );
        Self::new(409, "Conflict", message).about(subject, name)
    }

    /// 409 for a write with an outdated resource version.
    pub fn modified(subject: Subject<'_>, name: &str) -> Self {
        Self::conflict(
            subject,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// 410: the resource version is too old.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// 413: the body or the object is too large.
    pub fn too_large(limit: usize) -> Self {
        Self::new(
            413,
            "RequestEntityTooLarge",
            format!("Request entity too large: limit is {limit}"),
        )
    }

    /// 415: a body of this type cannot be read here.
    pub fn unsupported_media_type(supported: &str) -> Self {
        Self::new(
            415,
            "UnsupportedMediaType",
            format!(
                "the body of the request was in an unknown format - accepted media types include: {supported}"
            ),
        )
    }

    /// 422: fields are wrong. `kind` is the kind of the object, not the resource.
    pub fn invalid(kind: Subject<'_>, name: &str, errors: Vec<FieldError>) -> Self {
        let causes: Vec<Cause> = errors.into_iter().map(Cause::from).collect();
        let texts: Vec<String> = causes
            .iter()
            .map(|cause| format!("{}: {}", cause.field, cause.message))
            .collect();
        let text = match texts.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let mut error = Self::new(
            422,
            "Invalid",
            format!("{} \"{name}\" is invalid: {text}", kind.qualified()),
        )
        .about(kind, name);
        error.details.causes = causes;
        error
    }

    /// 429: come back later.
    pub fn too_many_requests(message: impl Into<String>, retry_after: u32) -> Self {
        let mut error = Self::new(429, "TooManyRequests", message);
        error.details.retry_after = Some(retry_after);
        error
    }

    /// 500: our fault.
    pub fn internal(message: impl std::fmt::Display) -> Self {
        Self::new(
            500,
            "InternalError",
            format!("Internal error occurred: {message}"),
        )
    }

    /// 504: it took too long.
    pub fn timeout(message: impl Into<String>) -> Self {
        Self::new(504, "Timeout", message)
    }

    /// Returns the `Status` object.
    pub fn to_value(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        });
        let mut details = serde_json::Map::new();
        for (key, text) in [
            ("name", &self.details.name),
            ("group", &self.details.group),
            ("kind", &self.details.kind),
        ] {
            if !text.is_empty() {
                details.insert(key.into(), Value::String(text.clone()));
            }
        }
        if !self.details.causes.is_empty() {
            details.insert(
                "causes".into(),
                self.details.causes.iter().map(cause_value).collect(),
            );
        }
        if let Some(seconds) = self.details.retry_after {
            details.insert("retryAfterSeconds".into(), seconds.into());
        }
        if let (false, Some(status)) = (details.is_empty(), status.as_object_mut()) {
            status.insert("details".into(), Value::Object(details));
        }
        status
    }
}

fn cause_value(cause: &Cause) -> Value {
    let mut value = serde_json::Map::new();
    for (key, text) in [
        ("reason", &cause.reason),
        ("message", &cause.message),
        ("field", &cause.field),
    ] {
        if !text.is_empty() {
            value.insert(key.into(), Value::String(text.clone()));
        }
    }
    Value::Object(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_those_of_upstream() {
        let pods = Subject {
            group: "",
            resource: "pods",
        };
        let deployments = Subject {
            group: "apps",
            resource: "deployments",
        };
        let table = [
            (
                StatusError::not_found(pods, "a"),
                404,
                "NotFound",
                "pods \"a\" not found",
            ),
            (
                StatusError::not_found(deployments, "a"),
                404,
                "NotFound",
                "deployments.apps \"a\" not found",
            ),
            (
                StatusError::already_exists(pods, "a"),
                409,
                "AlreadyExists",
                "pods \"a\" already exists",
            ),
            (
                StatusError::modified(pods, "a"),
                409,
                "Conflict",
                "Operation cannot be fulfilled on pods \"a\": the object has been modified; please apply your changes \
                 to the latest version and try again",
            ),
            (
                StatusError::forbidden(pods, "a", "no"),
                403,
                "Forbidden",
                "pods \"a\" is forbidden: no",
            ),
        ];
        for (error, code, reason, message) in table {
            assert_eq!(
                (error.code, error.reason, error.message.as_str()),
                (code, reason, message)
            );
        }
        let status = StatusError::not_found(deployments, "a").to_value();
        assert_eq!(
            status["details"],
            json!({"name": "a", "group": "apps", "kind": "deployments"})
        );
        assert_eq!(status["status"], "Failure");
    }
}
