//! Image references in Docker's grammar: `[registry/]repository[:tag][@digest]`.
//!
//! A reference is kept in its full form: without a registry it is meant for Docker Hub, whose registry is called
//! `index.docker.io`, and a Docker Hub repository without a namespace is in `library/`. Lengths and characters are
//! those of `distribution/reference`, so neither a path escape nor an upper-case repository gets past this parser.

use std::fmt;
use std::str::FromStr;

/// Registry of references that name none.
pub const DEFAULT_REGISTRY: &str = "index.docker.io";
/// Tag of references that name neither tag nor digest.
pub const DEFAULT_TAG: &str = "latest";

const DOCKER_HUB_ALIAS: &str = "docker.io";
const DOCKER_HUB_NAMESPACE: &str = "library/";
const LONGEST_REPOSITORY: usize = 255;
const LONGEST_TAG: usize = 128;
const SHA256_HEX: usize = 64;

/// A parsed image reference.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageReference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<String>,
}

/// Why a text is not an image reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("could not parse reference: {text}: {reason}")]
pub struct ImageReferenceError {
    text: String,
    reason: Reason,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Reason {
    #[error("it is empty")]
    Empty,
    #[error("the registry {0:?} is not a host with an optional port")]
    Registry(String),
    #[error("a repository has to follow the registry")]
    NoRepository,
    #[error("the repository is longer than 255 characters")]
    LongRepository,
    #[error("the repository must be lower case")]
    UpperCase,
    #[error(
        "{0:?} in the repository is not a sequence of lower-case letters and digits, separated by \".\", \"_\", \"__\" or \"-\""
    )]
    Repository(String),
    #[error(
        "the tag {0:?} is not 1 to 128 letters, digits, \"_\", \".\" and \"-\", the first not being \".\" or \"-\""
    )]
    Tag(String),
    #[error("the digest {0:?} is not \"sha256:\" and 64 lower-case hexadecimal digits")]
    Digest(String),
}

impl ImageReference {
    /// Reads a reference.
    ///
    /// # Errors
    /// Says which part of the text is wrong, and what it should look like.
    pub fn parse(text: &str) -> Result<Self, ImageReferenceError> {
        parse(text).map_err(|reason| ImageReferenceError {
            text: text.to_owned(),
            reason,
        })
    }

    /// The registry, a host with an optional port; `index.docker.io` for Docker Hub.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository within the registry, for instance `library/nginx`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Registry and repository, separated by a slash.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// The tag, if one was given.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, `sha256:<hex>`, if one was given.
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// What a registry is asked for: the digest if there is one, else the tag, else `latest`.
    pub fn identifier(&self) -> &str {
        self.digest().or_else(|| self.tag()).unwrap_or(DEFAULT_TAG)
    }

    /// The same repository at a digest; the tag is dropped.
    ///
    /// # Errors
    /// When the digest is not `sha256:<64 hexadecimal digits>`.
    pub fn with_digest(&self, digest: &str) -> Result<Self, ImageReferenceError> {
        let digest = parse_digest(digest).map_err(|reason| ImageReferenceError {
            text: format!("{}@{digest}", self.name()),
            reason,
        })?;
        Ok(Self {
            tag: None,
            digest: Some(digest),
            ..self.clone()
        })
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl FromStr for ImageReference {
    type Err = ImageReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

fn parse(text: &str) -> Result<ImageReference, Reason> {
    if text.is_empty() {
        return Err(Reason::Empty);
    }
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(parse_digest(digest)?)),
        None => (text, None),
    };
    // A colon before a slash belongs to the registry's port.
    let (name, tag) = match rest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(parse_tag(tag)?)),
        _ => (rest, None),
    };
    let (registry, repository) = match name.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (first, rest),
        _ => (DEFAULT_REGISTRY, name),
    };
    let registry = if registry == DOCKER_HUB_ALIAS {
        DEFAULT_REGISTRY
    } else {
        registry
    };
    check_registry(registry)?;
    check_repository(repository)?;
    let namespace = if registry == DEFAULT_REGISTRY && !repository.contains('/') {
        DOCKER_HUB_NAMESPACE
    } else {
        ""
    };
    Ok(ImageReference {
        registry: registry.to_owned(),
        repository: format!("{namespace}{repository}"),
        tag,
        digest,
    })
}

fn parse_digest(digest: &str) -> Result<String, Reason> {
    let hex = digest.strip_prefix("sha256:").unwrap_or_default();
    let valid = hex.len() == SHA256_HEX && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if valid {
        Ok(digest.to_owned())
    } else {
        Err(Reason::Digest(digest.to_owned()))
    }
}

