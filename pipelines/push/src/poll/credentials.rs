//! What a ServiceAccount has for a git host: Secrets of the type `kubernetes.io/basic-auth` that an annotation
//! `tekton.dev/git-…` says are for it, as those of builds.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::{Api, Client, ResourceExt};
use reconciler::Error;
use url::Url;

use crate::web;

const ANNOTATION: &str = "tekton.dev/git-";
const TYPE: &str = "kubernetes.io/basic-auth";
/// Secrets of one account that are looked at.
const MOST: usize = 50;

/// The header that shows them; `None` if the account has nothing for this address.
pub(super) async fn for_url(
    client: &Client,
    namespace: &str,
    account: &str,
    url: &str,
) -> Result<Option<HeaderValue>, Error> {
    let Ok(url) = Url::parse(url) else {
        return Ok(None);
    };
    let account = if account.is_empty() { "default" } else { account };
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let found = accounts
        .get_opt(account)
        .await
        .map_err(|error| Error::api(format!("read ServiceAccount {namespace}/{account}"), error))?;
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let mut best: Option<(usize, HeaderValue)> = None;
    let named = found
        .into_iter()
        .flat_map(|found| found.secrets.unwrap_or_default());
    for name in named.filter_map(|reference| reference.name).take(MOST) {
        let secret = secrets
            .get_opt(&name)
            .await
            .map_err(|error| Error::api(format!("read Secret {namespace}/{name}"), error))?;
        let Some((length, value)) = secret.and_then(|secret| shown(&secret, &url)) else {
            continue;
        };
        // What is for this repository alone goes before what is for its host.
        if best.as_ref().is_none_or(|(longest, _)| length > *longest) {
            best = Some((length, value));
        }
    }
    Ok(best.map(|(_, value)| value))
}

/// The header of a Secret that is for `url`, and how long the path is that it is for.
fn shown(secret: &Secret, url: &Url) -> Option<(usize, HeaderValue)> {
    if secret.type_.as_deref() != Some(TYPE) {
        return None;
    }
    let notes = secret.annotations().iter();
    let fits = notes
        .filter(|(key, _)| key.starts_with(ANNOTATION))
        .filter_map(|(_, address)| Url::parse(address).ok())
        .filter(|address| is_for(address, url))
        .map(|address| address.path().len())
        .max()?;
    let text = |key: &str| web::text(secret.data.as_ref(), key);
    let pair = format!("{}:{}", text("username")?, text("password")?);
    let value = web::secret(&format!("Basic {}", STANDARD.encode(pair)))?;
    Some((fits, value))
}

/// Same scheme, host and port, and the path or a folder above it.
fn is_for(address: &Url, url: &Url) -> bool {
    let path = address.path().trim_end_matches('/');
    let below = url
        .path()
        .strip_prefix(path)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || rest == ".git");
    address.has_host() && address.origin() == url.origin() && below
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_shown_to_whom_they_are_for() {
        let secret = |type_: &str, address: &str| -> Secret {
            let data = json!({"username": STANDARD.encode("me\n"), "password": STANDARD.encode("word")});
            let annotations = json!({"tekton.dev/git-0": address, "other": "https://git.example.com"});
            serde_json::from_value(
                json!({"metadata": {"name": "s", "annotations": annotations}, "type": type_, "data": data}),
            )
            .unwrap()
        };
        let url = Url::parse("https://git.example.com/me/app.git").unwrap();
        for (address, fits) in [
            ("https://git.example.com", true),
            ("https://git.example.com:443/", true),
            ("https://git.example.com/me", true),
            ("https://git.example.com/me/app", true),
            ("https://git.example.com/me/ap", false),
            ("http://git.example.com", false),
            ("https://git.example.com:444", false),
            ("https://example.com", false),
            ("git.example.com", false),
        ] {
            let found = shown(&secret(TYPE, address), &url);
            assert_eq!(found.is_some(), fits, "{address}");
            if let Some((_, value)) = found {
                assert_eq!(value.as_bytes(), b"Basic bWU6d29yZA==");
                assert!(value.is_sensitive());
            }
        }
        assert!(shown(&secret("Opaque", "https://git.example.com"), &url).is_none());
        let whole = shown(&secret(TYPE, "https://git.example.com/me/app"), &url).unwrap();
        let host = shown(&secret(TYPE, "https://git.example.com"), &url).unwrap();
        assert!(whole.0 > host.0);
    }
}
