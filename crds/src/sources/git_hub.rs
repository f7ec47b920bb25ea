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
