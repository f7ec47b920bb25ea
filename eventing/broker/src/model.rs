//! Brokers, triggers and channels as topics and consumers.
