//! Manifests and indexes by tag or digest.

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, LOCATION};
use http::request::Parts;
use http_body_util::{BodyExt as _, Limited};

use super::error::{Code, RegistryError};
use super::route::Reference;
use super::{CONTENT_DIGEST, HEADER_TIMEOUT, Registry};
use crate::digest::Digest;
use crate::error::ImageError;
use crate::manifest::{Document, MAX_DOCUMENT};
use crate::names::Repository;
use crate::store::{Inner, Publication};

impl Registry {
    pub(super) async fn get_manifest(
        &self,
        repository: &Repository,
        reference: Reference,
    ) -> Result<Response, RegistryError> {
        let (place, wanted) = (repository.clone(), reference.clone());
        let found = self.store.blocking(move |inner| {
            let Some(digest) = resolve(inner, &place, &wanted)? else {
                return Ok(None);
            };
            let Some(media_type) = inner.names.media_type(&place, &digest)? else {
                return Ok(None);
            };
            match inner.blobs.read(&digest, MAX_DOCUMENT) {
                Ok(bytes) => Ok(Some((digest, media_type, bytes))),
                Err(ImageError::MissingBlob(_)) => Ok(None),
                Err(error) => Err(error),
            }
        });
        let (digest, media_type, bytes) = found.await?.ok_or_else(|| unknown(repository, &reference))?;
        let headers = [
            (CONTENT_TYPE.as_str(), media_type),
            (CONTENT_LENGTH.as_str(), bytes.len().to_string()),
            (ETAG.as_str(), format!("\"{digest}\"")),
            (CONTENT_DIGEST, digest.to_string()),
        ];
        Ok((StatusCode::OK, headers, bytes).into_response())
    }

    pub(super) async fn put_manifest(
        &self,
        repository: &Repository,
        reference: Reference,
        parts: &Parts,
        body: Body,
    ) -> Result<Response, RegistryError> {
        let media_type = parts
            .headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty());
        let bytes = read(body).await?;
        let digest = Digest::of(&bytes);
        let tag = match reference {
            Reference::Tag(tag) => Some(tag),
            Reference::Digest(named) if named == digest => None,
            Reference::Digest(named) => {
                return Err(RegistryError::new(
                    Code::DigestInvalid,
                    format!("the manifest has digest {digest}, not {named}"),
                ));
            }
        };
        let subject = Document::parse(&bytes, media_type.as_deref())?
            .subject()
            .map(|subject| subject.digest);
        let place = repository.clone();
        self.store
            .blocking(move |inner| {
                inner.publish(Publication {
                    repository: &place,
                    bytes: &bytes,
                    media_type: media_type.as_deref(),
                    tag: tag.as_deref(),
                    partial: false,
                })
            })
            .await?;
        let headers = [
            (
                LOCATION.as_str(),
                format!("/v2/{}/manifests/{digest}", repository.path),
            ),
            (CONTENT_DIGEST, digest.to_string()),
        ];
        let mut response = (StatusCode::CREATED, headers).into_response();
        if let Some(subject) = subject
            && let Ok(value) = subject.to_string().parse()
        {
            response.headers_mut().insert("oci-subject", value);
        }
        Ok(response)
    }

    /// A tag loses its name only; by digest the manifest goes with all its tags.
    pub(super) async fn delete_manifest(
        &self,
        repository: &Repository,
        reference: Reference,
    ) -> Result<Response, RegistryError> {
        let (place, named) = (repository.clone(), reference.clone());
        let removed = self
            .store
            .blocking(move |inner| match &named {
                Reference::Tag(tag) => inner.names.unlink_tag(&place, tag),
                Reference::Digest(digest) => inner.names.unlink_manifest(&place, digest),
            })
            .await?;
        match removed {
            true => Ok(StatusCode::ACCEPTED.into_response()),
            false => Err(unknown(repository, &reference)),
        }
    }
}

fn resolve(
    inner: &Inner,
    repository: &Repository,
    reference: &Reference,
) -> Result<Option<Digest>, ImageError> {
    match reference {
        Reference::Digest(digest) => Ok(Some(*digest)),
        Reference::Tag(tag) => inner.names.resolve_tag(repository, tag),
    }
}

async fn read(body: Body) -> Result<Vec<u8>, RegistryError> {
    let body = Limited::new(body, usize::try_from(MAX_DOCUMENT).unwrap_or(usize::MAX));
    let collected = tokio::time::timeout(HEADER_TIMEOUT, body.collect())
        .await
        .map_err(|_| {
            RegistryError::new(
                Code::ManifestInvalid,
                format!("no manifest within {} s", HEADER_TIMEOUT.as_secs()),
            )
        })?;
    match collected {
        Ok(body) => Ok(body.to_bytes().to_vec()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(RegistryError::new(
            Code::TooLarge,
            format!("a manifest may have {MAX_DOCUMENT} bytes"),
        )),
        Err(error) => Err(RegistryError::new(
            Code::ManifestInvalid,
            format!("the body broke off: {error}"),
        )),
    }
}

fn unknown(repository: &Repository, reference: &Reference) -> RegistryError {
    let name = match reference {
        Reference::Tag(tag) => format!("`{}:{tag}`", repository.path),
        Reference::Digest(digest) => format!("`{}@{digest}`", repository.path),
    };
    RegistryError::new(Code::ManifestUnknown, format!("no manifest {name}"))
}
