//! Parallel: branches that all get the same events.

use kube::CustomResource;
use serde::{Deserialize, Serialize};

use super::{FlowChannelStatus, FlowSubscriptionStatus};
use crate::duck::{AuthStatus, ChannelTemplate, DeliverySpec, Destination, PolicyReference, status};
use crate::types::Addressable;

/// The branches, and who gets what they answer.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "flows.knative.dev",
    version = "v1",
    kind = "Parallel",
    plural = "parallels",
    namespaced,
    status = "ParallelStatus",
    schema = "disabled",
    derive = "PartialEq",
    derive = "Default",
    doc = "Branches that all get the same events, each behind a filter of its own.",
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
pub struct ParallelSpec {
    /// The branches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub branches: Vec<ParallelBranch>,
    /// The channels in front of and within the branches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel_template: Option<ChannelTemplate>,
    /// Who gets what the branches answer, if they do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<Destination>,
}

/// One branch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ParallelBranch {
    /// Gets each event first; what it answers goes on to the subscriber. Absent: every event goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Destination>,
    /// Who gets the events.
    #[serde(default)]
    pub subscriber: Destination,
    /// Who gets what the subscriber answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<Destination>,
    /// How events are delivered to the subscriber.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<DeliverySpec>,
}

status! {
    /// What has been observed of the branches.
    ParallelStatus {
        /// Where events are sent to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub address: Option<Addressable>,
        /// All addresses, if there are several.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub addresses: Vec<Addressable>,
        /// The channel in front of the branches.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub ingress_channel_status: Option<FlowChannelStatus>,
        /// The branches.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub branch_statuses: Vec<ParallelBranchStatus>,
        /// The policies that say who may send events.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub policies: Vec<PolicyReference>,
        /// The identity that events are sent with.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub auth: Option<AuthStatus>,
    }
}

/// What has been observed of one branch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ParallelBranchStatus {
    /// The subscription to the filter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter_subscription_status: Option<FlowSubscriptionStatus>,
    /// The channel behind the filter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter_channel_status: Option<FlowChannelStatus>,
    /// The subscription to the subscriber.
    #[serde(
        default,
        rename = "subscriberSubscriptionStatus",
        skip_serializing_if = "Option::is_none"
    )]
    pub subscription_status: Option<FlowSubscriptionStatus>,
}
