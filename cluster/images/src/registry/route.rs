//! Paths of the distribution API. Repository names contain slashes, so a path is read from its end.

use formats::image::ImageReference;
use uuid::Uuid;

use super::error::{Code, RegistryError};
use crate::digest::Digest;
use crate::names::{EMBEDDED, Repository};

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    Base,
    Catalog,
    Tags(Repository),
    Referrers(Repository, Digest),
    Manifest(Repository, Reference),
    Blob(Repository, Digest),
    Uploads(Repository),
    Upload(Repository, Uuid),
}

/// How a manifest is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reference {
    Tag(String),
    Digest(Digest),
}

impl Route {
    pub(super) fn parse(path: &str) -> Result<Self, RegistryError> {
        let nowhere = || RegistryError::new(Code::NotFound, "this registry serves /v2/ only");
        // The only character clients escape that can occur in a valid path.
        let path = path.replace("%3A", ":").replace("%3a", ":");
        let rest = match path.strip_prefix("/v2") {
            Some("" | "/") => return Ok(Self::Base),
            Some(rest) => rest.strip_prefix('/').ok_or_else(nowhere)?,
            None => return Err(nowhere()),
        };
        if rest == "_catalog" {
            return Ok(Self::Catalog);
        }
        let segments: Vec<&str> = rest.split('/').collect();
        match segments.as_slice() {
            [name @ .., "tags", "list"] => Ok(Self::Tags(repository(name)?)),
            [name @ .., "blobs", "uploads", ""] | [name @ .., "blobs", "uploads"] => {
                Ok(Self::Uploads(repository(name)?))
            }
            [name @ .., "blobs", "uploads", id] => {
                let id = Uuid::try_parse(id)
                    .map_err(|_| RegistryError::new(Code::BlobUploadUnknown, format!("no upload `{id}`")))?;
                Ok(Self::Upload(repository(name)?, id))
            }
            [name @ .., "blobs", digest] => Ok(Self::Blob(repository(name)?, parse_digest(digest)?)),
            [name @ .., "referrers", digest] => Ok(Self::Referrers(repository(name)?, parse_digest(digest)?)),
            [name @ .., "manifests", reference] => {
                let repository = repository(name)?;
                let reference = match reference.contains(':') {
                    true => Reference::Digest(parse_digest(reference)?),
                    false => Reference::Tag(tag(&repository, reference)?),
                };
                Ok(Self::Manifest(repository, reference))
            }
            _ => Err(RegistryError::new(
                Code::NotFound,
                "no such resource in the distribution API",
            )),
        }
    }

    /// Methods for an `Allow` header.
    pub(super) fn allowed(&self) -> &'static str {
        match self {
            Self::Base => "GET, HEAD",
            Self::Catalog | Self::Tags(_) | Self::Referrers(..) => "GET",
            Self::Manifest(..) => "GET, HEAD, PUT, DELETE",
            Self::Blob(..) => "GET, HEAD, DELETE",
            Self::Uploads(_) => "POST",
            Self::Upload(..) => "GET, PATCH, PUT, DELETE",
        }
    }
}

/// Checks a repository name of this registry.
pub(super) fn repository(segments: &[&str]) -> Result<Repository, RegistryError> {
    let path = segments.join("/");
    let valid = ImageReference::parse(&format!("localhost/{path}"))
        .ok()
        .filter(|reference| {
            reference.repository() == path && reference.tag().is_none() && reference.digest().is_none()
        });
    match valid {
        Some(_) => Ok(Repository {
            registry: EMBEDDED.into(),
            path,
        }),
        None => {
            let path: String = path.chars().take(100).collect();
            Err(RegistryError::new(
                Code::NameInvalid,
                format!("`{path}` is no repository name (lower case, `/` between parts)"),
            ))
        }
    }
}

pub(super) fn parse_digest(text: &str) -> Result<Digest, RegistryError> {
    text.parse().map_err(|error: crate::digest::DigestError| {
        RegistryError::new(Code::DigestInvalid, error.to_string())
    })
}

fn tag(repository: &Repository, text: &str) -> Result<String, RegistryError> {
    match ImageReference::parse(&format!("localhost/{}:{text}", repository.path)) {
        Ok(reference) if reference.tag() == Some(text) => Ok(text.to_owned()),
        _ => Err(RegistryError::new(
            Code::ManifestInvalid,
            "a tag is 1 to 128 letters, digits, `_`, `.` and `-`, not starting with `.` or `-`",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn repo(path: &str) -> Repository {
        Repository {
            registry: EMBEDDED.into(),
            path: path.into(),
        }
    }

    #[test]
    fn reads_paths_from_their_end() {
        let digest = Digest::of(b"x");
        let id = Uuid::from_u128(7);
        let cases = [
            ("/v2".to_owned(), Route::Base),
            ("/v2/".into(), Route::Base),
            ("/v2/_catalog".into(), Route::Catalog),
            ("/v2/a/tags/list".into(), Route::Tags(repo("a"))),
            ("/v2/a/b/c/tags/list".into(), Route::Tags(repo("a/b/c"))),
            ("/v2/tags/list/tags/list".into(), Route::Tags(repo("tags/list"))),
            (
                format!("/v2/a/b/blobs/{digest}"),
                Route::Blob(repo("a/b"), digest),
            ),
            (
                format!("/v2/a/blobs/sha256%3A{}", digest.hex()),
                Route::Blob(repo("a"), digest),
            ),
            (
                format!("/v2/blobs/manifests/{digest}"),
                Route::Manifest(repo("blobs"), Reference::Digest(digest)),
            ),
            (
                "/v2/a/manifests/v1.0".into(),
                Route::Manifest(repo("a"), Reference::Tag("v1.0".into())),
            ),
            ("/v2/a/blobs/uploads/".into(), Route::Uploads(repo("a"))),
            (format!("/v2/a/blobs/uploads/{id}"), Route::Upload(repo("a"), id)),
            (
                format!("/v2/a/referrers/{digest}"),
                Route::Referrers(repo("a"), digest),
            ),
        ];
        for (path, expected) in cases {
            assert_eq!(Route::parse(&path).unwrap(), expected, "{path}");
        }
    }

    #[test]
    fn refuses_what_is_no_name() {
        for path in [
            "/",
            "/v3/",
            "/v2x",
            "/v2/a",
            "/v2/../etc/manifests/x",
            "/v2/A/manifests/x",
            "/v2//manifests/x",
            "/v2/a/manifests/-x",
            "/v2/a/manifests/",
            "/v2/a/blobs/sha256:0",
            "/v2/a/blobs/uploads/1",
            "/v2/_manifests/manifests/x",
            "/v2/a/_tags/manifests/x",
            "/v2/a%2F..%2Fb/manifests/x",
        ] {
            assert!(Route::parse(path).is_err(), "{path}");
        }
    }

    proptest! {
        #[test]
        fn names_never_leave_the_tree(path in "(/|v2|[a-z._%]|\\.\\.){0,12}/manifests/(x|\\.\\.|sha256:..)") {
            if let Ok(Route::Manifest(repository, _)) = Route::parse(&format!("/v2/{path}")) {
                prop_assert!(!repository.path.split('/').any(|part| part.starts_with(['.', '_']) || part.is_empty()));
            }
        }
    }
}
