//! Tokens that say who asks or sends.

use http::Request;
use serde_json::{Value, json};

use super::http as client;
use crate::context::Context;
use crate::error::{CliError, Exit};

/// The account whose tokens are shown unless another one is named; every namespace has it.
pub const ACCOUNT: &str = "default";
/// Seconds that a token is good for; it is looked at once, when the request begins.
const SECONDS: u64 = 600;

/// A token of a ServiceAccount for `audience`.
///
/// # Errors
/// There is no such account, or whoever asks may not make its tokens.
pub async fn of(
    context: &Context,
    namespace: &str,
    account: &str,
    audience: &str,
) -> Result<String, CliError> {
    let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token");
    let wanted = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": { "audiences": [audience], "expirationSeconds": SECONDS } });
    let request = Request::post(&path)
        .header("content-type", "application/json")
        .body(wanted.to_string().into_bytes())
        .map_err(|error| client::wrong(&path, &error))?;
    let made: Value = context.client().await?.request(request).await?;
    match made["status"]["token"].as_str() {
        Some(token) => Ok(token.to_owned()),
        None => Err(CliError::new(Exit::Failure, "the cluster made no token")),
    }
}
