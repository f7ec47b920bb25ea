//! `messaging.knative.dev`: channels and subscriptions.

mod channel;
mod in_memory_channel;
mod subscription;

pub use channel::{Channel, ChannelSpec, ChannelStatus};
pub use in_memory_channel::{InMemoryChannel, InMemoryChannelSpec, InMemoryChannelStatus};
pub use subscription::{PhysicalSubscription, Subscription, SubscriptionSpec, SubscriptionStatus};

/// API group of the kinds in this module.
pub const GROUP: &str = "messaging.knative.dev";
