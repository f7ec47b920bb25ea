//! The control socket of a running instance: what later commands ask it to do with its images.
//!
//! HTTP over a unix socket in the data folder, which only the user who started the instance can open.

use std::future::Future;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use axum::extract::{FromRef, Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use cluster_images::{ImageStore, ImageSummary};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::net::{UnixListener, UnixStream};

use crate::component_images;

const NAME: &str = "control.sock";
/// Answers are lists of images; nobody has this many.
const MAX_ANSWER: usize = 64 << 20;

/// An image as the commands show it.
#[derive(Debug, Serialize, Deserialize)]
pub struct ImageView {
    pub name: String,
    pub digest: String,
    /// Bytes of the compressed layers and the configuration.
    pub size: u64,
}

impl From<ImageSummary> for ImageView {
    fn from(summary: ImageSummary) -> Self {
        let digest = summary.digest.to_string();
        let name = match summary.tag {
            Some(tag) => format!("{}:{tag}", summary.repository),
            None => format!("{}@{digest}", summary.repository),
        };
        Self {
            name,
            digest,
            size: summary.size,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Archive {
    path: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Named {
    image: String,
}

/// The images of one data folder: asked of the instance that runs on it, or opened when none does.
pub enum Images {
    Running(PathBuf),
    Stopped(ImageStore),
}

/// Opens the socket: whoever knows of this instance from then on can reach it.
///
/// # Errors
/// If the data folder takes no socket.
pub fn listen(data_dir: &Path) -> anyhow::Result<UnixListener> {
    let path = data_dir.join(NAME);
    let _ = std::fs::remove_file(&path);
    let listener =
        UnixListener::bind(&path).with_context(|| format!("cannot listen on {}", path.display()))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Serves until `stop`, and removes the socket of `data_dir`.
pub async fn serve(
    data_dir: &Path,
    listener: UnixListener,
    images: ImageStore,
    registry: &str,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let router = Router::new()
        .route("/images", get(list).post(load).delete(remove))
        .route("/components", post(components))
        .route("/builder", post(builder))
        .with_state(Shared {
            images,
            registry: registry.into(),
            data_dir: data_dir.into(),
        });
    tokio::select! {
        result = axum::serve(listener, router) => result?,
        () = stop => {}
    }
    let _ = std::fs::remove_file(data_dir.join(NAME));
    Ok(())
}

/// What requests work on.
#[derive(Clone)]
struct Shared {
    images: ImageStore,
    /// `host:port` under which images name the registry.
    registry: Arc<str>,
    data_dir: Arc<Path>,
}

impl FromRef<Shared> for ImageStore {
    fn from_ref(shared: &Shared) -> Self {
        shared.images.clone()
    }
}

type Refusal = (StatusCode, String);

fn refuse(error: anyhow::Error) -> Refusal {
    (StatusCode::UNPROCESSABLE_ENTITY, format!("{error:#}"))
}

async fn list(State(images): State<ImageStore>) -> Result<Json<Vec<ImageView>>, Refusal> {
    list_of(&images).await.map(Json).map_err(refuse)
}

async fn load(
    State(images): State<ImageStore>,
    Json(archive): Json<Archive>,
) -> Result<Json<Vec<ImageView>>, Refusal> {
    load_into(&images, &archive.path).await.map(Json).map_err(refuse)
}

async fn remove(State(images): State<ImageStore>, Query(named): Query<Named>) -> Result<Json<bool>, Refusal> {
    images
        .remove(&named.image)
        .await
        .map(Json)
        .map_err(|error| refuse(error.into()))
}

async fn components(State(shared): State<Shared>) -> Result<Json<Vec<String>>, Refusal> {
    component_images::build_all(&shared.images, &shared.registry)
        .await
        .map(Json)
        .map_err(refuse)
}

async fn builder(State(shared): State<Shared>) -> Result<Json<String>, Refusal> {
    crate::builds::make_builder_image(&shared.images, &shared.registry, &shared.data_dir)
        .await
        .map(Json)
        .map_err(refuse)
}

async fn list_of(images: &ImageStore) -> anyhow::Result<Vec<ImageView>> {
    Ok(images.list().await?.into_iter().map(ImageView::from).collect())
}

async fn load_into(images: &ImageStore, archive: &Path) -> anyhow::Result<Vec<ImageView>> {
    Ok(images
        .load_archive(archive)
        .await?
        .into_iter()
        .map(ImageView::from)
        .collect())
}

impl Images {
    /// The images of `data_dir`.
    pub fn of(data_dir: &Path, running: bool) -> anyhow::Result<Self> {
        if running {
            return Ok(Self::Running(data_dir.join(NAME)));
        }
        let config = cluster_images::StoreConfig::new(data_dir.join("images"));
        Ok(Self::Stopped(ImageStore::open(config)?))
    }

    /// Every image.
    pub async fn list(&self) -> anyhow::Result<Vec<ImageView>> {
        match self {
            Self::Running(socket) => ask(socket, "GET", "/images", &()).await,
            Self::Stopped(images) => list_of(images).await,
        }
    }

    /// Takes in an archive; returns what it held.
    pub async fn load(&self, archive: &Path) -> anyhow::Result<Vec<ImageView>> {
        let path = archive
            .canonicalize()
            .with_context(|| format!("cannot read {}", archive.display()))?;
        match self {
            Self::Running(socket) => ask(socket, "POST", "/images", &Archive { path }).await,
            Self::Stopped(images) => load_into(images, &path).await,
        }
    }

    /// Makes the images of the platform's own programs; returns their references by digest, the sidecar's first.
    pub async fn components(&self) -> anyhow::Result<Vec<String>> {
        match self {
            Self::Running(socket) => ask(socket, "POST", "/components", &()).await,
            Self::Stopped(_) => anyhow::bail!(
                "nothing runs on this data folder, so its registry has no address: start `spindrift cluster up` first"
            ),
        }
    }

    /// Makes the image that builds run in; returns its reference by digest.
    pub async fn builder(&self) -> anyhow::Result<String> {
        match self {
            Self::Running(socket) => ask(socket, "POST", "/builder", &()).await,
            Self::Stopped(_) => anyhow::bail!(
                "nothing runs on this data folder, so its registry has no address: start `spindrift up` first"
            ),
        }
    }

    /// Forgets a name; `false` if there was none.
    pub async fn remove(&self, image: &str) -> anyhow::Result<bool> {
        match self {
            Self::Running(socket) => {
                let query: String = url_encode(image);
                ask(socket, "DELETE", &format!("/images?image={query}"), &()).await
            }
            Self::Stopped(images) => Ok(images.remove(image).await?),
        }
    }
}

fn url_encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

async fn ask<T: DeserializeOwned>(
    socket: &Path,
    method: &str,
    path: &str,
    body: &impl Serialize,
) -> anyhow::Result<T> {
    let stream = UnixStream::connect(socket)
        .await
        .with_context(|| format!("cannot reach the running instance by {}", socket.display()))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header(http::header::HOST, "control")
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(serde_json::to_vec(body)?)))?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_ANSWER)
        .collect()
        .await
        .map_err(|error| anyhow::anyhow!("cannot read the answer of the running instance: {error}"))?
        .to_bytes();
    connection.abort();
    anyhow::ensure!(status.is_success(), "{}", String::from_utf8_lossy(&body));
    Ok(serde_json::from_slice(&body)?)
}
