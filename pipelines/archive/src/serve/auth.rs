//! Who may see what the runs of a namespace have said.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use kube::Api;
use kube::api::PostParams;

use super::answer::Refusal;

/// What tokens have to be made for. Tokens for the API server, which every pod holds, do not pass.
pub(super) const AUDIENCE: &str = "spindrift-logs";

/// Asks the API server whose token the request shows.
pub(super) async fn check(
    client: &kube::Client,
    headers: &HeaderMap,
    namespace: &str,
) -> Result<(), Refusal> {
    let token = bearer(headers).ok_or(Refusal::Unauthenticated)?;
    let review = TokenReview {
        spec: TokenReviewSpec {
            token: token.to_owned(),
            audiences: Some(vec![AUDIENCE.to_owned()]),
        },
        ..TokenReview::default()
    };
    let reviews: Api<TokenReview> = Api::all(client.clone());
    let review = reviews.create(&PostParams::default(), &review).await;
    let review = review.map_err(|error| Refusal::Review(error.to_string()))?;
    allows(&review.status.unwrap_or_default(), namespace)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("Bearer") && !token.is_empty()).then_some(token)
}

fn allows(status: &TokenReviewStatus, namespace: &str) -> Result<(), Refusal> {
    let audiences = status.audiences.as_deref().unwrap_or_default();
    // A server that knows nothing of audiences would leave them out.
    if status.authenticated != Some(true) || !audiences.iter().any(|audience| audience == AUDIENCE) {
        return Err(Refusal::Unauthenticated);
    }
    let who = status
        .user
        .clone()
        .unwrap_or_default()
        .username
        .unwrap_or_default();
    let account = who.strip_prefix("system:serviceaccount:");
    let of = account.and_then(|account| account.split_once(':'));
    if of.is_some_and(|(of, _)| of == namespace) {
        return Ok(());
    }
    Err(Refusal::Forbidden {
        who,
        namespace: namespace.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_accounts_of_the_namespace_pass() {
        let account = "system:serviceaccount:ns:default";
        for (authenticated, audiences, user, expected) in [
            (true, json!([AUDIENCE]), account, Ok(())),
            (true, json!(["x"]), account, Err(401)),
            (true, json!(null), account, Err(401)),
            (false, json!([AUDIENCE]), account, Err(401)),
            (
                true,
                json!([AUDIENCE]),
                "system:serviceaccount:ns2:default",
                Err(403),
            ),
            (true, json!([AUDIENCE]), "admin", Err(403)),
        ] {
            let status =
                json!({"authenticated": authenticated, "audiences": audiences, "user": {"username": user}});
            let status = serde_json::from_value(status).unwrap();
            let found = allows(&status, "ns").map_err(|refusal| refusal.status().as_u16());
            assert_eq!(found, expected, "{audiences} {user}");
        }
    }

    #[test]
    fn tokens_are_shown_as_bearer() {
        for (value, expected) in [
            ("Bearer t", Some("t")),
            ("bearer  t ", Some("t")),
            ("Basic t", None),
            ("Bearer ", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, value.parse().unwrap());
            assert_eq!(bearer(&headers), expected, "{value}");
        }
    }
}
