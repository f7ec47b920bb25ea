//! `eventing.knative.dev`: brokers and triggers, and what is known and allowed about events.

mod broker;
mod event_policy;
mod event_type;
mod filter;
mod request_reply;
mod trigger;

pub use broker::{Broker, BrokerSpec, BrokerStatus};
pub use event_policy::{
    EventPolicy, EventPolicyReference, EventPolicySelector, EventPolicySpec, EventPolicyStatus,
    EventPolicySubject, EventPolicyTarget,
};
pub use event_type::{EVENT_TYPE_ATTRIBUTES, EventType, EventTypeAttribute, EventTypeSpec, EventTypeStatus};
pub use filter::SubscriptionsApiFilter;
pub use request_reply::{RequestReply, RequestReplySpec, RequestReplyStatus};
pub use trigger::{Trigger, TriggerFilter, TriggerSpec, TriggerStatus};

/// API group of the kinds in this module.
pub const GROUP: &str = "eventing.knative.dev";
