//! ContainerSource: events from containers of the user's own.

use k8s_openapi::api::core::v1::PodTemplateSpec;
use kube::CustomResource;
use serde::{Deserialize, Serialize};

use crate::duck::{AuthStatus, CloudEventAttributes, CloudEventOverrides, Destination, status};

/// The containers, and where they send their events.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "sources.knative.dev",
    version = "v1",
    kind = "ContainerSource",
    plural = "containersources",
    namespaced,
    status = "ContainerSourceStatus",
    schema = "disabled",
    derive = "PartialEq",
    derive = "Default",
    doc = "Runs containers that send events.",
    category = "all",
    category = "knative",
    category = "sources",
    label("knative.dev/crd-install", "true"),
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
pub struct ContainerSourceSpec {
    /// Where the events go.
    #[serde(default)]
    pub sink: Destination,
    /// What is changed in each event.
    #[serde(default, rename = "ceOverrides", skip_serializing_if = "Option::is_none")]
    pub ce_overrides: Option<CloudEventOverrides>,
    /// The pod.
    #[serde(default)]
    pub template: PodTemplateSpec,
}

status! {
    /// What has been observed of it.
    ContainerSourceStatus {
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
    }
}
