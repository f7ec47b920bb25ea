//! `flows.knative.dev`: channels and subscriptions put together.

mod parallel;
mod sequence;

use k8s_openapi::api::core::v1::ObjectReference;
use serde::{Deserialize, Serialize};

use crate::conditions::Condition;

pub use parallel::{Parallel, ParallelBranch, ParallelBranchStatus, ParallelSpec, ParallelStatus};
pub use sequence::{Sequence, SequenceSpec, SequenceStatus, SequenceStep};

/// API group of the kinds in this module.
pub const GROUP: &str = "flows.knative.dev";

/// A channel of a flow, and how it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FlowChannelStatus {
    /// The channel.
    #[serde(default)]
    pub channel: ObjectReference,
    /// Its condition `Ready`.
    #[serde(default, rename = "ready")]
    pub ready_condition: Condition,
}

/// A subscription of a flow, and how it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FlowSubscriptionStatus {
    /// The subscription.
    #[serde(default)]
    pub subscription: ObjectReference,
    /// Its condition `Ready`.
    #[serde(default, rename = "ready")]
    pub ready_condition: Condition,
}
