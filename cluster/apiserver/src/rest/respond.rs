//! Answers as HTTP responses.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::StreamExt;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde_json::Value;

use crate::body::ResponseBody;
use crate::negotiate::{Accepted, Encoding, wants_gzip};
use crate::registry::{Answer, Registry, WatchStream, to_bytes};
use crate::resource::Resource;
use crate::status::StatusError;

/// Smaller answers are not worth compressing (upstream: 128 KiB).
const GZIP_FROM: usize = 128 << 10;

/// Makes the response of a verb.
pub(super) fn respond(
    registry: &Registry,
    resource: &Resource,
    accepted: Accepted,
    headers: &HeaderMap,
    answer: Answer,
) -> Response<ResponseBody> {
    let (code, bytes) = match answer {
        Answer::Object { code, raw } => (code, accepted.representation.object(registry, resource, &raw)),
        Answer::List(list) => (200, accepted.representation.list(registry, resource, &list)),
        Answer::Status(status) => (200, to_bytes(&status)),
        Answer::Other { code, value } => (code, to_bytes(&value)),
    };
    let code = StatusCode::from_u16(code).unwrap_or(StatusCode::OK);
    document(code, accepted.encoding, headers, bytes)
}

/// Makes a response of JSON bytes in the encoding that the client wants.
pub(super) fn document(
    code: StatusCode,
    encoding: Encoding,
    headers: &HeaderMap,
    json: Bytes,
) -> Response<ResponseBody> {
    let (bytes, content_type) = match encoding {
        Encoding::Json => (json, "application/json"),
        Encoding::Yaml => (to_yaml(&json), "application/yaml"),
    };
    let mut response = if bytes.len() >= GZIP_FROM && wants_gzip(headers) {
        let mut response = Response::new(ResponseBody::full(gzip(&bytes)));
        response
            .headers_mut()
            .insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        response
            .headers_mut()
            .append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        response
    } else {
        Response::new(ResponseBody::full(bytes))
    };
    *response.status_mut() = code;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    // Answers depend on who asks; nothing on the way may keep them.
    response.headers_mut().insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-cache, private"),
    );
    response
}

/// Makes the response of a watch: one line per event, sent as it happens.
pub(super) fn watch(stream: WatchStream) -> Response<ResponseBody> {
    let lines = futures::stream::unfold(stream, |mut stream| async move {
        let line = stream.next().await?;
        Some((Ok(line), stream))
    });
    let mut response = Response::new(ResponseBody::stream(lines.boxed()));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-cache, private"),
    );
    response
}

/// The answer to an error.
pub(crate) fn refuse(error: &StatusError) -> Response<ResponseBody> {
    let code = StatusCode::from_u16(error.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = document(
        code,
        Encoding::Json,
        &HeaderMap::new(),
        to_bytes(&error.to_value()),
    );
    if let Some(seconds) = error.details.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    if code == StatusCode::UNAUTHORIZED {
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// The answer to a path that nothing is behind. No `Status` on purpose: clients take its absence as "no such API".
pub(super) fn not_found() -> Response<ResponseBody> {
    text(StatusCode::NOT_FOUND, "404 page not found\n")
}

/// A short plain text.
pub(super) fn text(code: StatusCode, text: impl Into<Bytes>) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::full(text));
    *response.status_mut() = code;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

fn to_yaml(json: &Bytes) -> Bytes {
    let value: Value = serde_json::from_slice(json).unwrap_or_default();
    serde_saphyr::to_string(&value).unwrap_or_default().into()
}

fn gzip(bytes: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::fast());
    // Writing to memory cannot fail.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default().into()
}
