//! Paths that are about the server itself: version, health, discovery, OpenAPI, metrics.

use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode, header};
use serde_json::{Value, json};

use super::health;
use super::respond::{self, not_found, text};
use crate::body::ResponseBody;
use crate::discovery;
use crate::negotiate::{Accepted, Document, Encoding};
use crate::registry::{Registry, to_bytes};
use crate::request::ApiPath;
use crate::server::ApiServer;
use crate::status::StatusError;

/// Kubernetes release whose API is served.
const RELEASE: &str = "v1.37.0";

/// Answers what needs no credentials.
pub(super) fn public(server: &ApiServer, parts: &Parts) -> Option<Response<ResponseBody>> {
    match parts.uri.path().trim_end_matches('/') {
        "/version" => Some(plain(parts, &version())),
        "/openid/v1/jwks" => Some(plain(parts, &server.inner.authenticator.tokens.key_set())),
        "/.well-known/openid-configuration" => Some(plain(
            parts,
            &json!({
                "issuer": crate::tokens::ISSUER,
                "jwks_uri": format!("{}/openid/v1/jwks", crate::tokens::ISSUER),
                "response_types_supported": ["id_token"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["ES256"],
            }),
        )),
        _ => health::answer(server, parts),
    }
}

/// Answers what needs credentials but is not about objects.
pub(super) fn get(
    server: &ApiServer,
    parts: &Parts,
    path: &ApiPath,
) -> Result<Response<ResponseBody>, StatusError> {
    if parts.method != Method::GET && parts.method != Method::HEAD {
        return Err(StatusError::method_not_allowed());
    }
    let table = server.inner.registry.table();
    let accepted = match Accepted::parse(&parts.headers, "") {
        // OpenAPI v2 is only ever asked for as protobuf; its clients read JSON too.
        Err(_) if parts.uri.path() == "/openapi/v2" => Accepted::default(),
        other => other?,
    };
    let found = match (path, accepted.document) {
        (ApiPath::CoreVersions, Document::Aggregated(version)) => {
            return Ok(aggregated(
                parts,
                &discovery::aggregated(&table, true, version),
                version,
            ));
        }
        (ApiPath::Groups, Document::Aggregated(version)) => {
            return Ok(aggregated(
                parts,
                &discovery::aggregated(&table, false, version),
                version,
            ));
        }
        (ApiPath::CoreVersions, _) => Some(discovery::core_versions()),
        (ApiPath::Groups, _) => Some(discovery::groups(&table)),
        (ApiPath::Group(group), _) => discovery::group(&table, group),
        (ApiPath::Resources { group, version }, _) => discovery::resources(&table, group, version),
        _ => return other(server, parts),
    };
    Ok(found.map_or_else(not_found, |value| document(parts, accepted.encoding, &value)))
}

fn other(server: &ApiServer, parts: &Parts) -> Result<Response<ResponseBody>, StatusError> {
    let registry = &server.inner.registry;
    let path = parts.uri.path().trim_end_matches('/');
    match path {
        "" => {
            let mut paths: Vec<String> = [
                "/api",
                "/api/v1",
                "/apis",
                "/healthz",
                "/livez",
                "/metrics",
                "/openapi/v2",
                "/openapi/v3",
                "/readyz",
                "/version",
            ]
            .map(str::to_owned)
            .to_vec();
            for (group, versions) in registry
                .table()
                .groups()
                .into_iter()
                .filter(|(group, _)| !group.is_empty())
            {
                paths.push(format!("/apis/{group}"));
                paths.extend(versions.iter().map(|version| format!("/apis/{group}/{version}")));
            }
            paths.sort();
            Ok(plain(parts, &json!({"paths": paths})))
        }
        "/metrics" => Ok(text(
            StatusCode::OK,
            server.inner.metrics.render(registry.store.usage()),
        )),
        "/openapi/v2" => Ok(whole(registry, parts)),
        "/openapi/v3" => Ok(plain(parts, &crate::openapi::index(registry))),
        _ => match path
            .strip_prefix("/openapi/v3/")
            .and_then(|rest| crate::openapi::document(registry, rest))
        {
            Some(bytes) => {
                let mut response = respond::document(StatusCode::OK, Encoding::Json, &parts.headers, bytes);
                if parts.uri.query().is_some_and(|query| query.contains("hash=")) {
                    // The hash in the URL changes with the content.
                    response.headers_mut().insert(
                        header::CACHE_CONTROL,
                        HeaderValue::from_static("public, immutable"),
                    );
                }
                Ok(response)
            }
            None => Ok(not_found()),
        },
    }
}

/// client-go asks for OpenAPI v2 as protobuf only, and reads nothing else.
fn whole(registry: &Registry, parts: &Parts) -> Response<ResponseBody> {
    let protobuf = parts
        .headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("v2@v1.0+protobuf"));
    let bytes = crate::openapi::whole(registry, RELEASE, protobuf);
    let mut response = respond::document(StatusCode::OK, Encoding::Json, &parts.headers, bytes);
    if protobuf {
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/com.github.proto-openapi.spec.v2.v1.0+protobuf"),
        );
    }
    response
}

fn version() -> Value {
    let mut numbers = RELEASE.trim_start_matches('v').split('.');
    json!({
        "major": numbers.next(),
        "minor": numbers.next(),
        "gitVersion": format!("{RELEASE}+spindrift"),
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" }),
    })
}

fn plain(parts: &Parts, value: &Value) -> Response<ResponseBody> {
    document(parts, Encoding::Json, value)
}

fn document(parts: &Parts, encoding: Encoding, value: &Value) -> Response<ResponseBody> {
    respond::document(StatusCode::OK, encoding, &parts.headers, to_bytes(value))
}

/// client-go reads the aggregated form only if the content type says so.
fn aggregated(parts: &Parts, value: &Value, version: &str) -> Response<ResponseBody> {
    let mut response = plain(parts, value);
    let content_type = format!("application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList");
    if let Ok(content_type) = HeaderValue::from_str(&content_type) {
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    }
    response
        .headers_mut()
        .append(header::VARY, HeaderValue::from_static("Accept"));
    response
}
