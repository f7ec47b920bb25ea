//! Service account tokens for projected volumes, by TokenRequest.

use futures::future::try_join_all;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::api::PostParams;
use kube::{Api, Client};

use super::payload::{Projected, Tokens};

/// Validity when the volume does not say (upstream: one hour).
const DEFAULT_SECONDS: i64 = 3600;

/// Asks for every token that the volumes need, all at once.
pub(super) async fn request(
    client: &Client,
    pod: &Pod,
    volumes: &[Projected<'_>],
) -> Result<Tokens, kube::Error> {
    let spec = pod.spec.as_ref();
    let account = spec
        .and_then(|spec| spec.service_account_name.as_deref())
        .unwrap_or("default");
    let accounts: Api<ServiceAccount> = Api::namespaced(
        client.clone(),
        pod.metadata.namespace.as_deref().unwrap_or_default(),
    );
    let wanted: Vec<_> = volumes.iter().flat_map(Projected::tokens).collect();
    let now = Timestamp::now();
    let requests = wanted.iter().map(|token| {
        let request = TokenRequest {
            spec: Some(TokenRequestSpec {
                audiences: token
                    .audience
                    .clone()
                    .filter(|audience| !audience.is_empty())
                    .map(|audience| vec![audience]),
                expiration_seconds: Some(token.expiration_seconds.unwrap_or(DEFAULT_SECONDS)),
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
    let mut tokens = Tokens::default();
    for (token, granted) in wanted.iter().zip(try_join_all(requests).await?) {
        let status = granted.status.unwrap_or_default();
        let (Some(expires), Some(granted)) = (status.expiration_timestamp, status.token) else {
            continue;
        };
        tokens.insert(
            token.audience.as_deref().unwrap_or_default(),
            &token.path,
            granted,
            renewal(now, expires.0),
        );
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

    #[test]
    fn tokens_are_renewed_before_they_expire() {
        let now = Timestamp::from_second(1000).unwrap();
        let at = |seconds: i64| Timestamp::from_second(1000 + seconds).unwrap();
        assert_eq!(renewal(now, at(1000)), at(800));
        assert_eq!(renewal(now, at(400_000)), at(86_400));
    }
}
