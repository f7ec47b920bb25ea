//! A git push becomes a revision.
//!
//! Git hosts, and a `post-receive` hook, tell of pushes by webhooks; the receiver notes each in the status of its
//! [`Repository`](crds::spindrift::Repository). The controllers make a PipelineRun of each note, let as many run at the
//! same time as a namespace may, end those that newer pushes overtook, and deploy the image: to the Service for the branch
//! that it runs, under a tag for others. How an image is built is the business of whoever starts this: see
//! [`Config::pipeline`]. Git hosts are asked where their webhooks do not get here, and told how builds go.

pub mod admission;
mod builds;
mod delivery;
mod deploy;
mod feedback;
mod filter;
mod glob;
mod ledger;
mod names;
mod poll;
mod queue;
mod receiver;
mod repository;
mod run;
mod shared;
mod traffic;
mod web;

pub use event_client::{Allowed, Config as Outgoing};
pub use names::tag;
pub use run::{Config, Job, Pipeline, SecretOf, Unbuildable, run_until};

/// Name of the Service in front of the receiver, in the namespace of pipelines.
pub const SERVICE: &str = crds::spindrift::PUSH_SERVICE;
/// Name of the task that builds the image.
pub const BUILD_TASK: &str = "build";
/// Name of the task that deploys it.
pub const DEPLOY_TASK: &str = "deploy";
