//! Blobs and manifests to a registry and from it. Blobs go in pieces, so no one is ever held whole.

use bytes::{Bytes, BytesMut};
use formats::image::ImageReference;
use http::header::{ACCEPT, CONTENT_RANGE, CONTENT_TYPE};
use http::{Method, StatusCode};
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::client::{REDIRECTS, Registry, RegistryError, told_digest};
use crate::keychain::Credentials;
use crate::session::{Session, accepted, location};

/// Bytes of a blob in one request.
const PIECE: usize = 8 << 20;
/// Tags that are asked for at once; who has more gets the first ones.
const TAGS: usize = 1000;
/// Each is at most 128 letters.
const TAGS_MAX: usize = TAGS * 140 + 4096;
const BYTES: &str = "application/octet-stream";

/// A manifest as a registry gave it; its digest has been checked.
#[derive(Clone, Debug)]
pub struct Manifest {
    pub bytes: Bytes,
    /// `sha256:<hex>`
    pub digest: String,
}

#[derive(Deserialize)]
struct TagList {
    tags: Option<Vec<String>>,
}

impl Registry {
    /// The manifest or index that `image` names.
    ///
    /// # Errors
    /// [`RegistryError`], also if it is not what its digest says.
    pub async fn manifest(
        &self,
        image: &ImageReference,
        credentials: Option<&Credentials>,
    ) -> Result<Manifest, RegistryError> {
        let path = format!("manifests/{}", image.identifier());
        let document = self.document(image, &path, credentials).await?;
        let digest = hex(&Sha256::digest(&document.bytes));
        if image.digest().is_some_and(|wanted| wanted != digest) {
            return Err(RegistryError::WrongDigest(document.url));
        }
        Ok(Manifest {
            bytes: document.bytes,
            digest,
        })
    }

