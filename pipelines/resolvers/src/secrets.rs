//! Values of secrets, of the namespace that asks.

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};

use crate::question::Failure;

/// The text at `key` of the secret `name`.
///
/// # Errors
/// If there is none; values are never told.
pub(crate) async fn value(
    client: &Client,
    namespace: &str,
    name: &str,
    key: &str,
) -> Result<String, Failure> {
    if !crate::cluster::is_name(name) {
        return Failure::never(format!("{name:?} is no name of a secret"));
    }
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let secret = match secrets.get_opt(name).await {
        Ok(Some(secret)) => secret,
        Ok(None) => {
            return Failure::never(format!(
                "there is no secret {name:?} in the namespace {namespace}"
            ));
        }
        Err(error) => {
            tracing::warn!(%error, "Secret cannot be read");
            return Failure::now(format!("the secret {name:?} cannot be read"));
        }
    };
    let found = secret.data.as_ref().and_then(|data| data.get(key));
    let Some(bytes) = found else {
        return Failure::never(format!("the secret {name:?} has no key {key:?}"));
    };
    match std::str::from_utf8(&bytes.0) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(_) => Failure::never(format!("the value at {key:?} of the secret {name:?} is no text")),
    }
}
