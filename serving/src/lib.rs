//! Reconcilers and admission of Service, Configuration, Revision, Route and DomainMapping.
//!
//! [`run`] keeps the objects of `serving.knative.dev` and their children as their specs say, until its future is
//! dropped. It talks to nothing but the Kubernetes API and, for digests, to image registries.

pub mod admission;
mod collector;
mod configuration;
mod digest;
mod domain_mapping;
mod labeler;
mod revision;
mod revision_name;
mod route;
mod run;
mod service;
mod shared;
#[cfg(test)]
mod test_support;

pub use run::{Config, run, run_until, run_with};
