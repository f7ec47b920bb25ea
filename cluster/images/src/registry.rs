//! The embedded registry: the OCI distribution API (v1.1) over the image store.
//!
//! What it answers with 201 is on disk, synced. Blobs go through no buffer larger than a network read; manifests are
//! capped. It has no users of its own: it listens on the loopback of the machine it serves.

mod blob;
mod error;
mod list;
mod manifest;
mod page;
mod range;
mod route;
mod upload;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::header::{ALLOW, HeaderValue};
use http::{Method, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tracing::{debug, warn};

use self::error::{Code, RegistryError};
use self::route::Route;
use self::upload::Uploads;
use crate::store::ImageStore;

/// Connections served at a time; more wait in the listen queue.
const MAX_CONNECTIONS: usize = 256;

/// A client must have sent its request head within this time; also closes idle connections.
const HEADER_TIMEOUT: Duration = Duration::from_secs(60);

/// How long transfers may go on after the shutdown signal.
const DRAIN: Duration = Duration::from_secs(10);

/// Wait after a failed accept (out of descriptors, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Marker of the distribution API that old clients look for.
const API_VERSION: (&str, &str) = ("docker-distribution-api-version", "registry/2.0");

/// The content digest of an answer.
const CONTENT_DIGEST: &str = "docker-content-digest";

struct Registry {
    store: ImageStore,
    uploads: Uploads,
}

/// The registry as an axum router for the paths below `/v2/`.
pub fn router(store: ImageStore) -> Router {
    let registry = Arc::new(Registry {
        store,
        uploads: Uploads::default(),
    });
    Router::new().fallback(answer).with_state(registry)
}

/// Serves the registry on `listener` until `shutdown` completes, then lets transfers finish for a while.
pub async fn serve(listener: TcpListener, store: ImageStore, shutdown: impl Future<Output = ()>) {
    serve_router(listener, router(store), shutdown).await;
}

/// As [`serve`], with a router that asks something of a request before it passes it on to [`router`].
pub async fn serve_router(listener: TcpListener, service: Router, shutdown: impl Future<Output = ()>) {
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let mut tasks = tokio::task::JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        while tasks.try_join_next().is_some() {}
        let accepted = async {
            // Never closed, so a permit always comes.
            let permit = Arc::clone(&connections).acquire_owned().await.ok();
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            accepted = accepted => accepted,
            () = &mut shutdown => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                warn!(%error, "Registry cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service.clone()));
        let connection = graceful.watch(connection);
        tasks.spawn(async move {
            let _permit = permit;
            if let Err(error) = connection.await {
                debug!(%error, "Registry connection ended early");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
        warn!("Registry transfers were cut off at shutdown");
    }
    tasks.shutdown().await;
}

async fn answer(State(registry): State<Arc<Registry>>, request: Request) -> Response {
    let method = request.method().clone();
    let outcome = match Route::parse(request.uri().path()) {
        Ok(route) => registry.dispatch(route, request).await,
        Err(error) => Err(error),
    };
    let mut response = outcome.unwrap_or_else(|error| {
        if error.status().is_server_error() {
            warn!(error = %error, "Registry request failed");
        } else {
            debug!(error = %error, "Registry request refused");
        }
        error.into_response()
    });
    response
        .headers_mut()
        .insert(API_VERSION.0, HeaderValue::from_static(API_VERSION.1));
    if method == Method::HEAD {
        // Headers tell the size; the body would break the next answer on the connection.
        *response.body_mut() = Body::empty();
    }
    response
}

impl Registry {
    async fn dispatch(&self, route: Route, request: Request) -> Result<Response, RegistryError> {
        // Apart, as a reference to a whole request cannot be held while waiting: bodies are not `Sync`.
        let (parts, body) = request.into_parts();
        let allowed = route.allowed();
        match (route, &parts.method) {
            (Route::Base, &Method::GET | &Method::HEAD) => {
                Ok((StatusCode::OK, axum::Json(serde_json::json!({}))).into_response())
            }
            (Route::Catalog, &Method::GET) => self.catalog(&parts).await,
            (Route::Tags(name), &Method::GET) => self.tags(&name, &parts).await,
            (Route::Referrers(name, digest), &Method::GET) => self.referrers(&name, digest, &parts).await,
            (Route::Manifest(name, reference), &Method::GET | &Method::HEAD) => {
                self.get_manifest(&name, reference).await
            }
            (Route::Manifest(name, reference), &Method::PUT) => {
                self.put_manifest(&name, reference, &parts, body).await
            }
            (Route::Manifest(name, reference), &Method::DELETE) => {
                self.delete_manifest(&name, reference).await
            }
            (Route::Blob(name, digest), &Method::GET | &Method::HEAD) => {
                self.get_blob(&name, digest, &parts).await
            }
            (Route::Blob(name, digest), &Method::DELETE) => self.delete_blob(&name, digest).await,
            (Route::Uploads(name), &Method::POST) => self.start_upload(&name, &parts, body).await,
            (Route::Upload(name, id), &Method::GET) => self.upload_status(&name, id).await,
            (Route::Upload(name, id), &Method::PATCH) => self.append_upload(&name, id, &parts, body).await,
            (Route::Upload(name, id), &Method::PUT) => self.finish_upload(&name, id, &parts, body).await,
            (Route::Upload(name, id), &Method::DELETE) => self.cancel_upload(&name, id).await,
            _ => {
                let mut response = RegistryError::new(
                    Code::Unsupported,
                    format!("{} is not possible here", parts.method),
                )
                .into_response();
                response
                    .headers_mut()
                    .insert(ALLOW, HeaderValue::from_static(allowed));
                Ok(response)
            }
        }
    }
}

#[cfg(test)]
mod tests;
