//! What a webhook is to be, and where it is: pure decisions.

use crds::sources::{GitHubSource, GitHubSourceStatus};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use crate::shared::{name_of, namespace_of};

/// What is wrong with where a source points.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PlaceError {
    #[error("spec.githubAPIURL {0:?} is no http:// or https:// URL of a host")]
    Api(String),
    #[error("spec.ownerAndRepository {0:?} is neither owner/repository nor an organisation")]
    Repository(String),
}

/// The URL of the webhooks of a repository or an organisation, at an API of GitHub.
pub(super) fn place(api: &str, owner_and_repository: &str) -> Result<String, PlaceError> {
    let wrong = || PlaceError::Api(api.to_owned());
    let mut base = Url::parse(api).map_err(|_| wrong())?;
    let host = base.host_str().unwrap_or_default().to_owned();
    if !matches!(base.scheme(), "http" | "https")
        || host.is_empty()
        || !base.username().is_empty()
        || base.password().is_some()
    {
        return Err(wrong());
    }
    let repository = || PlaceError::Repository(owner_and_repository.to_owned());
    let parts: Vec<&str> = owner_and_repository.split('/').collect();
    if !parts.iter().all(|part| is_name(part)) {
        return Err(repository());
    }
    let rest: Vec<&str> = match parts.as_slice() {
        [owner, name] => vec!["repos", owner, name, "hooks"],
        [owner] => vec!["orgs", owner, "hooks"],
        _ => return Err(repository()),
    };
    // GitHub's own APIs have a host of their own; installations serve theirs beside the pages.
    let own_host = host.starts_with("api.") || host.contains(".api.");
    let path = base.path().trim_end_matches('/').to_owned();
    let path = match own_host || path.ends_with("/api/v3") {
        true => path,
        false => format!("{path}/api/v3"),
    };
    base.set_path(&path);
    base.set_query(None);
    base.set_fragment(None);
    base.path_segments_mut()
        .map_err(|()| wrong())?
        .pop_if_empty()
        .extend(rest);
    Ok(base.into())
}

/// Names of owners and repositories.
fn is_name(part: &str) -> bool {
    !matches!(part, "" | "." | "..")
        && part
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// The URL that the webhook of a source calls. `external` is where the receiver is reached from outside.
pub(super) fn address(external: &str, source: &GitHubSource) -> Option<String> {
    let mut url = Url::parse(external).ok()?;
    if source.spec.secure == Some(true) {
        url.set_scheme("https").ok()?;
    }
    url.path_segments_mut()
        .ok()?
        .pop_if_empty()
        .extend([namespace_of(&source.metadata), name_of(&source.metadata)]);
    Some(url.into())
}

/// A webhook as it was set up. It is kept in the status, so no secret is in it: only which version of which Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hook {
    /// The URL of the webhooks that it is one of.
    pub hooks: String,
    /// The URL that it calls.
    pub url: String,
    pub events: Vec<String>,
    /// The Secret with which it signs, by UID and version.
    pub secret: String,
}

impl Hook {
    /// What the status says was set up.
    pub(super) fn recorded(status: Option<&GitHubSourceStatus>) -> Option<Self> {
        let annotations = status?.annotations.as_ref()?;
        serde_json::from_str(annotations.get(crds::annotations::WEBHOOK)?).ok()
    }

    /// For the status.
    pub(super) fn record(&self) -> String {
        json!({ "hooks": self.hooks, "url": self.url, "events": self.events, "secret": self.secret })
            .to_string()
    }

    /// The body of a request that makes it so.
    pub(super) fn body(&self, secret: &str) -> Value {
        json!({
            "name": "web",
            "active": true,
            "events": self.events,
            "config": { "url": self.url, "content_type": "json", "secret": secret, "insecure_ssl": "0" },
        })
    }
}

