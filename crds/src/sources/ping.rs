//! PingSource: an event by the clock.

use kube::CustomResource;
use serde::{Deserialize, Serialize};

use crate::duck::{AuthStatus, CloudEventAttributes, CloudEventOverrides, Destination, status};

/// When which event is sent.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "sources.knative.dev",
    version = "v1",
    kind = "PingSource",
    plural = "pingsources",
    namespaced,
    status = "PingSourceStatus",
    schema = "disabled",
    derive = "PartialEq",
    derive = "Default",
    doc = "Sends an event by the clock.",
    category = "all",
    category = "knative",
    category = "sources",
    label("knative.dev/crd-install", "true"),
    annotation("registry.knative.dev/eventTypes", r#"[{ "type": "dev.knative.sources.ping", "description": "The clock has struck; the data is that of the PingSource." }]"#),
    label("duck.knative.dev/source", "true"),
    label("eventing.knative.dev/source", "true"),
    printcolumn(name = "Sink", type_ = "string", json_path = r#".status.sinkUri"#),
    printcolumn(name = "Schedule", type_ = "string", json_path = r#".spec.schedule"#),
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
pub struct PingSourceSpec {
    /// Where the events go.
    #[serde(default)]
    pub sink: Destination,
    /// What is changed in each event.
    #[serde(default, rename = "ceOverrides", skip_serializing_if = "Option::is_none")]
    pub ce_overrides: Option<CloudEventOverrides>,
    /// When: five fields as in cron, or six with the seconds first.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub schedule: String,
    /// Time zone of the schedule, by its IANA name; absent: UTC.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub timezone: String,
    /// Content type of the data.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub content_type: String,
    /// The data.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub data: String,
    /// The data in base64; instead of `data`.
    #[serde(default, rename = "dataBase64", skip_serializing_if = "String::is_empty")]
    pub data_base64: String,
}

status! {
    /// What has been observed of it.
    PingSourceStatus {
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
