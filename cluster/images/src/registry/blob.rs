//! Reading and deleting blobs.

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, RANGE};
use http::request::Parts;
use http::{Method, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

use super::error::{Code, RegistryError};
use super::range::{self, ByteRange, Wanted};
use super::{CONTENT_DIGEST, Registry};
use crate::blob::COPY_BUFFER;
use crate::digest::Digest;
use crate::names::Repository;

impl Registry {
    /// `GET` and `HEAD`, whole or a range.
    pub(super) async fn get_blob(
        &self,
        repository: &Repository,
        digest: Digest,
        parts: &Parts,
    ) -> Result<Response, RegistryError> {
        let place = repository.clone();
        let found = self.store.blocking(move |inner| {
            // Marked as used: a client that skips an upload because of this answer relies on the blob.
            let _guard = inner.sweep.read();
            match inner.names.has_blob(&place, &digest) {
                true => match inner.blobs.touch(&digest)? {
                    Some(size) => Ok(Some((inner.blobs.file(&digest)?, size))),
                    None => Ok(None),
                },
                false => Ok(None),
            }
        });
        let (file, size) = found.await?.ok_or_else(|| unknown(repository, &digest))?;
        let header = parts.headers.get(RANGE).and_then(|value| value.to_str().ok());
        let (status, part) = match range::wanted(header, size) {
            Wanted::Whole => (StatusCode::OK, None),
            Wanted::Part(part) => (StatusCode::PARTIAL_CONTENT, Some(part)),
            Wanted::Unsatisfiable => {
                let total = [(CONTENT_RANGE.as_str(), format!("bytes */{size}"))];
                return Ok((StatusCode::RANGE_NOT_SATISFIABLE, total).into_response());
            }
        };
        let length = part.map_or(size, |part| part.length());
        let headers = [
            (CONTENT_TYPE.as_str(), "application/octet-stream".to_owned()),
            (CONTENT_LENGTH.as_str(), length.to_string()),
            (ACCEPT_RANGES.as_str(), "bytes".to_owned()),
            (ETAG.as_str(), format!("\"{digest}\"")),
            (CONTENT_DIGEST, digest.to_string()),
        ];
        let body = match parts.method {
            Method::HEAD => Body::empty(),
            _ => body(file, part).await?,
        };
        let mut response = (status, headers, body).into_response();
        if let Some(part) = part
            && let Ok(value) = format!("bytes {}-{}/{size}", part.start, part.end).parse()
        {
            response.headers_mut().insert(CONTENT_RANGE, value);
        }
        Ok(response)
    }

    /// Takes the blob out of the repository; its bytes go with the next collection if no image needs them.
    pub(super) async fn delete_blob(
        &self,
        repository: &Repository,
        digest: Digest,
    ) -> Result<Response, RegistryError> {
        let place = repository.clone();
        let removed = self
            .store
            .blocking(move |inner| inner.names.unlink_blob(&place, &digest))
            .await?;
        match removed {
            true => Ok(StatusCode::ACCEPTED.into_response()),
            false => Err(unknown(repository, &digest)),
        }
    }
}

async fn body(file: std::fs::File, part: Option<ByteRange>) -> Result<Body, RegistryError> {
    let mut file = tokio::fs::File::from_std(file);
    file.set_max_buf_size(COPY_BUFFER);
    let Some(part) = part else {
        return Ok(Body::from_stream(ReaderStream::with_capacity(file, COPY_BUFFER)));
    };
    file.seek(std::io::SeekFrom::Start(part.start))
        .await
        .map_err(|error| RegistryError::new(Code::Unknown, format!("cannot read the blob: {error}")))?;
    Ok(Body::from_stream(ReaderStream::with_capacity(
        file.take(part.length()),
        COPY_BUFFER,
    )))
}

fn unknown(repository: &Repository, digest: &Digest) -> RegistryError {
    RegistryError::new(
        Code::BlobUnknown,
        format!("repository `{}` has no blob {digest}", repository.path),
    )
}
