//! Lists: repositories, tags, referrers.

use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue, LINK};
use http::request::Parts;
use serde_json::json;

use super::Registry;
use super::error::{Code, RegistryError};
use super::page::{page, parameter};
use crate::digest::Digest;
use crate::error::ImageError;
use crate::manifest::{Descriptor, Document, MAX_DOCUMENT, OCI_INDEX};
use crate::names::{EMBEDDED, Repository};
use crate::store::Inner;

/// Most referrers told of one subject; the answer is an index, which is capped like every document.
const MAX_REFERRERS: usize = 1_000;

impl Registry {
    pub(super) async fn catalog(&self, parts: &Parts) -> Result<Response, RegistryError> {
        let names = self.store.blocking(|inner| {
            let repositories = inner.names.repositories()?;
            let own = repositories
                .into_iter()
                .filter(|repository| repository.registry == EMBEDDED);
            Ok(own.map(|repository| repository.path).collect::<Vec<_>>())
        });
        let (names, next) = page(names.await?, parts.uri.query())?;
        Ok(with_next(json!({ "repositories": names }), "/v2/_catalog", next))
    }

    pub(super) async fn tags(
        &self,
        repository: &Repository,
        parts: &Parts,
    ) -> Result<Response, RegistryError> {
        let place = repository.clone();
        let tags = self
            .store
            .blocking(move |inner| match inner.names.exists(&place) {
                true => inner.names.tags(&place).map(Some),
                false => Ok(None),
            });
        let tags = tags.await?.ok_or_else(|| {
            RegistryError::new(Code::NameUnknown, format!("no repository `{}`", repository.path))
        })?;
        let (tags, next) = page(tags, parts.uri.query())?;
        let path = format!("/v2/{}/tags/list", repository.path);
        Ok(with_next(
            json!({ "name": repository.path, "tags": tags }),
            &path,
            next,
        ))
    }

    pub(super) async fn referrers(
        &self,
        repository: &Repository,
        subject: Digest,
        parts: &Parts,
    ) -> Result<Response, RegistryError> {
        let place = repository.clone();
        let wanted = parameter(parts.uri.query(), "artifactType");
        let filter = wanted.clone();
        let manifests = self.store.blocking(move |inner| {
            let mut found = Vec::new();
            for digest in inner.names.referrers(&place, &subject)? {
                let Some(descriptor) = describe(inner, &place, &digest)? else {
                    continue;
                };
                if filter.is_none() || descriptor.artifact_type == filter {
                    found.push(descriptor);
                }
                if found.len() == MAX_REFERRERS {
                    break;
                }
            }
            Ok(found)
        });
        let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests.await?});
        let mut response = (StatusCode::OK, axum::Json(index)).into_response();
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(OCI_INDEX));
        if wanted.is_some() {
            response
                .headers_mut()
                .insert("oci-filters-applied", HeaderValue::from_static("artifactType"));
        }
        Ok(response)
    }
}

fn describe(
    inner: &Inner,
    repository: &Repository,
    digest: &Digest,
) -> Result<Option<Descriptor>, ImageError> {
    let Some(media_type) = inner.names.media_type(repository, digest)? else {
        return Ok(None);
    };
    let bytes = match inner.blobs.read(digest, MAX_DOCUMENT) {
        Err(ImageError::MissingBlob(_)) => return Ok(None),
        other => other?,
    };
    let document = Document::parse(&bytes, Some(&media_type))?;
    let mut descriptor = Descriptor::new(&media_type, *digest, bytes.len() as u64);
    descriptor.artifact_type = document.artifact_type().map(str::to_owned);
    descriptor.annotations = document.annotations().clone();
    Ok(Some(descriptor))
}

fn with_next(body: serde_json::Value, path: &str, next: Option<String>) -> Response {
    let mut response = (StatusCode::OK, axum::Json(body)).into_response();
    if let Some(next) = next
        && let Ok(value) = HeaderValue::try_from(format!("<{path}?{next}>; rel=\"next\""))
    {
        response.headers_mut().insert(LINK, value);
    }
    response
}