/// Are both at the same API? Only then may a token for the one be shown to the other.
pub(super) fn same_api(one: &str, other: &str) -> bool {
    match (Url::parse(one), Url::parse(other)) {
        (Ok(one), Ok(other)) => one.origin() == other.origin(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn webhooks_are_at_the_api_of_the_repository_or_organisation() {
        for (api, name, expected) in [
            (
                "https://api.github.com/",
                "me/web",
                "https://api.github.com/repos/me/web/hooks",
            ),
            (
                "https://api.github.com",
                "corp",
                "https://api.github.com/orgs/corp/hooks",
            ),
            (
                "https://api.corp.ghe.com",
                "a/b",
                "https://api.corp.ghe.com/repos/a/b/hooks",
            ),
            (
                "https://ghe.example.com",
                "a/b.c",
                "https://ghe.example.com/api/v3/repos/a/b.c/hooks",
            ),
            ("https://ghe/api/v3/", "a/b", "https://ghe/api/v3/repos/a/b/hooks"),
            (
                "http://10.0.0.1:8080/git/?x#y",
                "a/b",
                "http://10.0.0.1:8080/git/api/v3/repos/a/b/hooks",
            ),
        ] {
            assert_eq!(place(api, name).as_deref(), Ok(expected));
        }
        for api in [
            "",
            "api.github.com",
            "ftp://x",
            "https://user@x/",
            "https://u:p@x",
            "file:///x",
        ] {
            assert_eq!(place(api, "a/b"), Err(PlaceError::Api(api.to_owned())));
        }
        for name in [
            "", "/", "a/", "/b", "a/b/c", "a/..", "../b", "a b/c", "a/b?x", "a/%2e", "ä/b",
        ] {
            let wrong = PlaceError::Repository(name.to_owned());
            assert_eq!(place("https://api.github.com/", name), Err(wrong));
        }
    }

    #[test]
    fn the_address_names_the_source() {
        let source = |secure: Option<bool>| -> GitHubSource {
            serde_json::from_value(json!({
                "apiVersion": "sources.knative.dev/v1alpha1", "kind": "GitHubSource",
                "metadata": {"name": "web", "namespace": "ns"}, "spec": {"secure": secure},
            }))
            .unwrap()
        };
        for (external, secure, expected) in [
            ("http://h.example.com", None, Some("http://h.example.com/ns/web")),
            (
                "http://h.example.com:8080/",
                Some(false),
                Some("http://h.example.com:8080/ns/web"),
            ),
            (
                "http://h.example.com/in",
                Some(true),
                Some("https://h.example.com/in/ns/web"),
            ),
            (
                "https://h.example.com",
                None,
                Some("https://h.example.com/ns/web"),
            ),
            ("mailto:x", None, None),
            ("h", None, None),
        ] {
            assert_eq!(
                address(external, &source(secure)).as_deref(),
                expected,
                "{external}"
            );
        }
    }

    #[test]
    fn what_was_set_up_reads_back() {
        let hook = Hook {
            hooks: "https://x/hooks".to_owned(),
            url: "http://y".to_owned(),
            events: vec!["push".to_owned()],
            secret: "uid/7".to_owned(),
        };
        let mut status = GitHubSourceStatus::default();
        assert_eq!(Hook::recorded(Some(&status)), None);
        let annotation = (crds::annotations::WEBHOOK.to_owned(), hook.record());
        status.annotations = Some([annotation].into());
        assert_eq!(Hook::recorded(Some(&status)), Some(hook));
        status.annotations = Some([(crds::annotations::WEBHOOK.to_owned(), "{".to_owned())].into());
        assert_eq!(Hook::recorded(Some(&status)), None);
    }

    #[test]
    fn tokens_stay_with_their_api() {
        assert!(same_api(
            "https://api.github.com/repos/a/b/hooks",
            "https://api.github.com/orgs/c/hooks"
        ));
        assert!(!same_api("https://api.github.com/", "http://api.github.com/"));
        assert!(!same_api(
            "https://api.github.com/",
            "https://api.github.com:8443/"
        ));
        assert!(!same_api("", ""));
    }
}
