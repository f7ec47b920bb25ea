//! GitHubSource: events from a repository on GitHub.

use k8s_openapi::api::core::v1::SecretKeySelector;
use kube::CustomResource;
use serde::{Deserialize, Serialize};

use crate::duck::{AuthStatus, CloudEventAttributes, CloudEventOverrides, Destination, status};

/// Which repository, and which of its events.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "sources.knative.dev",
    version = "v1alpha1",
    kind = "GitHubSource",
    plural = "githubsources",
    namespaced,
    status = "GitHubSourceStatus",
    schema = "disabled",
    derive = "PartialEq",
    derive = "Default",
    doc = "Sends an event for each webhook that GitHub calls.",
    category = "all",
    category = "knative",
    category = "eventing",
    category = "sources",
    label("knative.dev/crd-install", "true"),
    label("duck.knative.dev/source", "true"),
    label("eventing.knative.dev/source", "true"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=='Ready')].status"#
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=='Ready')].reason"#
    ),
    printcolumn(name = "Sink", type_ = "string", json_path = r#".status.sinkUri"#),
    printcolumn(name = "Age", type_ = "date", json_path = r#".metadata.creationTimestamp"#)
)]
#[serde(rename_all = "camelCase")]
pub struct GitHubSourceSpec {
    /// Where the events go.
    #[serde(default)]
    pub sink: Destination,
    /// What is changed in each event.
    #[serde(default, rename = "ceOverrides", skip_serializing_if = "Option::is_none")]
    pub ce_overrides: Option<CloudEventOverrides>,
    /// `owner/repository`, or `owner` for a whole organisation.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub owner_and_repository: String,
    /// The events, by GitHub's names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub event_types: Vec<String>,
    /// Token with which the webhook is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_token: Option<SecretValueFromSource>,
    /// Secret with which GitHub signs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_token: Option<SecretValueFromSource>,
    /// API of an installation of GitHub's software; absent: GitHub itself.
    #[serde(default, rename = "githubAPIURL", skip_serializing_if = "Option::is_none")]
    pub github_api_url: Option<String>,
    /// Whether the webhook has to be called by https.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secure: Option<bool>,
    /// The ServiceAccount that runs it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub service_account_name: String,
}

/// What the types of its events begin with; GitHub's name of the event follows.
pub const GIT_HUB_EVENT_TYPE: &str = "dev.knative.source.github.";

impl GitHubSourceSpec {
    /// The `source` of its events: the page of the repository or organisation.
    pub fn event_source(&self) -> String {
        let api = self.github_api_url.as_deref().unwrap_or_default();
        format!("{}/{}", site(api), self.owner_and_repository)
    }
}

/// Where people see what an API serves. GitHub's own APIs have hosts of their own, installations have one for both.
fn site(api: &str) -> String {
    let (scheme, rest) = api.split_once("://").unwrap_or(("https", api));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host = match host.strip_prefix("api.") {
        Some(site) if site == "github.com" || site.ends_with(".ghe.com") => site,
        _ if host.is_empty() => "github.com",
        _ => host,
    };
    format!("{scheme}://{host}")
}

/// A value that is in a Secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretValueFromSource {
    /// The Secret and its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<SecretKeySelector>,
}

status! {
    /// What has been observed of it.
    GitHubSourceStatus {
        /// Where the events go, resolved.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub sink_uri: Option<String>,
        /// Certificate authorities of the sink, PEM.
        #[serde(default, rename = "sinkCACerts", skip_serializing_if = "Option::is_none")]
        pub sink_ca_certs: Option<String>,
        /// OIDC audience of the sink.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub sink_audience: Option<String>,
        /// Types and sources of the events that are sent.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub ce_attributes: Vec<CloudEventAttributes>,
        /// The identity that events are sent with.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub auth: Option<AuthStatus>,
        /// The webhook's id at GitHub.
        #[serde(default, rename = "webhookIDKey", skip_serializing_if = "Option::is_none")]
        pub webhook_id_key: Option<String>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_from_the_page_of_the_repository() {
        for (api, source) in [
            (None, "https://github.com/me/web"),
            (Some("https://api.github.com/"), "https://github.com/me/web"),
            (Some("https://api.corp.ghe.com"), "https://corp.ghe.com/me/web"),
            (
                Some("https://ghe.example.com/api/v3/"),
                "https://ghe.example.com/me/web",
            ),
            (Some("http://ghe:8080/x"), "http://ghe:8080/me/web"),
            (Some("https://user:word@ghe/"), "https://ghe/me/web"),
        ] {
            let spec = GitHubSourceSpec {
                owner_and_repository: "me/web".to_owned(),
                github_api_url: api.map(str::to_owned),
                ..GitHubSourceSpec::default()
            };
            assert_eq!(spec.event_source(), source);
        }
    }
}
