//! Channel: a channel of whichever kind is configured.

use kube::CustomResource;
use serde::{Deserialize, Serialize};

use crate::duck::{ChannelTemplate, DeliverySpec, PolicyReference, SubscriberSpec, SubscriberStatus, status};
use crate::types::{Addressable, KReference};

/// Which channel is made, and how it delivers.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "messaging.knative.dev",
    version = "v1",
    kind = "Channel",
    plural = "channels",
    namespaced,
    status = "ChannelStatus",
    schema = "disabled",
    derive = "PartialEq",
    derive = "Default",
    doc = "A channel of whichever kind is configured: events are sent to it and go to all of its subscribers.",
    shortname = "ch",
    category = "all",
    category = "knative",
    category = "messaging",
    category = "channel",
    label("knative.dev/crd-install", "true"),
    label("duck.knative.dev/addressable", "true"),
    label("messaging.knative.dev/subscribable", "true"),
    printcolumn(name = "URL", type_ = "string", json_path = r#".status.address.url"#),
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
pub struct ChannelSpec {
    /// The channel that is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel_template: Option<ChannelTemplate>,
    /// Who is subscribed; written by Subscriptions alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subscribers: Vec<SubscriberSpec>,
    /// How events are delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<DeliverySpec>,
}

status! {
    /// What has been observed of it and of the channel that was made.
    ChannelStatus {
        /// Where events are sent to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub address: Option<Addressable>,
        /// All addresses, if there are several.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub addresses: Vec<Addressable>,
        /// Who is served.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub subscribers: Vec<SubscriberStatus>,
        /// The channel that was made.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub channel: Option<KReference>,
        /// Where undeliverable events go, by name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub dead_letter_channel: Option<KReference>,
        /// Where events go that could not be delivered.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub dead_letter_sink_uri: Option<String>,
        /// Certificate authorities of the dead letter sink, PEM.
        #[serde(default, rename = "deadLetterSinkCACerts", skip_serializing_if = "Option::is_none")]
        pub dead_letter_sink_ca_certs: Option<String>,
        /// OIDC audience of the dead letter sink.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub dead_letter_sink_audience: Option<String>,
        /// The policies that say who may send events.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub policies: Vec<PolicyReference>,
    }
}