fn parse_tag(tag: &str) -> Result<String, Reason> {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let valid = tag.len() <= LONGEST_TAG
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|b| word(b) || b == b'.' || b == b'-');
    if valid {
        Ok(tag.to_owned())
    } else {
        Err(Reason::Tag(tag.to_owned()))
    }
}

fn check_registry(registry: &str) -> Result<(), Reason> {
    let (host, port) = match registry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => (address, port),
        None => registry.split_at(registry.find(':').unwrap_or(registry.len())),
    };
    let label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let host_valid = if registry.starts_with('[') {
        host.parse::<std::net::Ipv6Addr>().is_ok()
    } else {
        host.split('.').all(label)
    };
    let port_valid = port.is_empty()
        || port
            .strip_prefix(':')
            .is_some_and(|port| port.parse::<u16>().is_ok());
    if host_valid && port_valid {
        Ok(())
    } else {
        Err(Reason::Registry(registry.to_owned()))
    }
}

fn check_repository(repository: &str) -> Result<(), Reason> {
    if repository.is_empty() {
        return Err(Reason::NoRepository);
    }
    if repository.len() > LONGEST_REPOSITORY {
        return Err(Reason::LongRepository);
    }
    if repository.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err(Reason::UpperCase);
    }
    match repository
        .split('/')
        .find(|component| !is_path_component(component))
    {
        Some(component) => Err(Reason::Repository(component.to_owned())),
        None => Ok(()),
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_path_component(component: &str) -> bool {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let separators = component.split(word).filter(|separator| !separator.is_empty());
    component.starts_with(word)
        && component.ends_with(word)
        && separators
            .into_iter()
            .all(|s| matches!(s, "." | "_" | "__") || s.bytes().all(|b| b == b'-'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn references_are_kept_in_full() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        for (text, full) in [
            ("nginx", "index.docker.io/library/nginx"),
            ("nginx:1.27", "index.docker.io/library/nginx:1.27"),
            ("knative/helloworld", "index.docker.io/knative/helloworld"),
            ("docker.io/nginx", "index.docker.io/library/nginx"),
            ("localhost/a", "localhost/a"),
            ("localhost:5000/a/b:v1", "localhost:5000/a/b:v1"),
            ("[::1]:5000/a", "[::1]:5000/a"),
            (
                "gcr.io/knative-samples/hello_go.x--y",
                "gcr.io/knative-samples/hello_go.x--y",
            ),
            (
                &format!("ghcr.io/a/b:t@{digest}"),
                &format!("ghcr.io/a/b:t@{digest}"),
            ),
        ] {
            assert_eq!(ImageReference::parse(text).unwrap().to_string(), full, "{text}");
        }
    }

    #[test]
    fn the_parts_can_be_asked_for() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        let image = ImageReference::parse("localhost:5000/a/b:v1").unwrap();
        assert_eq!(
            (image.registry(), image.repository(), image.tag()),
            ("localhost:5000", "a/b", Some("v1"))
        );
        assert_eq!(image.identifier(), "v1");
        assert_eq!(ImageReference::parse("a").unwrap().identifier(), "latest");
        let pinned = image.with_digest(&digest).unwrap();
        assert_eq!(pinned.to_string(), format!("localhost:5000/a/b@{digest}"));
        assert_eq!(pinned.identifier(), digest);
        assert!(image.with_digest("sha256:12").is_err());
    }

    #[test]
    fn says_what_is_wrong_with_a_reference() {
        for (text, reason) in [
            ("", "it is empty"),
            ("Nginx", "the repository must be lower case"),
            ("gcr.io/", "a repository has to follow the registry"),
            ("a/../b", "\"..\" in the repository"),
            ("a//b", "\"\" in the repository"),
            ("a___b", "\"a___b\" in the repository"),
            ("a b", "\"a b\" in the repository"),
            ("nginx:", "the tag \"\""),
            ("nginx:.x", "the tag \".x\""),
            ("nginx@sha256:12", "the digest \"sha256:12\""),
            ("a.:b/c", "the registry \"a.:b\""),
        ] {
            let error = ImageReference::parse(text).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("could not parse reference: {text}: {reason}")),
                "{error}"
            );
        }
    }

    proptest! {
        #[test]
        fn the_full_form_reads_as_itself(text in "[a-z.:/@\\-_0-9]{0,30}|\\PC{0,30}") {
            if let Ok(image) = ImageReference::parse(&text) {
                prop_assert_eq!(ImageReference::parse(&image.to_string()), Ok(image));
            }
        }
    }
}
