//! Shapes that several kinds of events share: destinations, delivery, subscribers, overrides.

mod delivery;
mod destination;
mod status;
mod subscriber;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use delivery::{BackoffPolicy, DeliveryFormat, DeliverySpec};
pub use destination::Destination;
pub(crate) use status::status;
pub use status::{AuthStatus, CloudEventAttributes, PolicyReference};
pub use subscriber::{ChannelTemplate, SubscriberAuth, SubscriberSpec, SubscriberStatus};

/// What a source changes in each of its events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CloudEventOverrides {
    /// Extension attributes that are set, by name; they win over what the event had.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extensions: BTreeMap<String, String>,
}
