//! The senders of sources: what makes their events and posts them to their sinks.
