//! Answers ResolutionRequests: tasks and pipelines that are in a git repository, behind a URL, in a hub, in an image, or
//! in another namespace.
//!
//! Who asks names a resolver, and gives params; what comes back is the bytes of an object, and where they were found.
//! Whether they are what was wanted is for the asker to see. Nobody who asks is trusted: they choose addresses, paths and
//! names, and a policy says which addresses are connected to.

mod bundles;
mod cache;
mod cluster;
pub mod config;
mod git;
mod http_file;
mod hub;
mod policy;
mod question;
mod reconcile;
mod run;
mod secrets;
mod web;

pub use run::{Config, run_until, run_with};
