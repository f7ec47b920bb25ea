//! Tokens of ServiceAccounts in requests: what they are shown by, and whether they are of a namespace.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use kube::Api;
use kube::api::PostParams;

/// Why a request may not see what it asks for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("there is no good token for the audience")]
    Unauthenticated,
    #[error("the token is of {who}")]
    Forbidden { who: String },
    #[error("the token could not be checked: {0}")]
    Review(String),
}

/// The token that a request shows.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("Bearer") && !token.is_empty()).then_some(token)
}

/// Asks the API server whether the request shows a token of an account of `namespace`, made for `audience`. Tokens for
/// the API server itself, which every pod holds, are for another.
///
/// # Errors
/// If it does not, or nobody can say.
pub async fn of_namespace(
    client: &kube::Client,
    headers: &HeaderMap,
    audience: &str,
    namespace: &str,
) -> Result<(), TokenError> {
    let token = bearer(headers).ok_or(TokenError::Unauthenticated)?;
    let review = TokenReview {
        spec: TokenReviewSpec {
            token: token.to_owned(),
            audiences: Some(vec![audience.to_owned()]),
        },
        ..TokenReview::default()
    };
    let reviews: Api<TokenReview> = Api::all(client.clone());
    let review = reviews.create(&PostParams::default(), &review).await;
    let review = review.map_err(|error| TokenError::Review(error.to_string()))?;
    judge(review.status.unwrap_or_default(), audience, namespace)
}

fn judge(status: TokenReviewStatus, audience: &str, namespace: &str) -> Result<(), TokenError> {
    let audiences = status.audiences.as_deref().unwrap_or_default();
    // A server that knows nothing of audiences would leave them out.
    if status.authenticated != Some(true) || !audiences.iter().any(|one| one == audience) {
        return Err(TokenError::Unauthenticated);
    }
    let who = status.user.unwrap_or_default().username.unwrap_or_default();
    let account = who.strip_prefix("system:serviceaccount:");
    let of = account.and_then(|account| account.split_once(':'));
    if of.is_some_and(|(of, _)| of == namespace) {
        return Ok(());
    }
    Err(TokenError::Forbidden { who })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tokens_are_shown_as_bearer() {
        for (value, expected) in [
            ("Bearer abc", Some("abc")),
            ("bearer  abc ", Some("abc")),
            ("Basic abc", None),
            ("Bearer ", None),
            ("abc", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, value.parse().unwrap());
            assert_eq!(bearer(&headers), expected, "{value}");
        }
    }

    #[test]
    fn only_accounts_of_the_namespace_pass() {
        let account = "system:serviceaccount:ns:default";
        let forbidden = |who: &str| Err(TokenError::Forbidden { who: who.to_owned() });
        let foreign = "system:serviceaccount:ns2:default";
        for (authenticated, audiences, user, expected) in [
            (true, json!(["a"]), account, Ok(())),
            (true, json!(["x", "a"]), account, Ok(())),
            (true, json!(["x"]), account, Err(TokenError::Unauthenticated)),
            (true, json!(null), account, Err(TokenError::Unauthenticated)),
            (false, json!(["a"]), account, Err(TokenError::Unauthenticated)),
            (true, json!(["a"]), foreign, forbidden(foreign)),
            (
                true,
                json!(["a"]),
                "system:serviceaccount:ns",
                forbidden("system:serviceaccount:ns"),
            ),
            (true, json!(["a"]), "ns", forbidden("ns")),
            (true, json!(["a"]), "admin", forbidden("admin")),
        ] {
            let status =
                json!({"authenticated": authenticated, "audiences": audiences, "user": {"username": user}});
            let status = serde_json::from_value(status).unwrap();
            assert_eq!(judge(status, "a", "ns"), expected, "{audiences} {user}");
        }
    }
}
