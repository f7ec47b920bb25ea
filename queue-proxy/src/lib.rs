//! The sidecar of every pod: concurrency limit, probes, metrics, drain.
