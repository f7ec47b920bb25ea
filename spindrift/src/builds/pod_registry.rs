//! The registry's door for pods, who say which namespace they are of. See `builds::PodRegistry`.

use std::future::Future;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;
use axum::Json;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use builds::{PodRegistry, may};
use cluster_images::ImageStore;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{Method, StatusCode};
use serde_json::json;
use tokio::net::TcpListener;

use crate::ports;

/// The same number as that of the machine's own door, since it is another address.
const PORT: u16 = 5000;
const PORT_FILE: &str = "registry-pods-port";
const KEY_FILE: &str = "registry-key";
const KEY_BYTES: usize = 32;

/// Listens for pods on `inside`, where this instance can be reached by them.
pub fn open(inside: Ipv4Addr, data_dir: &Path, name: &str) -> anyhow::Result<(TcpListener, PodRegistry)> {
    let listener = ports::bind_again(
        &data_dir.join(PORT_FILE),
        IpAddr::V4(inside),
        None,
        PORT,
        "--registry-port",
    )?;
    let address = listener.local_addr()?.to_string();
    let key = key(&data_dir.join(KEY_FILE))?;
    Ok((listener, PodRegistry::new(name, address, key)))
}

/// The key of this instance, made when there is none. Passwords outlive a restart, as Secrets do.
fn key(file: &Path) -> anyhow::Result<Vec<u8>> {
    if let Ok(key) = std::fs::read(file)
        && key.len() == KEY_BYTES
    {
        return Ok(key);
    }
    let key: [u8; KEY_BYTES] = rand::random();
    let _ = std::fs::remove_file(file);
    let mut open = std::fs::OpenOptions::new();
    let mut created = open
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .with_context(|| format!("cannot create {}", file.display()))?;
    created.write_all(&key)?;
    created.sync_all()?;
    Ok(key.to_vec())
}

/// Serves until `stop`.
pub async fn serve(
    listener: TcpListener,
    images: ImageStore,
    registry: PodRegistry,
    stop: impl Future<Output = ()>,
) {
    let router = cluster_images::registry::router(images).layer(from_fn_with_state(registry, guard));
    cluster_images::registry::serve_router(listener, router, stop).await;
}

async fn guard(State(registry): State<PodRegistry>, request: Request, next: Next) -> Response {
    let header = request.headers().get(AUTHORIZATION);
    let Some((namespace, password)) = header.and_then(|value| credentials(value.to_str().ok()?)) else {
        return refusal(
            StatusCode::UNAUTHORIZED,
            "UNAUTHORIZED",
            "say which namespace you are of",
        );
    };
    if !registry.knows(&namespace, &password) {
        return refusal(
            StatusCode::UNAUTHORIZED,
            "UNAUTHORIZED",
            "this is not the password of the namespace",
        );
    }
    let writes = !matches!(*request.method(), Method::GET | Method::HEAD);
    if !may(&namespace, writes, request.uri().path()) {
        let told = format!("namespace {namespace} may write to repositories below {namespace}/ only");
        return refusal(StatusCode::FORBIDDEN, "DENIED", &told);
    }
    next.run(request).await
}

/// Name and password of basic authentication.
fn credentials(header: &str) -> Option<(String, String)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (name, password) = decoded.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

fn refusal(status: StatusCode, code: &str, message: &str) -> Response {
    let body = Json(json!({"errors": [{"code": code, "message": message}]}));
    let challenge = [(WWW_AUTHENTICATE, "Basic realm=\"spindrift\"")];
    match status {
        StatusCode::UNAUTHORIZED => (status, challenge, body).into_response(),
        _ => (status, body).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn pods_write_their_own_only() {
        let registry = PodRegistry::new("localhost:5000", "10.88.0.1:5000", [1; 32]);
        let password = registry.password("default");
        let router = Router::new()
            .fallback(|| async { "passed" })
            .layer(from_fn_with_state(registry, guard));
        let basic =
            |user: &str, password: &str| format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        let good = basic("default", &password);
        for (method, path, header, expected) in [
            ("GET", "/v2/", None, 401),
            ("GET", "/v2/", Some(basic("default", "guess")), 401),
            ("GET", "/v2/", Some(basic("other", &password)), 401),
            ("GET", "/v2/", Some("Bearer x".to_owned()), 401),
            ("GET", "/v2/", Some(good.clone()), 200),
            (
                "GET",
                "/v2/spindrift/builder/manifests/latest",
                Some(good.clone()),
                200,
            ),
            ("POST", "/v2/default/web/blobs/uploads/", Some(good.clone()), 200),
            (
                "POST",
                "/v2/spindrift/builder/blobs/uploads/",
                Some(good.clone()),
                403,
            ),
            ("DELETE", "/v2/other/web/manifests/latest", Some(good), 403),
        ] {
            let mut request = Request::builder().method(method).uri(path);
            if let Some(header) = header {
                request = request.header(AUTHORIZATION, header);
            }
            let response = router
                .clone()
                .oneshot(request.body(Body::empty()).unwrap())
                .await
                .unwrap();
            assert_eq!(response.status().as_u16(), expected, "{method} {path}");
        }
    }

    #[test]
    fn the_key_is_made_once_and_for_the_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        let first = key(&file).unwrap();
        assert_eq!(first, key(&file).unwrap());
        assert_eq!(
            std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );
        std::fs::write(&file, "short").unwrap();
        assert_ne!(first, key(&file).unwrap());
    }
}
