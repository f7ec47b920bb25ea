//! Blob uploads: sessions of chunks that end in a verified blob.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::{CONTENT_RANGE, HeaderMap, LOCATION, RANGE};
use http::request::Parts;
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use uuid::Uuid;

use super::error::{Code, RegistryError};
use super::page::parameter;
use super::route::parse_digest;
use super::{CONTENT_DIGEST, Registry, range};
use crate::blob::BlobWriter;
use crate::digest::Digest;
use crate::names::Repository;

/// Largest blob.
const MAX_BLOB: u64 = 16 << 30;

/// Open uploads; each holds a file.
const MAX_UPLOADS: usize = 256;

/// An upload without a request for this long is given up.
const EXPIRY: Duration = Duration::from_secs(3_600);

/// Longest wait for the next piece of a body.
const SILENCE: Duration = Duration::from_secs(60);

/// The open uploads, by id.
#[derive(Debug, Default)]
pub(super) struct Uploads {
    open: Mutex<HashMap<Uuid, Arc<Upload>>>,
}

#[derive(Debug)]
struct Upload {
    repository: Repository,
    used: Mutex<Instant>,
    /// One request at a time; `None` once it is finished or given up.
    writer: tokio::sync::Mutex<Option<BlobWriter>>,
}

impl Uploads {
    fn start(
        &self,
        repository: &Repository,
        writer: BlobWriter,
        now: Instant,
    ) -> Result<Uuid, RegistryError> {
        let mut open = self.open.lock();
        // Whoever starts an upload clears those nobody goes on with: no timer is needed for what a cap bounds.
        open.retain(|_, upload| now.saturating_duration_since(*upload.used.lock()) < EXPIRY);
        if open.len() >= MAX_UPLOADS {
            return Err(RegistryError::new(
                Code::TooManyRequests,
                format!("{MAX_UPLOADS} uploads are open; finish or cancel some"),
            ));
        }
        let id = Uuid::new_v4();
        let writer = tokio::sync::Mutex::new(Some(writer));
        open.insert(
            id,
            Arc::new(Upload {
                repository: repository.clone(),
                used: Mutex::new(now),
                writer,
            }),
        );
        Ok(id)
    }

    fn find(&self, repository: &Repository, id: Uuid) -> Result<Arc<Upload>, RegistryError> {
        let open = self.open.lock();
        let found = open.get(&id).filter(|upload| upload.repository == *repository);
        let upload = found.ok_or_else(|| unknown(id))?;
        *upload.used.lock() = Instant::now();
        Ok(Arc::clone(upload))
    }

    fn close(&self, id: Uuid) {
        self.open.lock().remove(&id);
    }
}

fn unknown(id: Uuid) -> RegistryError {
    RegistryError::new(
        Code::BlobUploadUnknown,
        format!("no upload `{id}`: it was finished, cancelled or expired"),
    )
}

impl Registry {
    /// `POST …/blobs/uploads/`: mounts, takes a whole blob, or opens a session.
    pub(super) async fn start_upload(
        &self,
        repository: &Repository,
        parts: &Parts,
        body: Body,
    ) -> Result<Response, RegistryError> {
        let query = parts.uri.query();
        if let Some(digest) = parameter(query, "mount") {
            let digest = parse_digest(&digest)?;
            let from = parameter(query, "from");
            if self.mount(repository, digest, from.as_deref()).await? {
                return created(repository, digest);
            }
        }
        let writer = self.store.blocking(|inner| inner.blobs.writer(MAX_BLOB)).await?;
        if let Some(digest) = parameter(query, "digest") {
            let digest = parse_digest(&digest)?;
            let mut writer = writer;
            receive(&mut writer, body).await?;
            return self.commit(repository, writer, digest).await;
        }
        let id = self.uploads.start(repository, writer, Instant::now())?;
        accepted(StatusCode::ACCEPTED, repository, id, 0)
    }

    pub(super) async fn upload_status(
        &self,
        repository: &Repository,
        id: Uuid,
    ) -> Result<Response, RegistryError> {
        let upload = self.uploads.find(repository, id)?;
        let writer = upload.writer.lock().await;
        let size = writer.as_ref().ok_or_else(|| unknown(id))?.size();
        accepted(StatusCode::NO_CONTENT, repository, id, size)
    }

    /// `PATCH`: appends a chunk, which must start where the last one ended.
    pub(super) async fn append_upload(
        &self,
        repository: &Repository,
        id: Uuid,
        parts: &Parts,
        body: Body,
    ) -> Result<Response, RegistryError> {
        let upload = self.uploads.find(repository, id)?;
        let mut guard = upload.writer.lock().await;
        let writer = guard.as_mut().ok_or_else(|| unknown(id))?;
        let expected = chunk_length(&parts.headers, writer.size())?;
        let before = writer.size();
        let received = receive(writer, body).await;
        let size = writer.size();
        if let Err(error) = received {
            return self.give_up(id, &mut guard, error);
        }
        if expected.is_some_and(|length| size - before != length) {
            let error = RegistryError::new(
                Code::SizeInvalid,
                "the chunk's length contradicts its Content-Range",
            );
            return self.give_up(id, &mut guard, error);
        }
        *upload.used.lock() = Instant::now();
        accepted(StatusCode::ACCEPTED, repository, id, size)
    }

