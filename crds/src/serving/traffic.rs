//! One share of the requests of a Route.

use serde::{Deserialize, Serialize};

/// One entry of `spec.traffic` or `status.traffic`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrafficTarget {
    /// Gives the target a host of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Names a revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision_name: Option<String>,
    /// Names a configuration whose newest ready revision is meant; never in a Service, never in a status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration_name: Option<String>,
    /// Follow the newest ready revision?
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_revision: Option<bool>,
    /// Share of the requests to the untagged host, 0–100; absent counts as 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<i64>,
    /// URL of the tagged host; only in a status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}
