//! What the data plane's metrics have in common: buckets, label values, the text answer.

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Response, StatusCode};
use prometheus::{Encoder, Registry, TextEncoder};

use crate::body::Body;
use crate::error::Failure;

/// Buckets of every histogram in seconds (OpenTelemetry's HTTP semantic conventions).
pub const SECONDS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// The text exposition of a registry.
pub fn exposition(registry: &Registry) -> Response<Body> {
    let encoder = TextEncoder::new();
    let mut text = Vec::new();
    if let Err(error) = encoder.encode(&registry.gather(), &mut text) {
        return Failure::Internal(format!("metrics cannot be written: {error}")).response();
    }
    let mut response = Response::new(Body::full(text));
    if let Ok(value) = HeaderValue::from_str(encoder.format_type()) {
        response.headers_mut().insert(CONTENT_TYPE, value);
    }
    response
}

/// A method as a label: clients choose the text, so only the known ones are kept (CVE-2022-21698).
pub fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        "TRACE" => "TRACE",
        _ => "OTHER",
    }
}

/// A status as a label; codes outside 100–599 count as their class would: unknown.
pub fn status_label(status: StatusCode) -> String {
    if status.as_u16() < 600 {
        status.as_str().to_owned()
    } else {
        "other".to_owned()
    }
}