    /// `PUT ?digest=`: takes the last chunk, if any, verifies and publishes.
    pub(super) async fn finish_upload(
        &self,
        repository: &Repository,
        id: Uuid,
        parts: &Parts,
        body: Body,
    ) -> Result<Response, RegistryError> {
        let digest = parameter(parts.uri.query(), "digest").ok_or_else(|| {
            RegistryError::new(
                Code::DigestInvalid,
                "the query must name the blob: ?digest=sha256:…",
            )
        })?;
        let digest = parse_digest(&digest)?;
        let upload = self.uploads.find(repository, id)?;
        let mut guard = upload.writer.lock().await;
        let writer = guard.as_mut().ok_or_else(|| unknown(id))?;
        chunk_length(&parts.headers, writer.size())?;
        if let Err(error) = receive(writer, body).await {
            return self.give_up(id, &mut guard, error);
        }
        let writer = guard.take().ok_or_else(|| unknown(id))?;
        self.uploads.close(id);
        self.commit(repository, writer, digest).await
    }

    pub(super) async fn cancel_upload(
        &self,
        repository: &Repository,
        id: Uuid,
    ) -> Result<Response, RegistryError> {
        self.uploads.find(repository, id)?;
        self.uploads.close(id);
        Ok(StatusCode::NO_CONTENT.into_response())
    }

    /// A chunk that broke off left bytes whose number the client cannot know: the upload starts anew.
    fn give_up(
        &self,
        id: Uuid,
        writer: &mut Option<BlobWriter>,
        error: RegistryError,
    ) -> Result<Response, RegistryError> {
        *writer = None;
        self.uploads.close(id);
        Err(error)
    }

    async fn mount(
        &self,
        repository: &Repository,
        digest: Digest,
        from: Option<&str>,
    ) -> Result<bool, RegistryError> {
        let source = match from {
            // A name that is none has nothing to mount from; the client then uploads.
            Some(from) => match super::route::repository(&from.split('/').collect::<Vec<_>>()) {
                Ok(source) => source,
                Err(_) => return Ok(false),
            },
            None => repository.clone(),
        };
        let target = repository.clone();
        let mounted = self.store.blocking(move |inner| {
            let _guard = inner.sweep.read();
            if !inner.names.has_blob(&source, &digest) || inner.blobs.touch(&digest)?.is_none() {
                return Ok(false);
            }
            inner.names.link_blob(&target, &digest)?;
            Ok(true)
        });
        Ok(mounted.await?)
    }

    async fn commit(
        &self,
        repository: &Repository,
        writer: BlobWriter,
        digest: Digest,
    ) -> Result<Response, RegistryError> {
        let target = repository.clone();
        self.store
            .blocking(move |inner| {
                let _guard = inner.sweep.read();
                writer.commit(Some(&digest))?;
                inner.names.link_blob(&target, &digest)
            })
            .await?;
        created(repository, digest)
    }
}

/// The length a `Content-Range` promises; refuses one that does not continue at `size`.
fn chunk_length(headers: &HeaderMap, size: u64) -> Result<Option<u64>, RegistryError> {
    let Some(header) = headers.get(CONTENT_RANGE) else {
        return Ok(None);
    };
    let range =
        header.to_str().ok().and_then(range::chunk).ok_or_else(|| {
            RegistryError::new(Code::BlobUploadInvalid, "Content-Range must be <start>-<end>")
        })?;
    match range.start == size {
        true => Ok(Some(range.length())),
        false => Err(RegistryError::new(
            Code::RangeInvalid,
            format!("the next chunk must start at byte {size}"),
        )),
    }
}

async fn receive(writer: &mut BlobWriter, mut body: Body) -> Result<(), RegistryError> {
    loop {
        let frame = tokio::time::timeout(SILENCE, body.frame()).await.map_err(|_| {
            RegistryError::new(
                Code::BlobUploadInvalid,
                format!("no data for {} s", SILENCE.as_secs()),
            )
        })?;
        let Some(frame) = frame else { return Ok(()) };
        let frame = frame.map_err(|error| {
            RegistryError::new(Code::BlobUploadInvalid, format!("the body broke off: {error}"))
        })?;
        if let Ok(data) = frame.into_data() {
            writer.write(&data)?;
        }
    }
}

fn created(repository: &Repository, digest: Digest) -> Result<Response, RegistryError> {
    let headers = [
        (
            LOCATION.as_str(),
            format!("/v2/{}/blobs/{digest}", repository.path),
        ),
        (CONTENT_DIGEST, digest.to_string()),
    ];
    Ok((StatusCode::CREATED, headers).into_response())
}

fn accepted(
    status: StatusCode,
    repository: &Repository,
    id: Uuid,
    size: u64,
) -> Result<Response, RegistryError> {
    let headers = [
        (
            LOCATION.as_str(),
            format!("/v2/{}/blobs/uploads/{id}", repository.path),
        ),
        (RANGE.as_str(), format!("0-{}", size.saturating_sub(1))),
        ("docker-upload-uuid", id.to_string()),
    ];
    Ok((status, headers).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{ImageStore, StoreConfig};

    #[tokio::test]
    async fn uploads_are_capped_and_expire() {
        let dir = tempfile::tempdir().unwrap();
        let store = ImageStore::open(StoreConfig::new(dir.path())).unwrap();
        let writer = || store.inner().blobs.writer(10).unwrap();
        let (uploads, now) = (Uploads::default(), Instant::now());
        let repository = super::super::route::repository(&["a"]).unwrap();
        for _ in 0..MAX_UPLOADS {
            uploads.start(&repository, writer(), now).unwrap();
        }
        assert!(uploads.start(&repository, writer(), now).is_err());
        let id = uploads.start(&repository, writer(), now + EXPIRY).unwrap();
        assert_eq!(uploads.open.lock().len(), 1);
        assert_eq!(
            std::fs::read_dir(&store.inner().tmp).unwrap().count(),
            1,
            "expired uploads leave no file"
        );
        let other = super::super::route::repository(&["b"]).unwrap();
        assert!(
            uploads.find(&other, id).is_err(),
            "an upload belongs to its repository"
        );
    }
}
