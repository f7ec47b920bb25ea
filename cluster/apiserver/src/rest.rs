//! HTTP to verbs and back.

mod document;
mod health;
mod respond;
mod verb;

use bytes::Bytes;
use cluster_machinery::selector::FieldSelector;
use http::request::Parts;
use http::{HeaderValue, Method, Response, header};

pub(crate) use self::respond::refuse;
use self::respond::{not_found, respond};
use self::verb::Outcome;
use crate::authn::{Authenticator, PeerCertificate};
use crate::authz::{Decision, Request, denied};
use crate::body::ResponseBody;
use crate::negotiate::Accepted;
use crate::registry::{Call, Caller, Registry};
use crate::request::{ApiPath, Query, ResourcePath, parse_path};
use crate::server::ApiServer;
use crate::status::StatusError;

/// Answers one request. Without a `caller` the request must say who it is.
pub(crate) async fn handle(
    server: &ApiServer,
    parts: &Parts,
    body: Bytes,
    caller: Option<Caller>,
) -> Response<ResponseBody> {
    let mut warnings = Vec::new();
    let mut response = answer(server, parts, body, caller, &mut warnings)
        .await
        .unwrap_or_else(|error| refuse(&error));
    for warning in warnings {
        // RFC 7234 §5.5, as `k8s.io/apimachinery/pkg/util/net.NewWarningHeader` writes it.
        let text = warning
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace(['\n', '\r'], " ");
        if let Ok(value) = HeaderValue::from_bytes(format!("299 - \"{text}\"").as_bytes()) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
    response
}

async fn answer(
    server: &ApiServer,
    parts: &Parts,
    body: Bytes,
    caller: Option<Caller>,
    warnings: &mut Vec<String>,
) -> Result<Response<ResponseBody>, StatusError> {
    let path = parse_path(parts.uri.path());
    if path == ApiPath::Other
        && let Some(response) = document::public(server, parts)
    {
        return Ok(response);
    }
    let inner = &server.inner;
    let caller = match caller {
        Some(caller) => Some(caller),
        None => {
            let peer = parts.extensions.get::<PeerCertificate>();
            inner
                .authenticator
                .authenticate(&inner.registry, &parts.headers, peer)
        }
    };
    let caller = caller.ok_or_else(StatusError::unauthorized)?;
    let mut caller = Authenticator::impersonate(&inner.registry, &parts.headers, caller)?;
    caller.agent = agent(parts);
    match path {
        ApiPath::Resource(path) => resource(server, parts, body, caller, path, warnings).await,
        other => {
            authorize_path(&inner.registry, &caller, parts)?;
            document::get(server, parts, &other)
        }
    }
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
    let subresource = path.subresource.unwrap_or_default();
    let known = subresource.is_empty() || resource.subresource(&subresource).is_some();
    if !known || (!resource.namespaced && !path.namespace.is_empty()) {
        return Ok(not_found());
    }
    let mut query = Query::parse(parts.uri.query().unwrap_or_default())?;
    query.watch |= path.watch;
    let accepted = Accepted::parse(&parts.headers, &query.include_object)?;
    let mut call = Call {
        namespace: path.namespace,
        resource,
        name: path.name.unwrap_or_default(),
        subresource,
        query,
        caller,
        warnings: Vec::new(),
        duplicates: Vec::new(),
        applying: false,
    };
    authorize(registry, &call, &parts.method)?;
    let outcome = verb::run(server, parts, body, &mut call, accepted).await;
    warnings.append(&mut call.warnings);
    Ok(match outcome? {
        Outcome::Answer(answer) => respond(registry, &call.resource, accepted, &parts.headers, answer),
        Outcome::Response(response) => response,
    })
}

/// Refuses what the caller may not do to a resource.
fn authorize(registry: &Registry, call: &Call, method: &Method) -> Result<(), StatusError> {
    let in_itself = call.resource.is("", "namespaces") && !call.name.is_empty();
    let verb = verb::name(method, call)?;
    let selected = match verb {
        "list" | "watch" if call.name.is_empty() => FieldSelector::parse(&call.query.field_selector).ok(),
        _ => None,
    };
    // Whoever asks for all objects of one name asks for that one.
    let selected = selected
        .as_ref()
        .and_then(|fields| fields.requires("metadata.name"));
    let request = Request {
        verb,
        group: &call.resource.group,
        resource: &call.resource.plural,
        subresource: &call.subresource,
        // A namespace is a thing of its own namespace: whoever may do all in there may read it.
        namespace: if in_itself { &call.name } else { &call.namespace },
        name: selected.unwrap_or(&call.name),
        path: "",
    };
    match registry.authorize(&call.caller, &request) {
        Decision::Allowed(_) => Ok(()),
        Decision::Denied => Err(denied(&call.caller, &request)),
    }
}

fn authorize_path(registry: &Registry, caller: &Caller, parts: &Parts) -> Result<(), StatusError> {
    let request = Request {
        verb: &parts.method.as_str().to_ascii_lowercase(),
        path: parts.uri.path(),
        ..Request::default()
    };
    match registry.authorize(caller, &request) {
        Decision::Allowed(_) => Ok(()),
        Decision::Denied => Err(StatusError::new(
            403,
            "Forbidden",
            format!(
                "forbidden: User \"{}\" cannot {} path \"{}\"",
                caller.name, request.verb, request.path
            ),
        )),
    }
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
