//! RequestReply: a synchronous front of a broker.

use kube::CustomResource;
use serde::{Deserialize, Serialize};

use crate::duck::{AuthStatus, DeliverySpec, PolicyReference, status};
use crate::types::{Addressable, KReference};

/// Which broker is asked, and how answers are recognised.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "eventing.knative.dev",
    version = "v1alpha1",
    kind = "RequestReply",
    plural = "requestreplies",
    namespaced,
    status = "RequestReplyStatus",
    schema = "disabled",
    derive = "PartialEq",
    derive = "Default",
    doc = "A synchronous front of a broker: a request waits for the event that answers it.",
    shortname = "rr",
    category = "all",
    category = "knative",
    category = "eventing",
    label("knative.dev/crd-install", "true"),
    label("duck.knative.dev/addressable", "true"),
    printcolumn(name = "URL", type_ = "string", json_path = r#".status.address.url"#),
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
pub struct RequestReplySpec {
    /// The broker.
    #[serde(default)]
    pub broker_ref: KReference,
    /// Attribute that carries the correlation id.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub correlation_attribute: String,
    /// Attribute by which an answer names the request.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reply_attribute: String,
    /// Longest that a request waits, ISO 8601.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// How events are delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<DeliverySpec>,
}

impl RequestReplySpec {
    /// Namespace and name of the broker, for a RequestReply in `namespace`.
    pub fn broker_of<'a>(&'a self, namespace: &'a str) -> (&'a str, &'a str) {
        let given = self.broker_ref.namespace.as_deref();
        let given = given.filter(|given| !given.is_empty());
        (given.unwrap_or(namespace), &self.broker_ref.name)
    }

    /// The attribute that carries what a request is recognised by.
    pub fn correlation(&self) -> &str {
        or(&self.correlation_attribute, "correlationid")
    }

    /// The attribute by which an answer names its request.
    pub fn reply(&self) -> &str {
        or(&self.reply_attribute, "replyid")
    }
}

/// What admission fills in, for objects that it has not seen.
fn or<'a>(text: &'a str, default: &'a str) -> &'a str {
    if text.is_empty() { default } else { text }
}

status! {
    /// What has been observed of it.
    RequestReplyStatus {
        /// Where events are sent to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub address: Option<Addressable>,
        /// All addresses, if there are several.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub addresses: Vec<Addressable>,
        /// The policies that say who may send events.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub policies: Vec<PolicyReference>,
        /// The identity with which requests are handed on to the broker.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub auth: Option<AuthStatus>,
        /// Replicas that are wanted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub desired_replicas: Option<i32>,
        /// Replicas that are ready.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub ready_replicas: Option<i32>,
    }
}
