//! Trigger: hands the events of a broker that pass a filter to a subscriber.

use std::collections::BTreeMap;

use kube::CustomResource;
use serde::{Deserialize, Serialize};

use super::SubscriptionsApiFilter;
use crate::duck::{AuthStatus, DeliverySpec, Destination, status};
use crate::types::KReference;

/// Which events of which broker go where.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "eventing.knative.dev",
    version = "v1",
    kind = "Trigger",
    plural = "triggers",
    namespaced,
    status = "TriggerStatus",
    schema = "disabled",
    derive = "PartialEq",
    derive = "Default",
    doc = "Hands the events of a broker that pass a filter to a subscriber.",
    category = "all",
    category = "knative",
    category = "eventing",
    label("knative.dev/crd-install", "true"),
    printcolumn(name = "Broker", type_ = "string", json_path = r#".spec.broker"#),
    printcolumn(
        name = "Subscriber_URI",
        type_ = "string",
        json_path = r#".status.subscriberUri"#
    ),
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
pub struct TriggerSpec {
    /// Name of the broker, in the same namespace.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub broker: String,
    /// The broker, perhaps in another namespace; instead of `broker`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broker_ref: Option<KReference>,
    /// Attributes that an event must have; not looked at if there are `filters`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<TriggerFilter>,
    /// Filters that an event must pass, all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<SubscriptionsApiFilter>,
    /// Who gets the events.
    #[serde(default)]
    pub subscriber: Destination,
    /// How events are delivered; replaces the broker's settings but for a dead letter sink that is not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<DeliverySpec>,
}

/// Attributes by name, which all have to be exactly so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TriggerFilter {
    /// Values by attribute; an empty one asks for any value but none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

impl TriggerSpec {
    /// Namespace and name of the broker, for a trigger of `namespace`.
    pub fn broker_of<'a>(&'a self, namespace: &'a str) -> (&'a str, &'a str) {
        match &self.broker_ref {
            Some(broker) => (broker.namespace.as_deref().unwrap_or(namespace), &broker.name),
            None => (namespace, &self.broker),
        }
    }
}

status! {
    /// What has been observed of a trigger.
    TriggerStatus {
        /// Who gets the events, resolved.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub subscriber_uri: Option<String>,
        /// Certificate authorities of the subscriber, PEM.
        #[serde(default, rename = "subscriberCACerts", skip_serializing_if = "Option::is_none")]
        pub subscriber_ca_certs: Option<String>,
        /// OIDC audience of the subscriber.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub subscriber_audience: Option<String>,
        /// Where events go that could not be delivered.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub dead_letter_sink_uri: Option<String>,
        /// Certificate authorities of the dead letter sink, PEM.
        #[serde(default, rename = "deadLetterSinkCACerts", skip_serializing_if = "Option::is_none")]
        pub dead_letter_sink_ca_certs: Option<String>,
        /// OIDC audience of the dead letter sink.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub dead_letter_sink_audience: Option<String>,
        /// The identity that events are sent with.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub auth: Option<AuthStatus>,
    }
}
