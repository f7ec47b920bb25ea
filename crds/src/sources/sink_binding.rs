//! SinkBinding: tells workloads where to send events.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use serde::{Deserialize, Serialize};

use crate::duck::{AuthStatus, CloudEventAttributes, CloudEventOverrides, Destination, status};

/// Which workloads are told of which sink.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "sources.knative.dev",
    version = "v1",
    kind = "SinkBinding",
    plural = "sinkbindings",
    namespaced,
    status = "SinkBindingStatus",
    schema = "disabled",
    derive = "PartialEq",
    derive = "Default",
    doc = "Tells workloads where to send events, by their environment.",
    category = "all",
    category = "knative",
    category = "sources",
    category = "bindings",
    label("knative.dev/crd-install", "true"),
    label("duck.knative.dev/source", "true"),
    label("eventing.knative.dev/source", "true"),
    label("duck.knative.dev/binding", "true"),
    printcolumn(name = "Sink", type_ = "string", json_path = r#".status.sinkUri"#),
    printcolumn(name = "Age", type_ = "date", json_path = r#".metadata.creationTimestamp"#),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=='Ready')].status"#
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=='Ready')].reason"#
    )
)]
#[serde(rename_all = "camelCase")]
pub struct SinkBindingSpec {
    /// Where the events go.
    #[serde(default)]
    pub sink: Destination,
    /// What is changed in each event.
    #[serde(default, rename = "ceOverrides", skip_serializing_if = "Option::is_none")]
    pub ce_overrides: Option<CloudEventOverrides>,
    /// The workloads.
    #[serde(default)]
    pub subject: BindingSubject,
}

/// Workloads: one by name, or several by labels.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BindingSubject {
    /// API version.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    /// Kind.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Namespace; the binding's own.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Name of the one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Labels of the several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

status! {
    /// What has been observed of it.
    SinkBindingStatus {
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
        /// Secret with the token for the sink.
        #[serde(default, rename = "oidcTokenSecretName", skip_serializing_if = "Option::is_none")]
        pub oidc_token_secret_name: Option<String>,
    }
}
