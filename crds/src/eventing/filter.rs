//! Filters as the subscriptions API of CloudEvents defines them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One filter: exactly one of the dialects is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubscriptionsApiFilter {
    /// Filters that an event must pass, all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub all: Vec<Self>,
    /// Filters of which an event must pass at least one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub any: Vec<Self>,
    /// A filter that an event must not pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not: Option<Box<Self>>,
    /// Attributes that must be exactly so.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub exact: BTreeMap<String, String>,
    /// Attributes that must begin so.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub prefix: BTreeMap<String, String>,
    /// Attributes that must end so.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub suffix: BTreeMap<String, String>,
    /// An expression of CloudEvents SQL that must be true.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cesql: String,
}
