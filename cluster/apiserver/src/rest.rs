//! HTTP to verbs and back.

use bytes::Bytes;
use futures::StreamExt;
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode, header};
use serde_json::Value;

use crate::body::ResponseBody;
use crate::registry::{Answer, Call, Caller, ListAnswer};
use crate::represent::Representation;
use crate::request::{ApiPath, Query, ResourcePath, parse_path};
use crate::server::ApiServer;
use crate::status::StatusError;

/// Answers one request.
pub(crate) async fn handle(
    server: &ApiServer,
    parts: &Parts,
    body: Bytes,
    caller: Option<Caller>,
) -> Response<ResponseBody> {
    let Some(mut caller) = caller else {
        return refuse(&StatusError::unauthorized());
    };
    caller.agent = agent(parts);
    let mut warnings = Vec::new();
    let result = match parse_path(parts.uri.path()) {
        ApiPath::Resource(path) => resource(server, parts, body, caller, path, &mut warnings).await,
        _ => Ok(not_found()),
    };
    let mut response = result.unwrap_or_else(|error| refuse(&error));
    for warning in warnings {
        let text = format!("299 - \"{}\"", warning.replace('\\', "\\\\").replace('"', "\\\""));
        if let Ok(value) = HeaderValue::from_str(&text) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
    response
}

async fn resource(
    server: &ApiServer,
    parts: &Parts,
    body: Bytes,
    caller: Caller,
    path: ResourcePath,
    warnings: &mut Vec<String>,
) -> Result<Response<ResponseBody>, StatusError> {
    let registry = &server.inner.registry;
    let Some(resource) = registry
        .table()
        .get(&path.group, &path.version, &path.resource)
        .cloned()
    else {
        return Ok(not_found());
    };
    let mut query = Query::parse(parts.uri.query().unwrap_or_default())?;
    query.watch |= path.watch;
    let name = path.name.unwrap_or_default();
    let mut call = Call {
        namespace: if resource.namespaced {
            path.namespace
        } else {
            String::new()
        },
        resource,
        name,
        subresource: path.subresource.unwrap_or_default(),
        query,
        caller,
        warnings: Vec::new(),
    };
    if !call.subresource.is_empty() && call.resource.subresource(&call.subresource).is_none() {
        return Ok(not_found());
    }
    let answer = verb(server, parts, body, &mut call).await;
    warnings.append(&mut call.warnings);
    match answer? {
        Outcome::Answer(answer) => Ok(respond(&call, answer)),
        Outcome::Response(response) => Ok(response),
    }
}

enum Outcome {
    Answer(Answer),
    Response(Response<ResponseBody>),
}

async fn verb(
    server: &ApiServer,
    parts: &Parts,
    body: Bytes,
    call: &mut Call,
) -> Result<Outcome, StatusError> {
    let registry = &server.inner.registry;
    let collection = call.name.is_empty();
    let answer = match parts.method {
        Method::GET if call.query.watch => {
            let stream = registry.watch(call, Representation::Object)?;
            return Ok(Outcome::Response(watch_response(stream)));
        }
        Method::GET if collection => registry.list(call)?,
        Method::GET => registry.get(call)?,
        Method::POST if collection => {
            let object = parse(&body)?;
            registry.create(call, object).await?
        }
        Method::PUT if !collection => {
            let object = parse(&body)?;
            registry.replace(call, object).await?
        }
        Method::DELETE => {
            if !body.is_empty() {
                call.query.merge_delete_options(&parse(&body)?)?;
            }
            if collection {
                registry.delete_collection(call).await?
            } else {
                registry.delete(call).await?
            }
        }
        _ => return Err(StatusError::method_not_allowed()),
    };
    Ok(Outcome::Answer(answer))
}

fn parse(body: &Bytes) -> Result<Value, StatusError> {
    serde_json::from_slice(body)
        .map_err(|error| StatusError::bad_request(format!("the body is not JSON: {error}")))
}

fn watch_response(stream: crate::registry::WatchStream) -> Response<ResponseBody> {
    let lines = futures::stream::unfold(stream, |mut stream| async move {
        let line = stream.next().await?;
        Some((Ok(line), stream))
    });
    json_response(StatusCode::OK, ResponseBody::stream(lines.boxed()))
}

fn respond(call: &Call, answer: Answer) -> Response<ResponseBody> {
    match answer {
        Answer::Object { code, raw } => {
            let code = StatusCode::from_u16(code).unwrap_or(StatusCode::OK);
            json_response(code, ResponseBody::full(raw))
        }
        Answer::Status(status) => json_response(
            StatusCode::OK,
            ResponseBody::full(crate::registry::to_bytes(&status)),
        ),
        Answer::List(list) => json_response(StatusCode::OK, ResponseBody::full(list_bytes(call, &list))),
    }
}

/// Puts stored bytes together as a list, without parsing them.
fn list_bytes(call: &Call, list: &ListAnswer) -> Bytes {
    let mut metadata = serde_json::Map::new();
    metadata.insert("resourceVersion".into(), list.revision.to_string().into());
    if !list.continue_token.is_empty() {
        metadata.insert("continue".into(), list.continue_token.clone().into());
        if let Some(remaining) = list.remaining {
            metadata.insert("remainingItemCount".into(), remaining.into());
        }
    }
    let head = serde_json::json!({
        "kind": call.resource.list_kind,
        "apiVersion": call.resource.api_version(),
        "metadata": metadata,
    });
    let mut bytes = serde_json::to_vec(&head).unwrap_or_default();
    bytes.pop();
    bytes.reserve(list.items.iter().map(|item| item.len() + 1).sum::<usize>() + 16);
    bytes.extend_from_slice(b",\"items\":[");
    for (index, item) in list.items.iter().enumerate() {
        if index > 0 {
            bytes.push(b',');
        }
        bytes.extend_from_slice(item);
    }
    bytes.extend_from_slice(b"]}");
    bytes.into()
}

/// The answer to an error.
pub(crate) fn refuse(error: &StatusError) -> Response<ResponseBody> {
    let code = StatusCode::from_u16(error.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = ResponseBody::full(crate::registry::to_bytes(&error.to_value()));
    let mut response = json_response(code, body);
    if let Some(seconds) = error.retry_after {
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
fn not_found() -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::full("404 page not found\n"));
    *response.status_mut() = StatusCode::NOT_FOUND;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

fn json_response(code: StatusCode, body: ResponseBody) -> Response<ResponseBody> {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Returns the program that asks: the part of `User-Agent` before the slash.
fn agent(parts: &Parts) -> String {
    let agent = parts
        .headers
        .get(header::USER_AGENT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    agent
        .split('/')
        .next()
        .unwrap_or_default()
        .chars()
        .take(128)
        .collect()
}
