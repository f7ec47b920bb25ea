//! `Content-Type`.

use bytes::Bytes;
use cluster_machinery::{json, yaml};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde_json::Value;

use crate::registry::{PATCH_TYPES, Patch};
use crate::status::StatusError;

const SUPPORTED: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";

/// Reads a body of any form that clients send; also returns the paths of repeated fields.
///
/// # Errors
/// 415 for another form, 400 for a body that is not what it says.
pub(crate) fn decode_body(headers: &HeaderMap, body: &Bytes) -> Result<(Value, Vec<String>), StatusError> {
    match media_type(headers).as_str() {
        "" | "application/json" | "*/*" => parse_json(body),
        "application/yaml" | "application/x-yaml" | "text/yaml" => parse_yaml(body),
        "application/vnd.kubernetes.protobuf" => cluster_kinds::protobuf::decode(body)
            .map(|value| (value, Vec::new()))
            .map_err(|error| StatusError::bad_request(error.to_string())),
        _ => Err(StatusError::unsupported_media_type(SUPPORTED)),
    }
}

/// Reads the body of a PATCH.
///
/// # Errors
/// 415 for a form that is no patch, 400 for a body that is not what it says.
pub(crate) fn decode_patch(headers: &HeaderMap, body: &Bytes) -> Result<(Patch, Vec<String>), StatusError> {
    let (make, (value, duplicates)): (fn(Value) -> Patch, _) = match media_type(headers).as_str() {
        "application/json-patch+json" => (Patch::Json, parse_json(body)?),
        "application/merge-patch+json" => (Patch::Merge, parse_json(body)?),
        "application/strategic-merge-patch+json" => (Patch::Strategic, parse_json(body)?),
        "application/apply-patch+yaml" => (Patch::Apply, parse_yaml(body)?),
        _ => return Err(StatusError::unsupported_media_type(PATCH_TYPES)),
    };
    Ok((make(value), duplicates))
}

fn media_type(headers: &HeaderMap) -> String {
    let value = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    value
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase()
}

fn parse_json(body: &Bytes) -> Result<(Value, Vec<String>), StatusError> {
    json::parse_strict(body)
        .map_err(|error| StatusError::bad_request(format!("the body is not JSON: {error}")))
}

fn parse_yaml(body: &Bytes) -> Result<(Value, Vec<String>), StatusError> {
    // JSON is YAML, and the JSON parser is much faster; controllers apply JSON.
    if body.first() == Some(&b'{')
        && let Ok(parsed) = json::parse_strict(body)
    {
        return Ok(parsed);
    }
    yaml::parse(body).map_err(|error| StatusError::bad_request(format!("the body is not YAML: {error}")))
}
