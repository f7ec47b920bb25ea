//! What a source keeps in Secrets: its token for the API, and the secret with which GitHub signs.

use crds::sources::{GitHubSourceSpec, SecretValueFromSource};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use reconciler::{Error, Key};

use crate::shared::Shared;
use crate::tracker::{Kind, Referrer, Target, TrackError};

/// Both values. Nothing prints it.
pub(super) struct Secrets {
    pub access_token: String,
    pub secret_token: String,
    /// UID and version of the Secret with the latter.
    pub version: String,
    /// Likewise, of the former.
    pub access_version: String,
}

/// Why there are none; the sentence ends in a condition.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Missing {
    pub reason: &'static str,
    pub message: String,
    /// Will nothing wake the source when they appear?
    pub look_again: bool,
}

/// A value, and UID and version of the Secret that it is from.
type Value = (String, String);

/// Reads both. From now on `referrer` is woken when one of the Secrets changes.
pub(super) async fn read(
    shared: &Shared,
    namespace: &str,
    spec: &GitHubSourceSpec,
    referrer: &Referrer,
) -> Result<Result<Secrets, Missing>, Error> {
    let (access, access_version) =
        match value(shared, namespace, spec.access_token.as_ref(), referrer).await? {
            Ok(value) => value,
            Err(problem) => return Ok(Err(problem.missing("AccessTokenNotFound"))),
        };
    let (secret_token, version) = match value(shared, namespace, spec.secret_token.as_ref(), referrer).await?
    {
        Ok(value) => value,
        Err(problem) => return Ok(Err(problem.missing("SecretTokenNotFound"))),
    };
    Ok(Ok(Secrets {
        // Files end in line feeds that no token has.
        access_token: access.trim().to_owned(),
        secret_token,
        version,
        access_version,
    }))
}

/// The token for the API alone, if it is there: for taking leave.
pub(super) async fn access_token(
    shared: &Shared,
    namespace: &str,
    spec: &GitHubSourceSpec,
) -> Result<Option<String>, Error> {
    let Some((name, key)) = named(spec.access_token.as_ref()) else {
        return Ok(None);
    };
    let Some(secret) = get(shared, namespace, name).await? else {
        return Ok(None);
    };
    Ok(entry(&secret, key).ok().map(|value| value.trim().to_owned()))
}

#[derive(Debug)]
enum Problem {
    NotNamed,
    NoSecret(String),
    NoKey(String),
    Untracked(TrackError),
}

impl Problem {
    fn missing(self, reason: &'static str) -> Missing {
        Missing {
            reason,
            look_again: matches!(self, Self::Untracked(_)),
            message: match self {
                Self::NotNamed => "The source does not name a Secret and a key.".to_owned(),
                Self::NoSecret(name) => format!("secret {name:?} not found"),
                Self::NoKey(text) => text,
                Self::Untracked(error) => error.to_string(),
            },
        }
    }
}

fn named(value: Option<&SecretValueFromSource>) -> Option<(&str, &str)> {
    let reference = value?.secret_key_ref.as_ref()?;
    Some((reference.name.as_str(), reference.key.as_str()))
        .filter(|(name, key)| !name.is_empty() && !key.is_empty())
}

async fn value(
    shared: &Shared,
    namespace: &str,
    value: Option<&SecretValueFromSource>,
    referrer: &Referrer,
) -> Result<Result<Value, Problem>, Error> {
    let Some((name, key)) = named(value) else {
        return Ok(Err(Problem::NotNamed));
    };
    let target = Target {
        kind: Kind::new("v1", "Secret"),
        key: Key::new(namespace, name),
    };
    // The tracker keeps no data; it wakes us when there is another.
    if let Err(error) = shared.tracker.observe(&target, referrer).await {
        return Ok(Err(Problem::Untracked(error)));
    }
    let Some(secret) = get(shared, namespace, name).await? else {
        return Ok(Err(Problem::NoSecret(name.to_owned())));
    };
    let meta = &secret.metadata;
    let version = format!(
        "{}/{}",
        meta.uid.as_deref().unwrap_or_default(),
        meta.resource_version.as_deref().unwrap_or_default()
    );
    Ok(entry(&secret, key)
        .map(|value| (value, version))
        .map_err(|what| Problem::NoKey(format!("secret {name:?} {what}"))))
}

async fn get(shared: &Shared, namespace: &str, name: &str) -> Result<Option<Secret>, Error> {
    Api::<Secret>::namespaced(shared.client.clone(), namespace)
        .get_opt(name)
        .await
        .map_err(|error| Error::api(format!("get Secret {namespace}/{name}"), error))
}

fn entry(secret: &Secret, key: &str) -> Result<String, String> {
    let data = secret.data.as_ref().and_then(|data| data.get(key));
    let data = data.ok_or_else(|| format!("has no key {key:?}"))?;
    match String::from_utf8(data.0.clone()) {
        Ok(text) if text.trim().is_empty() => Err(format!("has nothing at {key:?}")),
        Ok(text) => Ok(text),
        Err(_) => Err(format!("has no text at {key:?}")),
    }
}
