//! The secrets that git hosts sign with.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crds::spindrift::{Repository, SecretKey};
use informer::{Cache, Key};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use parking_lot::Mutex;

use super::answer::Refusal;
use super::signature::Signature;

/// Secrets older than this are read again. Until then deliveries that were signed before the Secret changed are taken.
const FRESH: Duration = Duration::from_secs(30);
/// A signature that does not fit has the Secret read again, in case it has changed, but no more often than this.
const PAUSE: Duration = Duration::from_secs(2);
/// Secrets of one Repository: the present one, and those that it is changed from and to.
const MOST: usize = 10;

pub(super) struct Keys {
    client: kube::Client,
    repositories: Cache<Repository>,
    known: Mutex<HashMap<Key, Known>>,
}

#[derive(Clone)]
struct Known {
    place: SecretKey,
    secrets: Arc<[Vec<u8>]>,
    read: Instant,
}

impl Keys {
    pub(super) fn new(client: kube::Client, repositories: Cache<Repository>) -> Self {
        Self {
            client,
            repositories,
            known: Mutex::default(),
        }
    }

    /// May who sent `body` tell of pushes?
    pub(super) async fn check(
        &self,
        repository: &Repository,
        body: &[u8],
        signature: Option<&Signature>,
    ) -> Result<(), Refusal> {
        let webhook = &repository.spec.webhook;
        let (signature, place) = match (signature, &webhook.secret_ref) {
            (None, _) if webhook.allow_unsigned => return Ok(()),
            (None, _) => return Err(Refusal::Unsigned),
            (Some(_), None) if webhook.allow_unsigned => return Ok(()),
            (Some(_), None) => return Err(Refusal::NoSecret),
            (Some(signature), Some(place)) => (signature, place),
        };
        let at = Key::of(repository);
        let known = self
            .known
            .lock()
            .get(&at)
            .filter(|known| known.place == *place)
            .cloned();
        let stale = match &known {
            Some(known) => {
                let fits = any_fits(&known.secrets, signature, body);
                let age = known.read.elapsed();
                if age < FRESH && (fits || age < PAUSE) {
                    return if fits { Ok(()) } else { Err(Refusal::Forged) };
                }
                Some(fits)
            }
            None => None,
        };
        let fits = match self.read(&at, place).await {
            Ok(secrets) => any_fits(&secrets, signature, body),
            // What is known goes on while the API cannot be asked.
            Err(Refusal::SecretUnreadable) => stale.ok_or(Refusal::SecretUnreadable)?,
            Err(refusal) => return Err(refusal),
        };
        if fits { Ok(()) } else { Err(Refusal::Forged) }
    }

    async fn read(&self, at: &Key, place: &SecretKey) -> Result<Arc<[Vec<u8>]>, Refusal> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &at.namespace);
        let secret = api.get_opt(&place.name).await.map_err(|error| {
            tracing::warn!(%error, namespace = %at.namespace, name = %at.name, "The secret of a Repository cannot be read");
            Refusal::SecretUnreadable
        })?;
        let secrets = secret
            .map(|secret| secrets(&secret, &place.key))
            .unwrap_or_default();
        let mut known = self.known.lock();
        if secrets.is_empty() {
            known.remove(at);
            return Err(Refusal::NoSecret);
        }
        let secrets: Arc<[Vec<u8>]> = secrets.into();
        if known.len() > self.repositories.len() {
            known.retain(|at, _| self.repositories.get(at).is_some());
        }
        known.insert(
            at.clone(),
            Known {
                place: place.clone(),
                secrets: secrets.clone(),
                read: Instant::now(),
            },
        );
        Ok(secrets)
    }
}

/// All are tried, so that the time does not tell which one fits.
fn any_fits(secrets: &[Vec<u8>], signature: &Signature, body: &[u8]) -> bool {
    secrets
        .iter()
        .fold(false, |fits, secret| signature.fits(secret, body) | fits)
}

/// The lines of a key, or of all keys. Empty ones would let everybody sign.
fn secrets(secret: &Secret, key: &str) -> Vec<Vec<u8>> {
    let data = secret.data.iter().flatten();
    data.filter(|(name, _)| key.is_empty() || name.as_str() == key)
        .flat_map(|(_, value)| value.0.split(|byte| *byte == b'\n'))
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line).to_vec())
        .filter(|line| !line.is_empty())
        .take(MOST)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use k8s_openapi::ByteString;

    use super::*;

    #[test]
    fn each_line_of_a_key_is_a_secret() {
        let data = [("old", "x"), ("secret", "a\r\nb\n\n")];
        let secret = Secret {
            data: Some(
                data.map(|(key, value)| (key.to_owned(), ByteString(value.as_bytes().to_vec())))
                    .into_iter()
                    .collect::<BTreeMap<_, _>>(),
            ),
            ..Secret::default()
        };
        let found = |key| {
            let found = secrets(&secret, key).into_iter();
            found
                .map(|line| String::from_utf8(line).unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(found("secret"), ["a", "b"]);
        assert_eq!(found(""), ["x", "a", "b"]);
        assert!(found("other").is_empty());
    }
}
