//! The secrets with which GitHub signs, as keys.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crds::sources::GitHubSource;
use informer::{Cache, Key};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use parking_lot::Mutex;
use ring::hmac;

use super::answer::Refusal;

/// A key older than this is read again. Until then deliveries that were signed before the Secret changed are taken.
const FRESH: Duration = Duration::from_secs(30);
/// A signature that does not fit has the key read again, in case the Secret has changed, but no more often than this.
const PAUSE: Duration = Duration::from_secs(2);

pub(super) struct Keys {
    client: kube::Client,
    sources: Cache<GitHubSource>,
    known: Mutex<HashMap<Key, Known>>,
}

#[derive(Clone)]
struct Known {
    /// Name of the Secret, and its entry.
    place: (String, String),
    key: Arc<hmac::Key>,
    read: Instant,
}

impl Keys {
    pub(super) fn new(client: kube::Client, sources: Cache<GitHubSource>) -> Self {
        Self {
            client,
            sources,
            known: Mutex::default(),
        }
    }

    /// Was `body` signed with the secret of `source`? Compared in constant time.
    pub(super) async fn check(
        &self,
        source: &GitHubSource,
        body: &[u8],
        signature: &[u8],
    ) -> Result<(), Refusal> {
        let reference = source
            .spec
            .secret_token
            .as_ref()
            .and_then(|value| value.secret_key_ref.as_ref());
        let place = reference
            .map(|reference| (reference.name.clone(), reference.key.clone()))
            .ok_or(Refusal::NoSecret)?;
        let at = Key::of(source);
        let known = self
            .known
            .lock()
            .get(&at)
            .filter(|known| known.place == place)
            .cloned();
        let stale = match &known {
            Some(known) => {
                let fits = hmac::verify(&known.key, body, signature).is_ok();
                let age = known.read.elapsed();
                if age < FRESH && (fits || age < PAUSE) {
                    return if fits { Ok(()) } else { Err(Refusal::Forged) };
                }
                Some(fits)
            }
            None => None,
        };
        let fits = match self.read(&at, place).await {
            Ok(key) => hmac::verify(&key, body, signature).is_ok(),
            // What is known goes on while the API cannot be asked.
            Err(Refusal::SecretUnreadable) => stale.ok_or(Refusal::SecretUnreadable)?,
            Err(refusal) => return Err(refusal),
        };
        if fits { Ok(()) } else { Err(Refusal::Forged) }
    }

    async fn read(&self, at: &Key, place: (String, String)) -> Result<Arc<hmac::Key>, Refusal> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &at.namespace);
        let secret = secrets.get_opt(&place.0).await.map_err(|error| {
            tracing::warn!(%error, namespace = %at.namespace, name = %at.name, "The secret of a GitHubSource cannot be read");
            Refusal::SecretUnreadable
        })?;
        let value = secret
            .and_then(|secret| secret.data?.remove(&place.1))
            .map(|value| value.0);
        let mut known = self.known.lock();
        // An empty key would let everybody sign.
        let Some(value) = value.filter(|value| !value.is_empty()) else {
            known.remove(at);
            return Err(Refusal::NoSecret);
        };
        let key = Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &value));
        if known.len() > self.sources.len() {
            known.retain(|at, _| self.sources.get(at).is_some());
        }
        known.insert(
            at.clone(),
            Known {
                place,
                key: key.clone(),
                read: Instant::now(),
            },
        );
        Ok(key)
    }
}
