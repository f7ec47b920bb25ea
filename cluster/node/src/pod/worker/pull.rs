//! Getting a container's image: what is here first, then the registry with the pod's secrets.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use cluster_images::{Credentials, ImageError, PullPolicy};
use formats::image::ImageReference;
use k8s_openapi::api::core::v1::{Container, Pod};

use super::happening::PullFailure;
use crate::context::Context;
use crate::event::Severity;
use crate::sources::{References, Sources};

/// Fetches the image of a container. `adopted`: the container runs already and needs it for its next run only.
pub(super) async fn pull(
    context: &Context,
    pod: &Pod,
    container: &Container,
    init: bool,
    adopted: bool,
) -> Result<cluster_images::Image, PullFailure> {
    let image = container.image.clone().unwrap_or_default();
    let policy = match container.image_pull_policy.as_deref() {
        // A container that runs needs its image only for its next run.
        _ if adopted => PullPolicy::IfNotPresent,
        Some("Always") => PullPolicy::Always,
        Some("Never") => PullPolicy::Never,
        Some(_) => PullPolicy::IfNotPresent,
        None => default_policy(&image),
    };
    let note = |message: String| {
        context.events.record(
            pod,
            Some((&container.name, init)),
            Severity::Normal,
            "Pulled",
            message,
        );
    };
    let failure = |error: ImageError| PullFailure {
        reason: match &error {
            ImageError::InvalidReference { .. } => "InvalidImageName",
            ImageError::NeverPull(_) => "ErrImageNeverPull",
            ImageError::NotFound { .. } if policy == PullPolicy::Never => "ErrImageNeverPull",
            _ => "ErrImagePull",
        },
        message: crate::error_chain(&error),
    };
    if policy != PullPolicy::Always {
        // What is here needs no secrets and no slot: this is the way of every warm start.
        match context.images.pull(&image, None, PullPolicy::Never, None).await {
            Ok(found) => {
                note(format!("Container image \"{image}\" already present on machine"));
                return Ok(found);
            }
            Err(error @ ImageError::InvalidReference { .. }) => return Err(failure(error)),
            Err(error) if policy == PullPolicy::Never => return Err(failure(error)),
            Err(_) => {}
        }
    }
    let registry = ImageReference::parse(&image).map(|reference| reference.registry().to_owned());
    let _slot = context.pulls.acquire(&registry.unwrap_or_default()).await;
    let began = std::time::Instant::now();
    let credentials = credentials(context, pod, &image).await;
    match context.images.pull(&image, credentials, policy, None).await {
        Ok(found) => {
            note(format!(
                "Successfully pulled image \"{image}\" in {}ms",
                began.elapsed().as_millis()
            ));
            Ok(found)
        }
        Err(error) => Err(failure(error)),
    }
}

/// `Always` for `latest`, as the API server defaults it.
fn default_policy(image: &str) -> PullPolicy {
    match ImageReference::parse(image) {
        Ok(reference)
            if reference.digest().is_none() && reference.tag().is_none_or(|tag| tag == "latest") =>
        {
            PullPolicy::Always
        }
        _ => PullPolicy::IfNotPresent,
    }
}

/// The entry for the image's registry in the pod's pull secrets.
async fn credentials(context: &Context, pod: &Pod, image: &str) -> Option<Credentials> {
    let secrets: Vec<String> = pod
        .spec
        .as_ref()?
        .image_pull_secrets
        .iter()
        .flatten()
        .map(|secret| secret.name.clone())
        .collect();
    if secrets.is_empty() {
        return None;
    }
    let registry = ImageReference::parse(image).ok()?.registry().to_owned();
    let mut references = References::default();
    secrets.iter().for_each(|name| references.secret(name));
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let sources = Sources::fetch(&context.client, namespace, &references)
        .await
        .ok()?;
    secrets
        .iter()
        .filter_map(|name| sources.secret(name))
        .find_map(|secret| {
            secret
                .get(".dockerconfigjson")
                .or_else(|| secret.get(".dockercfg"))
                .and_then(|text| login(text, &registry))
        })
}

/// Reads a docker configuration; keys may carry a scheme and a path.
fn login(text: &[u8], registry: &str) -> Option<Credentials> {
    let config: serde_json::Value = serde_json::from_slice(text).ok()?;
    let entries = config.get("auths").unwrap_or(&config).as_object()?;
    let host = |key: &str| {
        let key = key.trim_start_matches("https://").trim_start_matches("http://");
        key.split('/').next().unwrap_or_default().to_owned()
    };
    let (_, entry) = entries.iter().find(|(key, _)| host(key) == registry)?;
    let field = |name: &str| {
        entry
            .get(name)
            .and_then(serde_json::Value::as_str)
            .map(str::to_owned)
    };
    if let (Some(username), Some(password)) = (field("username"), field("password")) {
        return Some(Credentials { username, password });
    }
    let decoded = String::from_utf8(BASE64_STANDARD.decode(field("auth")?).ok()?).ok()?;
    let (username, password) = decoded.split_once(':')?;
    Some(Credentials {
        username: username.to_owned(),
        password: password.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_are_found_by_registry() {
        let config = br#"{"auths": {"https://index.docker.io/v1/": {"auth": "dXNlcjpwYTpzcw=="},
                          "ghcr.io": {"username": "u", "password": "p"}}}"#;
        let found = |registry: &str| login(config, registry).map(|login| (login.username, login.password));
        assert_eq!(found("index.docker.io"), Some(("user".into(), "pa:ss".into())));
        assert_eq!(found("ghcr.io"), Some(("u".into(), "p".into())));
        assert_eq!(found("quay.io"), None);
        assert!(login(b"nonsense", "ghcr.io").is_none());
    }

    #[test]
    fn latest_is_always_asked_for() {
        assert_eq!(default_policy("nginx"), PullPolicy::Always);
        assert_eq!(default_policy("nginx:latest"), PullPolicy::Always);
        assert_eq!(default_policy("nginx:1.29"), PullPolicy::IfNotPresent);
        assert_eq!(
            default_policy(&format!("nginx@sha256:{}", "a".repeat(64))),
            PullPolicy::IfNotPresent
        );
    }
}