    /// Writes the blob of that digest to `to`; refuses more than `limit` bytes. What was written before an error is
    /// to be thrown away.
    ///
    /// # Errors
    /// [`RegistryError`], also if it is not what its digest says.
    pub async fn download(
        &self,
        image: &ImageReference,
        digest: &str,
        limit: u64,
        to: &mut (impl AsyncWrite + Unpin),
        credentials: Option<&Credentials>,
    ) -> Result<(), RegistryError> {
        let mut session = Session::new(self, image, credentials);
        let mut url = session.url(&format!("blobs/{digest}"));
        let mut response = session.send(Method::GET, &url, &[], Bytes::new()).await?;
        for _ in 0..REDIRECTS {
            if !response.status().is_redirection() {
                break;
            }
            url = location(&url, &response)?.into();
            response = session.send(Method::GET, &url, &[], Bytes::new()).await?;
        }
        let mut body = accepted(Method::GET, &url, response).await?.into_body();
        let (mut hash, mut length) = (Sha256::new(), 0_u64);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| RegistryError::Body(url.clone()))?;
            let Ok(data) = frame.into_data() else { continue };
            length += data.len() as u64;
            if length > limit {
                return Err(RegistryError::TooLong { url, limit });
            }
            hash.update(&data);
            to.write_all(&data).await.map_err(RegistryError::Write)?;
        }
        to.flush().await.map_err(RegistryError::Write)?;
        match hex(&hash.finalize()) == digest {
            true => Ok(()),
            false => Err(RegistryError::WrongDigest(url)),
        }
    }

    /// Has the repository of `image` a blob of that digest?
    ///
    /// # Errors
    /// [`RegistryError`].
    pub async fn has_blob(
        &self,
        image: &ImageReference,
        digest: &str,
        credentials: Option<&Credentials>,
    ) -> Result<bool, RegistryError> {
        Session::new(self, image, credentials).has(digest).await
    }

    /// Puts a blob of that digest into the repository of `image`, unless it is there.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub async fn upload(
        &self,
        image: &ImageReference,
        digest: &str,
        from: &mut (impl AsyncRead + Unpin),
        credentials: Option<&Credentials>,
    ) -> Result<(), RegistryError> {
        let mut session = Session::new(self, image, credentials);
        if session.has(digest).await? {
            return Ok(());
        }
        let url = session.url("blobs/uploads/");
        let response = session.send(Method::POST, &url, &[], Bytes::new()).await?;
        let response = accepted(Method::POST, &url, response).await?;
        let mut place = location(&url, &response)?;
        let mut at = 0_usize;
        let mut piece = read_piece(from).await?;
        // A piece that is not full is the last one.
        while piece.len() == PIECE {
            let range = format!("{at}-{}", at + piece.len() - 1);
            let headers = [(CONTENT_TYPE, BYTES.to_owned()), (CONTENT_RANGE, range)];
            at += piece.len();
            let response = session
                .send(Method::PATCH, place.as_str(), &headers, piece)
                .await?;
            let response = accepted(Method::PATCH, place.as_str(), response).await?;
            place = location(place.as_str(), &response)?;
            piece = read_piece(from).await?;
        }
        let mut headers = vec![(CONTENT_TYPE, BYTES.to_owned())];
        if at > 0 && !piece.is_empty() {
            headers.push((CONTENT_RANGE, format!("{at}-{}", at + piece.len() - 1)));
        }
        place.query_pairs_mut().append_pair("digest", digest);
        let response = session.send(Method::PUT, place.as_str(), &headers, piece).await?;
        accepted(Method::PUT, place.as_str(), response).await?;
        Ok(())
    }

    /// The tags of the repository of `image`; none if there is no such repository.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub async fn tags(
        &self,
        image: &ImageReference,
        credentials: Option<&Credentials>,
    ) -> Result<Vec<String>, RegistryError> {
        let mut session = Session::new(self, image, credentials);
        let url = session.url(&format!("tags/list?n={TAGS}"));
        let response = session.send(Method::GET, &url, &[], Bytes::new()).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(Vec::new());
        }
        let response = accepted(Method::GET, &url, response).await?;
        let body = Limited::new(response.into_body(), TAGS_MAX).collect().await;
        let body = body.map_err(|_| RegistryError::Body(url.clone()))?.to_bytes();
        let list: TagList =
            serde_json::from_slice(&body).map_err(|source| RegistryError::Document { url, source })?;
        Ok(list.tags.unwrap_or_default())
    }

    /// Deletes the manifest that `image` names by digest, with its tags.
    ///
    /// # Errors
    /// [`RegistryError`]; not every registry lets anybody do so.
    pub async fn delete(
        &self,
        image: &ImageReference,
        credentials: Option<&Credentials>,
    ) -> Result<(), RegistryError> {
        let mut session = Session::new(self, image, credentials);
        let url = session.url(&format!("manifests/{}", image.identifier()));
        let response = session.send(Method::DELETE, &url, &[], Bytes::new()).await?;
        if response.status() != StatusCode::NOT_FOUND {
            accepted(Method::DELETE, &url, response).await?;
        }
        Ok(())
    }

    /// Puts a manifest where `image` says: at its tag, or without one only at its digest, which is returned.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub async fn put_manifest(
        &self,
        image: &ImageReference,
        media_type: &str,
        manifest: Bytes,
        credentials: Option<&Credentials>,
    ) -> Result<String, RegistryError> {
        let digest = hex(&Sha256::digest(&manifest));
        let mut session = Session::new(self, image, credentials);
        let url = session.url(&format!("manifests/{}", image.tag().unwrap_or(&digest)));
        let headers = [(CONTENT_TYPE, media_type.to_owned())];
        let response = session.send(Method::PUT, &url, &headers, manifest).await?;
        let response = accepted(Method::PUT, &url, response).await?;
        match told_digest(&response) {
            Some(told) if told != digest => Err(RegistryError::WrongDigest(url)),
            _ => Ok(digest),
        }
    }
}

impl Session<'_> {
    async fn has(&mut self, digest: &str) -> Result<bool, RegistryError> {
        let url = self.url(&format!("blobs/{digest}"));
        let headers = [(ACCEPT, "*/*".to_owned())];
        let response = self.send(Method::HEAD, &url, &headers, Bytes::new()).await?;
        // Some forbid what is not there, or who only may write; the upload itself tells.
        Ok(response.status() == StatusCode::OK || response.status().is_redirection())
    }
}

/// The next [`PIECE`] bytes, or fewer at the end.
async fn read_piece(from: &mut (impl AsyncRead + Unpin)) -> Result<Bytes, RegistryError> {
    let mut piece = BytesMut::new();
    let mut rest = from.take(PIECE as u64);
    while rest.read_buf(&mut piece).await.map_err(RegistryError::Read)? > 0 {}
    Ok(piece.freeze())
}

fn hex(hash: &[u8]) -> String {
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}
