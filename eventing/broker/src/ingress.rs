//! Accepts events over HTTP.
