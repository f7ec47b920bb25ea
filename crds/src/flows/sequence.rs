//! Sequence: steps of which each gets what the one before answered.

use kube::CustomResource;
use serde::{Deserialize, Serialize};

use super::{FlowChannelStatus, FlowSubscriptionStatus};
use crate::duck::{AuthStatus, ChannelTemplate, DeliverySpec, Destination, PolicyReference, status};
use crate::types::Addressable;

/// The steps, and who gets what the last one answers.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "flows.knative.dev",
    version = "v1",
    kind = "Sequence",
    plural = "sequences",
    namespaced,
    status = "SequenceStatus",
    schema = "disabled",
    derive = "PartialEq",
    derive = "Default",
    doc = "Steps of which each gets what the one before answered.",
    category = "all",
    category = "knative",
    category = "flows",
    label("knative.dev/crd-install", "true"),
    label("duck.knative.dev/addressable", "true"),
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
pub struct SequenceSpec {
    /// The steps, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<SequenceStep>,
    /// The channels between the steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel_template: Option<ChannelTemplate>,
    /// Who gets what the last step answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<Destination>,
}

/// One step: its receiver, and how events are delivered to it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SequenceStep {
    /// Who gets the events.
    #[serde(flatten)]
    pub destination: Destination,
    /// How events are delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<DeliverySpec>,
}

status! {
    /// What has been observed of the steps.
    SequenceStatus {
        /// Where events are sent to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub address: Option<Addressable>,
        /// All addresses, if there are several.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub addresses: Vec<Addressable>,
        /// The subscriptions, one for each step.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub subscription_statuses: Vec<FlowSubscriptionStatus>,
        /// The channels, one for each step.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub channel_statuses: Vec<FlowChannelStatus>,
        /// The policies that say who may send events.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub policies: Vec<PolicyReference>,
        /// The identity that events are sent with.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub auth: Option<AuthStatus>,
    }
}
