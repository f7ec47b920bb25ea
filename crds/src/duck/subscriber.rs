//! What channels are made from, and who is subscribed to them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::DeliverySpec;
use crate::conditions::ConditionStatus;

/// The channel that a Channel, a flow or a broker is to be made of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChannelTemplate {
    /// API version of the channel.
    #[serde(default)]
    pub api_version: String,
    /// Kind of the channel.
    #[serde(default)]
    pub kind: String,
    /// Its spec, an object of any shape.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<Value>,
}

/// One subscriber of a channel, as its Subscription wrote it there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubscriberSpec {
    /// UID of the Subscription.
    #[serde(default)]
    pub uid: String,
    /// Generation of the Subscription that this was resolved from.
    #[serde(default)]
    pub generation: i64,
    /// Name of the Subscription.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Who gets the events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscriber_uri: Option<String>,
    /// Certificate authorities of the subscriber, PEM.
    #[serde(
        default,
        rename = "subscriberCACerts",
        skip_serializing_if = "Option::is_none"
    )]
    pub subscriber_ca_certs: Option<String>,
    /// OIDC audience of the subscriber.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscriber_audience: Option<String>,
    /// Who gets what the subscriber answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_uri: Option<String>,
    /// Certificate authorities of the receiver of replies, PEM.
    #[serde(default, rename = "replyCACerts", skip_serializing_if = "Option::is_none")]
    pub reply_ca_certs: Option<String>,
    /// OIDC audience of the receiver of replies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_audience: Option<String>,
    /// How events are delivered; the dead letter sink in it is a URI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<DeliverySpec>,
    /// The identity that events are sent with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<SubscriberAuth>,
}

/// The identity that a channel uses for one subscriber.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubscriberAuth {
    /// Name of the ServiceAccount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<String>,
}

/// What a channel says about one of its subscribers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubscriberStatus {
    /// UID of the Subscription.
    #[serde(default)]
    pub uid: String,
    /// Generation of the Subscription that is being served.
    #[serde(default)]
    pub observed_generation: i64,
    /// Does it get events?
    #[serde(default)]
    pub ready: ConditionStatus,
    /// Why it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}
