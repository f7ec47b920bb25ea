//! Which verb a method on a path is, and which subresources have verbs of their own.

use bytes::Bytes;
use futures::StreamExt;
use http::request::Parts;
use http::{HeaderValue, Method, Response, header};
use serde_json::Value;

use super::respond;
use crate::body::ResponseBody;
use crate::negotiate::{Accepted, decode_body, decode_patch};
use crate::registry::{Answer, Call};
use crate::server::ApiServer;
use crate::status::StatusError;

/// What a verb comes to.
pub(super) enum Outcome {
    Answer(Answer),
    Response(Response<ResponseBody>),
}

/// Runs the verb of a request.
pub(super) async fn run(
    server: &ApiServer,
    parts: &Parts,
    body: Bytes,
    call: &mut Call,
    accepted: Accepted,
) -> Result<Outcome, StatusError> {
    let verb = name(&parts.method, call)?;
    let allowed = match call.resource.subresource(&call.subresource) {
        Some(subresource) => subresource.verbs.contains(&verb),
        None => call.resource.verbs.contains(&verb),
    };
    if !allowed {
        return Err(StatusError::method_not_allowed());
    }
    match call.subresource.as_str() {
        "" | "status" | "finalize" | "ephemeralcontainers" | "resize" | "approval" => {
            main(server, parts, body, call, accepted, verb).await
        }
        "scale" => scale(server, parts, body, call, verb).await.map(Outcome::Answer),
        "log" => Ok(Outcome::Response(logs(server, call).await?)),
        _ => post(server, parts, body, call).await.map(Outcome::Answer),
    }
}

/// Names the verb, as discovery lists it.
pub(super) fn name(method: &Method, call: &Call) -> Result<&'static str, StatusError> {
    let collection = call.name.is_empty();
    Ok(match *method {
        Method::GET | Method::HEAD if call.query.watch => "watch",
        Method::GET | Method::HEAD if collection => "list",
        Method::GET | Method::HEAD => "get",
        Method::POST if collection || !call.subresource.is_empty() => "create",
        Method::PUT if !collection => "update",
        Method::PATCH if !collection => "patch",
        Method::DELETE if collection => "deletecollection",
        Method::DELETE => "delete",
        _ => return Err(StatusError::method_not_allowed()),
    })
}

async fn main(
    server: &ApiServer,
    parts: &Parts,
    body: Bytes,
    call: &mut Call,
    accepted: Accepted,
    verb: &str,
) -> Result<Outcome, StatusError> {
    let inner = &server.inner;
    let registry = &inner.registry;
    let answer = match verb {
        "watch" => {
            return Ok(Outcome::Response(respond::watch(
                registry.watch(call, accepted.representation).await?,
            )));
        }
        "list" => registry.list(call).await?,
        "get" => registry.get(call).await?,
        "create" => {
            let object = decode(parts, &body, call)?;
            match registry.review(call, &inner.authenticator, object.clone())? {
                Some(answer) => answer,
                None if call.resource.is("", "bindings") => {
                    let mut bound = pod_call(server, call, &object)?;
                    registry.bind(&mut bound, object).await?
                }
                None => registry.create(call, object).await?,
            }
        }
        "update" => {
            let object = decode(parts, &body, call)?;
            registry.replace(call, object).await?
        }
        "patch" => {
            let (patch, duplicates) = decode_patch(&parts.headers, &body)?;
            call.duplicates = duplicates;
            registry.patch(call, patch).await?
        }
        "delete" => {
            delete_options(parts, &body, call)?;
            registry.delete(call).await?
        }
        "deletecollection" => {
            delete_options(parts, &body, call)?;
            registry.delete_collection(call).await?
        }
        _ => return Err(StatusError::method_not_allowed()),
    };
    Ok(Outcome::Answer(answer))
}

async fn scale(
    server: &ApiServer,
    parts: &Parts,
    body: Bytes,
    call: &mut Call,
    verb: &str,
) -> Result<Answer, StatusError> {
    let registry = &server.inner.registry;
    match verb {
        "get" => registry.get_scale(call).await,
        "update" => {
            let scale = decode(parts, &body, call)?;
            registry.replace_scale(call, scale).await
        }
        _ => {
            let (patch, _) = decode_patch(&parts.headers, &body)?;
            registry.patch_scale(call, patch).await
        }
    }
}

/// Subresources that are a POST of something.
async fn post(
    server: &ApiServer,
    parts: &Parts,
    body: Bytes,
    call: &mut Call,
) -> Result<Answer, StatusError> {
    let registry = &server.inner.registry;
    match call.subresource.as_str() {
        "binding" => {
            let binding = decode(parts, &body, call)?;
            registry.bind(call, binding).await
        }
        "eviction" => {
            let eviction = decode(parts, &body, call)?;
            registry.evict(call, eviction).await
        }
        "token" => {
            let request = decode(parts, &body, call)?;
            registry.request_token(call, &server.inner.authenticator, request)
        }
        other => Err(StatusError::new(
            501,
            "NotImplemented",
            format!("{}/{other} is not served by this server", call.resource.plural),
        )),
    }
}

async fn logs(server: &ApiServer, call: &Call) -> Result<Response<ResponseBody>, StatusError> {
    let stream = server.inner.registry.logs(call).await?;
    let mut response = Response::new(ResponseBody::stream(stream.boxed()));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}

fn decode(parts: &Parts, body: &Bytes, call: &mut Call) -> Result<Value, StatusError> {
    let (value, duplicates) = decode_body(&parts.headers, body)?;
    call.duplicates = duplicates;
    Ok(value)
}

fn delete_options(parts: &Parts, body: &Bytes, call: &mut Call) -> Result<(), StatusError> {
    if body.is_empty() {
        return Ok(());
    }
    let (options, _) = decode_body(&parts.headers, body)?;
    call.query.merge_delete_options(&options)
}

/// The call on the pod that a `Binding` in the old collection names.
fn pod_call(server: &ApiServer, call: &Call, binding: &Value) -> Result<Call, StatusError> {
    let table = server.inner.registry.table();
    let pods = table
        .get("", "v1", "pods")
        .ok_or_else(StatusError::method_not_allowed)?;
    Ok(Call {
        resource: pods.clone(),
        namespace: call.namespace.clone(),
        name: crate::meta::name(binding).to_owned(),
        subresource: "binding".into(),
        query: call.query.clone(),
        caller: call.caller.clone(),
        warnings: Vec::new(),
        duplicates: Vec::new(),
        applying: false,
    })
}
