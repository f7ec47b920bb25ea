//! API types of every custom resource: spec, status, defaulting, validation, and the CRD YAML generated from them.

pub mod stat;
