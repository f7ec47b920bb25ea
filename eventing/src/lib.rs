//! Reconcilers and admission of Broker, Trigger, channels, flows and sources.
