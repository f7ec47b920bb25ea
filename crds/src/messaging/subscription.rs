//! Subscription: hands the events of a channel to a subscriber, and its answers on.

use kube::CustomResource;
use serde::{Deserialize, Serialize};

use crate::duck::{AuthStatus, DeliverySpec, Destination, status};
use crate::types::KReference;

/// Which channel, who gets its events, and who the answers.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "messaging.knative.dev",
    version = "v1",
    kind = "Subscription",
    plural = "subscriptions",
    namespaced,
    status = "SubscriptionStatus",
    schema = "disabled",
    derive = "PartialEq",
    derive = "Default",
    doc = "Hands the events of a channel to a subscriber, and its answers to another receiver.",
    shortname = "sub",
    category = "all",
    category = "knative",
    category = "messaging",
    label("knative.dev/crd-install", "true"),
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
pub struct SubscriptionSpec {
    /// The channel.
    #[serde(default)]
    pub channel: KReference,
    /// Who gets the events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscriber: Option<Destination>,
    /// Who gets the answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<Destination>,
    /// How events are delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<DeliverySpec>,
}

/// The three receivers, resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PhysicalSubscription {
    /// Who gets the events, resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscriber_uri: Option<String>,
    /// Certificate authorities of that, PEM.
    #[serde(
        default,
        rename = "subscriberCACerts",
        skip_serializing_if = "Option::is_none"
    )]
    pub subscriber_ca_certs: Option<String>,
    /// OIDC audience of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscriber_audience: Option<String>,
    /// Who gets the answers, resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_uri: Option<String>,
    /// Certificate authorities of that, PEM.
    #[serde(default, rename = "replyCACerts", skip_serializing_if = "Option::is_none")]
    pub reply_ca_certs: Option<String>,
    /// OIDC audience of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_audience: Option<String>,
    /// Where undeliverable events go, resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letter_sink_uri: Option<String>,
    /// Certificate authorities of that, PEM.
    #[serde(
        default,
        rename = "deadLetterSinkCACerts",
        skip_serializing_if = "Option::is_none"
    )]
    pub dead_letter_sink_ca_certs: Option<String>,
    /// OIDC audience of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letter_sink_audience: Option<String>,
}

status! {
    /// What has been observed of it.
    SubscriptionStatus {
        /// The receivers, resolved.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub physical_subscription: Option<PhysicalSubscription>,
        /// The identity that events are sent with.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub auth: Option<AuthStatus>,
    }
}
