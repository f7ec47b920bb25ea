//! Errors in the form of the distribution specification.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;

use crate::error::ImageError;

/// Error codes of the specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    BlobUnknown,
    BlobUploadInvalid,
    BlobUploadUnknown,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    RangeInvalid,
    SizeInvalid,
    TooLarge,
    TooManyRequests,
    Unsupported,
    NotFound,
    Unknown,
}

impl Code {
    fn parts(self) -> (&'static str, StatusCode) {
        match self {
            Self::BlobUnknown => ("BLOB_UNKNOWN", StatusCode::NOT_FOUND),
            Self::BlobUploadInvalid => ("BLOB_UPLOAD_INVALID", StatusCode::BAD_REQUEST),
            Self::BlobUploadUnknown => ("BLOB_UPLOAD_UNKNOWN", StatusCode::NOT_FOUND),
            Self::DigestInvalid => ("DIGEST_INVALID", StatusCode::BAD_REQUEST),
            Self::ManifestBlobUnknown => ("MANIFEST_BLOB_UNKNOWN", StatusCode::BAD_REQUEST),
            Self::ManifestInvalid => ("MANIFEST_INVALID", StatusCode::BAD_REQUEST),
            Self::ManifestUnknown => ("MANIFEST_UNKNOWN", StatusCode::NOT_FOUND),
            Self::NameInvalid => ("NAME_INVALID", StatusCode::BAD_REQUEST),
            Self::NameUnknown => ("NAME_UNKNOWN", StatusCode::NOT_FOUND),
            Self::RangeInvalid => ("BLOB_UPLOAD_INVALID", StatusCode::RANGE_NOT_SATISFIABLE),
            Self::SizeInvalid => ("SIZE_INVALID", StatusCode::BAD_REQUEST),
            Self::TooLarge => ("SIZE_INVALID", StatusCode::PAYLOAD_TOO_LARGE),
            Self::TooManyRequests => ("TOOMANYREQUESTS", StatusCode::TOO_MANY_REQUESTS),
            Self::Unsupported => ("UNSUPPORTED", StatusCode::METHOD_NOT_ALLOWED),
            Self::NotFound => ("UNSUPPORTED", StatusCode::NOT_FOUND),
            Self::Unknown => ("UNKNOWN", StatusCode::INTERNAL_SERVER_ERROR),
        }
    }
}

/// A refused request.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct RegistryError {
    code: Code,
    message: String,
}

impl RegistryError {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.code.parts().1
    }
}

impl From<ImageError> for RegistryError {
    fn from(error: ImageError) -> Self {
        let code = match &error {
            ImageError::DigestMismatch { .. } => Code::DigestInvalid,
            ImageError::MissingBlob(_) => Code::ManifestBlobUnknown,
            ImageError::InvalidContent { .. } => Code::ManifestInvalid,
            ImageError::TooLarge { .. } => Code::TooLarge,
            ImageError::InvalidReference { .. } => Code::NameInvalid,
            _ => Code::Unknown,
        };
        // Our own faults are told in full: the registry and its users are on one machine.
        let cause = std::error::Error::source(&error)
            .map(|cause| format!(": {cause}"))
            .unwrap_or_default();
        Self::new(code, format!("{error}{cause}"))
    }
}

impl IntoResponse for RegistryError {
    fn into_response(self) -> Response {
        let (name, status) = self.code.parts();
        let body = json!({"errors": [{"code": name, "message": self.message, "detail": null}]});
        (status, axum::Json(body)).into_response()
    }
}
