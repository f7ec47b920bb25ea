//! Consumers: from the store to the subscribers.
