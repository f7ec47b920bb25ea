//! EventPolicy: who may send which events to whom.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use serde::{Deserialize, Serialize};

use super::SubscriptionsApiFilter;
use crate::duck::status;
use crate::types::KReference;

/// Who may send which events to whom.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "eventing.knative.dev",
    version = "v1alpha1",
    kind = "EventPolicy",
    plural = "eventpolicies",
    namespaced,
    status = "EventPolicyStatus",
    schema = "disabled",
    derive = "PartialEq",
    derive = "Default",
    doc = "Says who may send which events to whom.",
    category = "all",
    category = "knative",
    category = "eventing",
    label("knative.dev/crd-install", "true"),
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
pub struct EventPolicySpec {
    /// Receivers; none means all of the namespace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<EventPolicyTarget>,
    /// Senders.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<EventPolicySubject>,
    /// Filters that the events must pass, all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<SubscriptionsApiFilter>,
}

/// Receivers: one by name, or several by labels.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventPolicyTarget {
    /// One receiver of the same namespace.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<EventPolicyReference>,
    /// Several receivers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<EventPolicySelector>,
}

/// A receiver of the policy's own namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventPolicyReference {
    /// Its API version.
    #[serde(default)]
    pub api_version: String,
    /// Its kind.
    #[serde(default)]
    pub kind: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
}

/// Receivers of a kind, by their labels.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventPolicySelector {
    /// Their API version.
    #[serde(default)]
    pub api_version: String,
    /// Their kind.
    #[serde(default)]
    pub kind: String,
    /// Their labels.
    #[serde(flatten)]
    pub labels: LabelSelector,
}

/// Senders: one by reference, or several by the subject of their token.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventPolicySubject {
    /// An object that sends with an identity of its own.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<KReference>,
    /// Subject of a token; a `*` at its end stands for any rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
}

status! {
    /// Who the senders are.
    EventPolicyStatus {
        /// Subjects of the senders' tokens.
        #[serde(default, rename = "from", skip_serializing_if = "Vec::is_empty")]
        pub from: Vec<String>,
    }
}
