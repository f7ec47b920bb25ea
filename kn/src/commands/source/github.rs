//! `kn source github`: what happens in a repository of GitHub.

use clap::Args;
use serde_json::{Value, json};

use super::verbs::SourceFlags;
use crate::change::json::set_text;
use crate::commands::list::text;
use crate::error::CliError;
use crate::flags::list;
use crate::kind::Kind;

/// The event that is asked for if none is named: pushes are what most people react to.
const DEFAULT_EVENT: &str = "push";

#[derive(Args, Clone, Debug, Default)]
pub struct Flags {
    /// The repository, OWNER/NAME; an OWNER alone is an organisation
    #[arg(long, value_name = "OWNER/NAME")]
    repository: Option<String>,
    /// Events to send, such as push,pull_request; may be repeated; replaces those there are [default: push]
    #[arg(long, value_name = "EVENTS")]
    event: Vec<String>,
    /// Secret and key with the token that makes the webhook
    #[arg(long, value_name = "SECRET:KEY")]
    access_token: Option<String>,
    /// Secret and key with the token that webhooks are signed with
    #[arg(long, value_name = "SECRET:KEY")]
    secret_token: Option<String>,
    /// Address of the API, for GitHub Enterprise
    #[arg(long, value_name = "URL")]
    api_url: Option<String>,
    /// Service account of the receiver
    #[arg(long, value_name = "NAME")]
    service_account: Option<String>,
}

impl SourceFlags for Flags {
    const KIND: Kind = Kind::GitHubSource;
    const EXAMPLE: &str = "--repository me/web --event push,pull_request --access-token github:token --secret-token github:secret";
    const CHANGE: &str = "--event push";
    const HEADER: &str = "REPOSITORY";

    fn missing(&self) -> Vec<&'static str> {
        [
            ("repository", self.repository.is_none()),
            ("access-token", self.access_token.is_none()),
            ("secret-token", self.secret_token.is_none()),
        ]
        .into_iter()
        .filter_map(|(flag, missing)| missing.then_some(flag))
        .collect()
    }

    fn apply(&self, spec: &mut Value, _: &str) -> Result<(), CliError> {
        for (field, value) in [
            ("ownerAndRepository", &self.repository),
            ("githubAPIURL", &self.api_url),
            ("serviceAccountName", &self.service_account),
        ] {
            if let Some(value) = value {
                set_text(spec, field, value);
            }
        }
        let events = list::split(&self.event);
        if !events.is_empty() {
            spec["eventTypes"] = json!(events);
        } else if spec["eventTypes"].is_null() {
            spec["eventTypes"] = json!([DEFAULT_EVENT]);
        }
        for (flag, field, value) in [
            ("access-token", "accessToken", &self.access_token),
            ("secret-token", "secretToken", &self.secret_token),
        ] {
            let Some(value) = value else { continue };
            let (name, key) = value
                .split_once(':')
                .filter(|(name, key)| !name.is_empty() && !key.is_empty())
                .ok_or_else(|| CliError::usage(format!("--{flag} {value}: expected SECRET:KEY")))?;
            spec[field] = json!({ "secretKeyRef": { "name": name, "key": key } });
        }
        Ok(())
    }

    fn cell(source: &Value) -> String {
        text(source, "/spec/ownerAndRepository")
    }

    fn head(source: &Value) -> Vec<(&'static str, String)> {
        let events = source["spec"]["eventTypes"].as_array().into_iter().flatten();
        let events: Vec<&str> = events.filter_map(Value::as_str).collect();
        let secret = |field: &str| {
            let reference = &source["spec"][field]["secretKeyRef"];
            match text(reference, "/name") {
                name if name.is_empty() => name,
                name => format!("{name}:{}", text(reference, "/key")),
            }
        };
        vec![
            ("Repository", text(source, "/spec/ownerAndRepository")),
            ("Events", events.join(", ")),
            ("Access Token", secret("accessToken")),
            ("Secret Token", secret("secretToken")),
            ("API URL", text(source, "/spec/githubAPIURL")),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_named_with_their_keys() {
        let mut flags = Flags {
            repository: Some("me/web".into()),
            access_token: Some("github:token".into()),
            secret_token: Some("github:secret".into()),
            ..Flags::default()
        };
        assert!(flags.missing().is_empty());
        let mut spec = json!({});
        flags.apply(&mut spec, "d").unwrap();
        assert_eq!(
            spec,
            json!({ "ownerAndRepository": "me/web", "eventTypes": ["push"],
                "accessToken": { "secretKeyRef": { "name": "github", "key": "token" } },
                "secretToken": { "secretKeyRef": { "name": "github", "key": "secret" } } })
        );
        flags.event = vec!["push,issues".into(), "watch".into()];
        flags.apply(&mut spec, "d").unwrap();
        assert_eq!(spec["eventTypes"], json!(["push", "issues", "watch"]));
        assert_eq!(
            Flags::head(&json!({ "spec": spec }))[2],
            ("Access Token", "github:token".to_owned())
        );
        flags.access_token = Some("github".into());
        assert!(
            flags
                .apply(&mut spec, "d")
                .unwrap_err()
                .message
                .contains("--access-token github")
        );
        assert_eq!(
            Flags::default().missing(),
            ["repository", "access-token", "secret-token"]
        );
    }
}
