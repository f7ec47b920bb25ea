//! Who may see the events of a namespace.

use http::HeaderMap;
use reconciler::token::{TokenError, of_namespace};

use super::answer::AdminError;

/// What tokens have to be made for.
pub(super) const AUDIENCE: &str = "spindrift-events";

/// Asks the API server whose token the request shows.
pub(super) async fn check(
    client: &kube::Client,
    headers: &HeaderMap,
    namespace: &str,
) -> Result<(), AdminError> {
    of_namespace(client, headers, AUDIENCE, namespace)
        .await
        .map_err(|error| refusal(error, namespace))
}

fn refusal(error: TokenError, namespace: &str) -> AdminError {
    match error {
        TokenError::Unauthenticated => AdminError::Unauthenticated,
        TokenError::Forbidden { who } => AdminError::Forbidden {
            who,
            namespace: namespace.to_owned(),
        },
        TokenError::Review(why) => AdminError::Review(why),
    }
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
