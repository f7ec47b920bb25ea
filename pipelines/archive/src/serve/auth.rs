//! Who may see what the runs of a namespace have said.

use std::time::SystemTime;

use http::HeaderMap;
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use reconciler::token::{TokenError, of_namespace};

use super::answer::Refusal;
use crate::namespaces::created;

/// What tokens have to be made for.
pub(super) const AUDIENCE: &str = "spindrift-logs";

/// Asks the API server whose token the request shows.
pub(super) async fn check(
    client: &kube::Client,
    headers: &HeaderMap,
    namespace: &str,
) -> Result<(), Refusal> {
    of_namespace(client, headers, AUDIENCE, namespace)
        .await
        .map_err(|error| refusal(error, namespace))
}

fn refusal(error: TokenError, namespace: &str) -> Refusal {
    match error {
        TokenError::Unauthenticated => Refusal::Unauthenticated,
        TokenError::Forbidden { who } => Refusal::Forbidden {
            who,
            namespace: namespace.to_owned(),
        },
        TokenError::Review(why) => Refusal::Review(why),
    }
}

/// Since when there is a namespace of this name.
pub(super) async fn exists_since(client: &kube::Client, namespace: &str) -> Result<SystemTime, Refusal> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let found = namespaces.get_opt(namespace).await;
    let found = found.map_err(|error| Refusal::Review(error.to_string()))?;
    let created = found.and_then(|found| created(&found.metadata));
    created.ok_or(Refusal::Unauthenticated)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_have_the_codes_that_clients_know() {
        for (error, code) in [
            (TokenError::Unauthenticated, 401),
            (TokenError::Forbidden { who: "x".into() }, 403),
            (TokenError::Review("x".into()), 503),
        ] {
            assert_eq!(refusal(error, "ns").response().status(), code);
        }
    }
}
