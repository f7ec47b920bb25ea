//! ApiServerSource: events about changes of Kubernetes objects.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use serde::{Deserialize, Serialize};

use crate::duck::{AuthStatus, CloudEventAttributes, CloudEventOverrides, Destination, status};
use crate::eventing::SubscriptionsApiFilter;

/// Which objects are watched, and where the events go.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "sources.knative.dev",
    version = "v1",
    kind = "ApiServerSource",
    plural = "apiserversources",
    namespaced,
    status = "ApiServerSourceStatus",
    schema = "disabled",
    derive = "PartialEq",
    derive = "Default",
    doc = "Sends an event for each change of the Kubernetes objects that it watches.",
    category = "all",
    category = "knative",
    category = "sources",
    label("knative.dev/crd-install", "true"),
    annotation("registry.knative.dev/eventTypes", r#"[{ "type": "dev.knative.apiserver.resource.add", "description": "An object was created; the data is the object." }, { "type": "dev.knative.apiserver.resource.update", "description": "An object was changed; the data is the object." }, { "type": "dev.knative.apiserver.resource.delete", "description": "An object was deleted; the data is the object." }, { "type": "dev.knative.apiserver.ref.add", "description": "An object was created; the data names it." }, { "type": "dev.knative.apiserver.ref.update", "description": "An object was changed; the data names it." }, { "type": "dev.knative.apiserver.ref.delete", "description": "An object was deleted; the data names it." }]"#),
    label("duck.knative.dev/source", "true"),
    label("eventing.knative.dev/source", "true"),
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
pub struct ApiServerSourceSpec {
    /// Where the events go.
    #[serde(default)]
    pub sink: Destination,
    /// What is changed in each event.
    #[serde(default, rename = "ceOverrides", skip_serializing_if = "Option::is_none")]
    pub ce_overrides: Option<CloudEventOverrides>,
    /// The kinds that are watched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<ApiServerResource>,
    /// Only objects whose controller is of this kind.
    #[serde(default, rename = "owner", skip_serializing_if = "Option::is_none")]
    pub resource_owner: Option<ApiServerOwner>,
    /// `Reference` or `Resource`: whether events carry only the name or the whole object.
    #[serde(default, rename = "mode", skip_serializing_if = "String::is_empty")]
    pub event_mode: String,
    /// The ServiceAccount that may watch.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub service_account_name: String,
    /// The namespaces that are watched; absent: the own one, empty: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// Filters that the events must pass, all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<SubscriptionsApiFilter>,
}

/// One kind, and which of its objects.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiServerResource {
    /// API version.
    #[serde(default)]
    pub api_version: String,
    /// Kind.
    #[serde(default)]
    pub kind: String,
    /// Labels of the objects; absent: all.
    #[serde(default, rename = "selector", skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<LabelSelector>,
}

/// A kind of owner.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiServerOwner {
    /// API version.
    #[serde(default)]
    pub api_version: String,
    /// Kind.
    #[serde(default)]
    pub kind: String,
}

status! {
    /// What has been observed of it.
    ApiServerSourceStatus {
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
        /// The namespaces that are watched.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub namespaces: Vec<String>,
    }
}
