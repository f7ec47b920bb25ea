//! Tokens that events are sent with.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use event_client::{Account, Credentials, Shown};
use http::HeaderValue;
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use kube::api::PostParams;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

/// Credentials that are kept although nobody holds them at the moment.
const MOST: usize = 4_096;
/// Life of a token.
const LIFE: Duration = Duration::from_secs(3_600);
/// Before its end another one is asked for.
const MARGIN: Duration = Duration::from_secs(300);
/// Longest wait for the API server.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Between two attempts to replace a token that is still good, or that a receiver refused.
const PAUSE: Duration = Duration::from_secs(10);

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
enum TokenError {
    #[error("no token for ServiceAccount {account}: {reason}")]
    Request { account: String, reason: String },
    #[error("no token for ServiceAccount {0}: the API server does not answer")]
    Timeout(String),
}

/// Gets tokens, and keeps them. Cheap to clone.
#[derive(Clone)]
pub struct Tokens(Arc<Inner>);

struct Inner {
    client: kube::Client,
    known: Mutex<HashMap<(Account, String), Arc<Credential>>>,
}

impl Tokens {
    pub fn new(client: kube::Client) -> Self {
        Self(Arc::new(Inner {
            client,
            known: Mutex::default(),
        }))
    }

    fn credential(&self, account: &Account, audience: &str) -> Arc<Credential> {
        let key = (account.clone(), audience.to_owned());
        let mut known = self.0.known.lock();
        if let Some(credential) = known.get(&key) {
            return credential.clone();
        }
        if known.len() >= MOST {
            known.retain(|_, credential| Arc::strong_count(credential) > 1);
        }
        let credential = Arc::new(Credential {
            client: self.0.client.clone(),
            account: account.clone(),
            audience: key.1.clone(),
            held: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
        });
        // Those in use are as many as there are triggers and sources; one beyond the bound is kept by its user alone.
        if known.len() < MOST {
            known.insert(key, credential.clone());
        }
        credential
    }

    /// Credentials that are kept, of at most 4096.
    pub fn len(&self) -> usize {
        self.0.known.lock().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Credentials for Tokens {
    /// Nothing is asked for yet.
    fn of(&self, account: &Account, audience: &str) -> Arc<dyn event_client::Credential> {
        self.credential(account, audience)
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("len", &self.len()).finish()
    }
}

/// What one account shows to one receiver.
struct Credential {
    client: kube::Client,
    account: Account,
    audience: String,
    held: Mutex<Option<Held>>,
    /// One request for a token at a time.
    asking: tokio::sync::Mutex<()>,
}

struct Held {
    /// `Bearer <token>`
    header: HeaderValue,
    since: Instant,
    refresh: Timestamp,
    expires: Timestamp,
}

impl event_client::Credential for Credential {
    fn header(&self) -> Shown<'_> {
        Box::pin(async {
            match self.fresh() {
                Some(header) => Ok(header),
                // Rare, and large: not to be carried by every request.
                None => Box::pin(self.refresh()).await.map_err(|error| error.to_string()),
            }
        })
    }

    /// A token may end before its time, with its account or with the key that signed it.
    fn refused(&self, header: &HeaderValue) -> bool {
        let mut held = self.held.lock();
        match &*held {
            Some(token) if token.header == *header => {
                let old = token.since.elapsed() >= PAUSE;
                if old {
                    *held = None;
                }
                old
            }
            // Another request was refused, too, and it is replaced already.
            _ => true,
        }
    }
}

impl Credential {
    fn fresh(&self) -> Option<HeaderValue> {
        let held = self.held.lock();
        let held = held.as_ref()?;
        (Timestamp::now() < held.refresh).then(|| held.header.clone())
    }

    async fn refresh(&self) -> Result<HeaderValue, TokenError> {
        let _one = self.asking.lock().await;
        if let Some(header) = self.fresh() {
            return Ok(header);
        }
        match self.ask().await {
            Ok(held) => {
                let header = held.header.clone();
                *self.held.lock() = Some(held);
                Ok(header)
            }
            Err(error) => {
                let now = Timestamp::now();
                let mut held = self.held.lock();
                match held.as_mut().filter(|held| now < held.expires) {
                    Some(old) => {
                        tracing::warn!(%error, "A token is not renewed yet");
                        old.refresh = now.checked_add(PAUSE).unwrap_or(now);
                        Ok(old.header.clone())
                    }
                    None => Err(error),
                }
            }
        }
    }

    async fn ask(&self) -> Result<Held, TokenError> {
        let name = || format!("{}/{}", self.account.namespace, self.account.name);
        let failed = |reason: String| TokenError::Request {
            account: name(),
            reason,
        };
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), &self.account.namespace);
        let request = TokenRequest {
            spec: Some(TokenRequestSpec {
                audiences: Some(vec![self.audience.clone()]),
                expiration_seconds: i64::try_from(LIFE.as_secs()).ok(),
                ..TokenRequestSpec::default()
            }),
            ..TokenRequest::default()
        };
        let params = PostParams::default();
        let asking = accounts.create_token_request(&self.account.name, &params, &request);
        let answer = timeout(TIMEOUT, asking)
            .await
            .map_err(|_| TokenError::Timeout(name()))?
            .map_err(|error| failed(error.to_string()))?;
        let status = answer
            .status
            .ok_or_else(|| failed("the API server left it out".to_owned()))?;
        let mut header = HeaderValue::try_from(format!("Bearer {}", status.token.unwrap_or_default()))
            .map_err(|error| failed(error.to_string()))?;
        header.set_sensitive(true);
        // Of a server that does not say: as if it were as long as was asked for.
        let now = Timestamp::now();
        let asked = now.checked_add(LIFE).unwrap_or(now);
        let expires = status.expiration_timestamp.map_or(asked, |at| at.0);
        Ok(Held {
            header,
            since: Instant::now(),
            refresh: refresh_at(now, expires),
            expires,
        })
    }
}

/// Five minutes before its end; of a token that lives less than ten, after half of its life.
fn refresh_at(now: Timestamp, expires: Timestamp) -> Timestamp {
    let left = Duration::try_from(expires.duration_since(now)).unwrap_or_default();
    let stays = left.saturating_sub(MARGIN).max(left / 2);
    now.checked_add(stays).unwrap_or(now)
}

#[cfg(test)]
mod tests;
