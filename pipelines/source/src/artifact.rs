//! A packed folder in a registry: an OCI artifact of one layer.

use std::io::Seek;
use std::path::Path;

use bytes::Bytes;
use formats::image::{ImageReference, ImageReferenceError};
use registries::{Credentials, Registry, RegistryError};
use serde::Deserialize;
use serde_json::json;

use crate::Limits;
use crate::pack::Packed;
use crate::unpack::{UnpackError, unpack};

/// What the artifact says it is.
pub const ARTIFACT_TYPE: &str = "application/vnd.spindrift.source.v1";
/// Its layer.
pub const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// The configuration of artifacts that need none, as the specification has it.
const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";
const EMPTY: &str = "{}";
const EMPTY_DIGEST: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

/// Why a folder did not get into a registry, or out of it.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    #[error("{0}")]
    Reference(#[from] ImageReferenceError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error("{0} is not an uploaded folder")]
    NotASource(String),
    #[error("{0} is larger than the {1} bytes that are allowed")]
    TooLong(String, u64),
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    #[error("cannot use a temporary file")]
    Temporary(#[source] std::io::Error),
}

/// Puts the folder into `repository` (a tag there, if it has one, is moved to it). Returns the reference by digest,
/// `<repository>@sha256:<hex>`, the same for the same folder.
///
/// # Errors
/// [`TransferError`].
pub async fn push(
    packed: &Packed,
    repository: &str,
    registry: &Registry,
    credentials: Option<&Credentials>,
) -> Result<String, TransferError> {
    let image = ImageReference::parse(repository)?;
    let mut layer = packed.file.try_clone().map_err(TransferError::Temporary)?;
    layer.rewind().map_err(TransferError::Temporary)?;
    let mut layer = tokio::fs::File::from_std(layer);
    registry
        .upload(&image, &packed.digest, &mut layer, credentials)
        .await?;
    registry
        .upload(&image, EMPTY_DIGEST, &mut EMPTY.as_bytes(), credentials)
        .await?;
    let manifest = manifest(&packed.digest, packed.size);
    let digest = registry
        .put_manifest(&image, MANIFEST_TYPE, manifest, credentials)
        .await?;
    Ok(format!("{}@{digest}", image.name()))
}

fn manifest(layer: &str, size: u64) -> Bytes {
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "artifactType": ARTIFACT_TYPE,
        "config": {"mediaType": EMPTY_TYPE, "digest": EMPTY_DIGEST, "size": EMPTY.len()},
        "layers": [{"mediaType": LAYER_TYPE, "digest": layer, "size": size}],
    });
    manifest.to_string().into_bytes().into()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    #[serde(default)]
    artifact_type: String,
    #[serde(default)]
    layers: Vec<Layer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Layer {
    media_type: String,
    digest: String,
    size: u64,
}

/// Unpacks the uploaded folder that `reference` names into `folder`, which must be empty. Returns its packed digest,
/// which stands for its content.
///
/// # Errors
/// [`TransferError`].
pub async fn pull(
    reference: &str,
    folder: &Path,
    limits: &Limits,
    registry: &Registry,
    credentials: Option<&Credentials>,
) -> Result<String, TransferError> {
    let image = ImageReference::parse(reference)?;
    let no_source = || TransferError::NotASource(image.to_string());
    let manifest = registry.manifest(&image, credentials).await?;
    let manifest: Manifest = serde_json::from_slice(&manifest.bytes).map_err(|_| no_source())?;
    let layer = match (manifest.artifact_type.as_str(), manifest.layers.as_slice()) {
        (ARTIFACT_TYPE, [layer]) if layer.media_type == LAYER_TYPE => layer,
        _ => return Err(no_source()),
    };
    if layer.size > limits.packed {
        return Err(TransferError::TooLong(image.to_string(), limits.packed));
    }
    let file = tempfile::tempfile().map_err(TransferError::Temporary)?;
    let mut out = tokio::fs::File::from_std(file);
    registry
        .download(&image, &layer.digest, limits.packed, &mut out, credentials)
        .await?;
    let mut file = out.into_std().await;
    file.rewind().map_err(TransferError::Temporary)?;
    let (folder, limits) = (folder.to_path_buf(), *limits);
    let unpacked = tokio::task::spawn_blocking(move || unpack(file, &folder, &limits)).await;
    unpacked.map_err(|error| TransferError::Temporary(std::io::Error::other(error)))??;
    Ok(layer.digest.clone())
}
