//! A CloudEvent in memory, over HTTP, and as it is stored.
