//! What the data plane is started with.
