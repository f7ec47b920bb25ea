//! Service account tokens for projected volumes, by TokenRequest.

use std::collections::BTreeMap;
use std::fmt;

use futures::future::try_join_all;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount, ServiceAccountTokenProjection};
use kube::api::PostParams;
use kube::{Api, Client};

use super::payload::Projected;

/// Validity when the volume does not say (upstream: one hour).
const DEFAULT_SECONDS: i64 = 3600;

/// The tokens of one pod, by what they are for.
#[derive(Clone, Default)]
pub(super) struct Tokens {
    granted: BTreeMap<Purpose, Token>,
}

#[derive(Clone)]
struct Token {
    text: String,
    renew_at: Timestamp,
}

/// What tokens differ in. The audience is empty for that of the API server.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Purpose {
    audience: String,
    seconds: i64,
}

impl Purpose {
    fn of(projection: &ServiceAccountTokenProjection) -> Self {
        Self {
            audience: projection.audience.clone().unwrap_or_default(),
            seconds: projection.expiration_seconds.unwrap_or(DEFAULT_SECONDS),
        }
    }
}

impl Tokens {
    /// When the first of them has to be renewed.
    pub(super) fn renew_at(&self) -> Option<Timestamp> {
        self.granted.values().map(|token| token.renew_at).min()
    }

    pub(super) fn get(&self, projection: &ServiceAccountTokenProjection) -> Option<&str> {
        let token = self.granted.get(&Purpose::of(projection))?;
        Some(&token.text)
    }

    /// Those that need no renewal yet.
    fn fresh(&self, now: Timestamp) -> Self {
        let fresh = self.granted.iter().filter(|(_, token)| now < token.renew_at);
        Self {
            granted: fresh
                .map(|(purpose, token)| (purpose.clone(), token.clone()))
                .collect(),
        }
    }

    #[cfg(test)]
    pub(super) fn with(
        mut self,
        projection: &ServiceAccountTokenProjection,
        text: &str,
        renew_at: Timestamp,
    ) -> Self {
        let text = text.to_owned();
        self.granted
            .insert(Purpose::of(projection), Token { text, renew_at });
        self
    }
}

/// Whoever logs them must not log what they say.
impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens")
            .field("count", &self.granted.len())
            .finish_non_exhaustive()
    }
}

/// Every token that the volumes need: those that are held and still fresh, and the others asked for, all at once.
pub(super) async fn request(
    client: &Client,
    pod: &Pod,
    volumes: &[Projected<'_>],
    held: &Tokens,
) -> Result<Tokens, kube::Error> {
    let spec = pod.spec.as_ref();
    let account = spec
        .and_then(|spec| spec.service_account_name.as_deref())
        .unwrap_or("default");
    let accounts: Api<ServiceAccount> = Api::namespaced(
        client.clone(),
        pod.metadata.namespace.as_deref().unwrap_or_default(),
    );
    let now = Timestamp::now();
    let mut tokens = held.fresh(now);
    let mut wanted: Vec<Purpose> = volumes
        .iter()
        .flat_map(Projected::tokens)
        .map(Purpose::of)
        .collect();
    wanted.sort();
    wanted.dedup();
    wanted.retain(|purpose| !tokens.granted.contains_key(purpose));
    let requests = wanted.iter().map(|purpose| {
        let request = TokenRequest {
            spec: Some(TokenRequestSpec {
                audiences: Some(&purpose.audience)
                    .filter(|audience| !audience.is_empty())
                    .map(|audience| vec![audience.clone()]),
                expiration_seconds: Some(purpose.seconds),
                bound_object_ref: Some(BoundObjectReference {
                    api_version: Some("v1".to_owned()),
                    kind: Some("Pod".to_owned()),
                    name: pod.metadata.name.clone(),
                    uid: pod.metadata.uid.clone(),
                }),
                ..TokenRequestSpec::default()
            }),
            ..TokenRequest::default()
        };
        let accounts = accounts.clone();
        async move {
            accounts
                .create_token_request(account, &PostParams::default(), &request)
                .await
        }
    });
    let granted = try_join_all(requests).await?;
    for (purpose, granted) in wanted.into_iter().zip(granted) {
        let status = granted.status.unwrap_or_default();
        let (Some(expires), Some(text)) = (status.expiration_timestamp, status.token) else {
            continue;
        };
        let renew_at = renewal(now, expires.0);
        tokens.granted.insert(purpose, Token { text, renew_at });
    }
    Ok(tokens)
}

/// After 80 % of a token's life, or 24 hours if that is sooner (upstream: pkg/kubelet/token).
fn renewal(now: Timestamp, expires: Timestamp) -> Timestamp {
    let life = expires.duration_since(now);
    let most = SignedDuration::from_hours(24);
    now + (life * 4 / 5).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn tokens_are_renewed_before_they_expire() {
        assert_eq!(renewal(at(1000), at(2000)), at(1800));
        assert_eq!(renewal(at(1000), at(401_000)), at(87_400));
    }

    #[test]
    fn tokens_are_kept_until_they_have_to_be_renewed() {
        let of = |audience: &str, seconds| ServiceAccountTokenProjection {
            audience: Some(audience.to_owned()),
            expiration_seconds: Some(seconds),
            ..ServiceAccountTokenProjection::default()
        };
        let (api, other) = (of("", 3607), of("other", 3600));
        let tokens = Tokens::default()
            .with(&api, "first", at(100))
            .with(&other, "second", at(200));
        assert_eq!(tokens.renew_at(), Some(at(100)));
        let later = tokens.fresh(at(100));
        assert_eq!((later.get(&api), later.get(&other)), (None, Some("second")));
        assert_eq!(tokens.fresh(at(99)).get(&api), Some("first"));
        // A shorter life asked for is another token.
        assert_eq!(tokens.get(&of("", 600)), None);
        let shown = format!("{tokens:?}");
        assert!(!shown.contains("first"), "{shown}");
    }
}
