//! Errors about one field of an object, in the words of Kubernetes (`k8s.io/apimachinery/pkg/util/validation/field`).

use std::fmt;

use serde_json::Value;

/// What is wrong with a field. The names are those of Kubernetes' `field.ErrorType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The field is absent or empty.
    Required,
    /// The value breaks a rule.
    Invalid,
    /// The value has another JSON type than the schema says.
    TypeInvalid,
    /// The value is none of an enumeration.
    NotSupported,
    /// The value, or its key, occurs twice in a list that must not repeat.
    Duplicate,
    /// The value is longer than allowed.
    TooLong,
    /// The list or map has more entries than allowed.
    TooMany,
    /// The field must not be set here.
    Forbidden,
    /// The value refers to something that does not exist.
    NotFound,
    /// The server could not check the field.
    Internal,
}

impl ErrorKind {
    /// The machine-readable reason, as used in `Status.details.causes[].reason`.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Invalid => "FieldValueInvalid",
            Self::TypeInvalid => "FieldValueTypeInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Duplicate => "FieldValueDuplicate",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::Forbidden => "FieldValueForbidden",
            Self::NotFound => "FieldValueNotFound",
            Self::Internal => "InternalError",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Required => "Required value",
            Self::Invalid | Self::TypeInvalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::Duplicate => "Duplicate value",
            Self::TooLong => "Too long",
            Self::TooMany => "Too many",
            Self::Forbidden => "Forbidden",
            Self::NotFound => "Not found",
            Self::Internal => "Internal error",
        }
    }
}

/// One broken rule. `Display` is Kubernetes' `field.Error`: `spec.replicas: Invalid value: -1: must be …`.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldError {
    /// Path of the field: `spec.containers[0].name`; `<nil>` for the object itself, as Kubernetes prints it.
    pub path: String,
    /// What is wrong.
    pub kind: ErrorKind,
    /// What follows the path: `Invalid value: -1: must be greater than or equal to 0`
    /// (`Status.details.causes[].message`).
    pub message: String,
}

impl FieldError {
    /// The field must be set. `detail` may be empty.
    #[must_use]
    pub fn required(path: impl Into<String>, detail: &str) -> Self {
        Self::bare(path, ErrorKind::Required, detail)
    }

    /// The value breaks a rule that `detail` states.
    #[must_use]
    pub fn invalid(path: impl Into<String>, value: &Value, detail: &str) -> Self {
        Self::with_value(path, ErrorKind::Invalid, value, detail)
    }

    /// The value has the wrong JSON type.
    #[must_use]
    pub fn type_invalid(path: impl Into<String>, value: &Value, detail: &str) -> Self {
        Self::with_value(path, ErrorKind::TypeInvalid, value, detail)
    }

    /// The value is none of `supported`.
    #[must_use]
    pub fn not_supported(path: impl Into<String>, value: &Value, supported: &[&str]) -> Self {
        let quoted: Vec<String> = supported.iter().map(|text| format!("{text:?}")).collect();
        let detail = if quoted.is_empty() {
            String::new()
        } else {
            format!("supported values: {}", quoted.join(", "))
        };
        Self::with_value(path, ErrorKind::NotSupported, value, &detail)
    }

    /// The value repeats an earlier one.
    #[must_use]
    pub fn duplicate(path: impl Into<String>, value: &Value) -> Self {
        Self::with_value(path, ErrorKind::Duplicate, value, "")
    }

    /// The text is longer than `max` bytes.
    #[must_use]
    pub fn too_long(path: impl Into<String>, max: u64) -> Self {
        Self::bare(
            path,
            ErrorKind::TooLong,
            &format!("may not be more than {max} bytes"),
        )
    }

    /// The list or map has `actual` entries where `max` are allowed.
    #[must_use]
    pub fn too_many(path: impl Into<String>, actual: usize, max: u64) -> Self {
        Self::with_value(
            path,
            ErrorKind::TooMany,
            &Value::from(actual),
            &format!("must have at most {max} items"),
        )
    }

    /// The field must not be set, or not be changed.
    #[must_use]
    pub fn forbidden(path: impl Into<String>, detail: &str) -> Self {
        Self::bare(path, ErrorKind::Forbidden, detail)
    }

    /// What the value names does not exist.
    #[must_use]
    pub fn not_found(path: impl Into<String>, value: &Value) -> Self {
        Self::with_value(path, ErrorKind::NotFound, value, "")
    }

    /// The server failed to check the field.
    #[must_use]
    pub fn internal(path: impl Into<String>, detail: &str) -> Self {
        Self::bare(path, ErrorKind::Internal, detail)
    }

    /// The machine-readable reason, as used in `Status.details.causes[].reason`.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        self.kind.reason()
    }

    fn bare(path: impl Into<String>, kind: ErrorKind, detail: &str) -> Self {
        let mut message = kind.title().to_owned();
        if !detail.is_empty() {
            message.push_str(": ");
            message.push_str(detail);
        }
        Self {
            path: shown(path.into()),
            kind,
            message,
        }
    }

    fn with_value(path: impl Into<String>, kind: ErrorKind, value: &Value, detail: &str) -> Self {
        let shown_value = match value {
            // Kubernetes shows an absent value as the text null, in quotes.
            Value::Null => "\"null\"".to_owned(),
            Value::String(text) => format!("{text:?}"),
            other => other.to_string(),
        };
        let mut message = format!("{}: {shown_value}", kind.title());
        if !detail.is_empty() {
            message.push_str(": ");
            message.push_str(detail);
        }
        Self {
            path: shown(path.into()),
            kind,
            message,
        }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

impl std::error::Error for FieldError {}

fn shown(path: String) -> String {
    if path.is_empty() { "<nil>".to_owned() } else { path }
}

/// Appends a property to a path: `spec` + `replicas` = `spec.replicas`.
pub(crate) fn child(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// Appends a list position to a path: `spec.containers` + 0 = `spec.containers[0]`.
pub(crate) fn index(path: &str, position: usize) -> String {
    format!("{path}[{position}]")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn messages_are_those_of_kubernetes() {
        let table = [
            (
                FieldError::required("spec.selector", ""),
                "spec.selector: Required value",
            ),
            (
                FieldError::invalid("spec.replicas", &json!(-1), "must be greater than or equal to 0"),
                "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
            ),
            (
                FieldError::invalid("", &json!(""), "\"spec\" must not validate the schema (not)"),
                "<nil>: Invalid value: \"\": \"spec\" must not validate the schema (not)",
            ),
            (
                FieldError::not_supported("spec.type", &json!("X"), &["A", "B"]),
                "spec.type: Unsupported value: \"X\": supported values: \"A\", \"B\"",
            ),
            (
                FieldError::duplicate("spec.ports[1]", &json!({"port": 80})),
                "spec.ports[1]: Duplicate value: {\"port\":80}",
            ),
            (
                FieldError::too_long("a", 3),
                "a: Too long: may not be more than 3 bytes",
            ),
            (
                FieldError::too_many("a", 5, 3),
                "a: Too many: 5: must have at most 3 items",
            ),
            (
                FieldError::forbidden("a", "field is immutable"),
                "a: Forbidden: field is immutable",
            ),
            (
                FieldError::invalid("a", &Value::Null, "x"),
                "a: Invalid value: \"null\": x",
            ),
        ];
        for (error, text) in table {
            assert_eq!(error.to_string(), text);
        }
        assert_eq!(ErrorKind::TypeInvalid.reason(), "FieldValueTypeInvalid");
    }
}
