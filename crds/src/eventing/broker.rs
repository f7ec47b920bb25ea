//! Broker: takes events in and hands them to its triggers.

use kube::CustomResource;
use serde::{Deserialize, Serialize};

use crate::duck::{DeliverySpec, PolicyReference, status};
use crate::types::{Addressable, KReference};

/// What a broker is made of, and how it delivers.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "eventing.knative.dev",
    version = "v1",
    kind = "Broker",
    plural = "brokers",
    namespaced,
    status = "BrokerStatus",
    schema = "disabled",
    derive = "PartialEq",
    derive = "Default",
    doc = "Takes events in, keeps them, and hands them to its triggers.",
    category = "all",
    category = "knative",
    category = "eventing",
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
    ),
    printcolumn(
        name = "Class",
        type_ = "string",
        json_path = r#".metadata.annotations['eventing.knative.dev/broker.class']"#,
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
pub struct BrokerSpec {
    /// Configuration of the class, normally a ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<KReference>,
    /// How events are delivered where a trigger says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<DeliverySpec>,
}

status! {
    /// What has been observed of a broker.
    BrokerStatus {
        /// Where events are sent to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub address: Option<Addressable>,
        /// All addresses, if there are several.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub addresses: Vec<Addressable>,
        /// The policies that say who may send events.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub policies: Vec<PolicyReference>,
        /// Where events go that could not be delivered.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub dead_letter_sink_uri: Option<String>,
        /// Certificate authorities of the dead letter sink, PEM.
        #[serde(default, rename = "deadLetterSinkCACerts", skip_serializing_if = "Option::is_none")]
        pub dead_letter_sink_ca_certs: Option<String>,
        /// OIDC audience of the dead letter sink.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub dead_letter_sink_audience: Option<String>,
    }
}
