//! The Kubernetes API over one generic registry: storage, verbs, watches, discovery, admission.
//!
//! [`ApiServer::open`] opens a data directory; [`ApiServer::client`] is a client without a socket. Built-in kinds and
//! custom resources take the same way through the registry, as raw JSON, so no field is lost for want of a type.

mod admission;
mod authn;
mod authz;
mod body;
mod bootstrap;
mod config;
mod conversion;
mod discovery;
mod filter;
mod kubeconfig;
mod meta;
mod metrics;
mod negotiate;
mod node;
mod openapi;
mod pki;
mod registry;
mod represent;
mod request;
mod resource;
mod rest;
mod serve;
mod server;
mod status;
mod store;
mod tokens;
mod webhook;

pub use admission::{Admission, AdmissionHandler, Concern, Rule};
pub use body::ResponseBody;
pub use config::{Cidr, Clock, Config};
pub use conversion::{Conversion, ConversionHandler};
pub use kubeconfig::{KubeconfigEntry, KubeconfigError, merge_kubeconfig, write_kubeconfig};
pub use node::{LogOptions, LogStream, NodeApi, NodeLink};
pub use pki::PkiError;
pub use server::ApiServer;
pub use status::{Cause, Details, StatusError, Subject};
pub use store::OpenError;
