//! TaskRuns: attempts one after the other, each a pod, and what they say in the status.
//!
//! `decide` says what a run needs, `progress` what its pod has come to, the modules beside them what is
//! shown of it; all are pure. The reconciler carries it out.

mod artifacts;
mod claims;
mod credentials;
mod decide;
mod ending;
mod images;
mod logs;
mod patience;
mod progress;
mod reconcile;
mod refusal;
mod rerun;
mod results;
mod spec;
mod step_actions;
mod steps;

pub(crate) use reconcile::{Shared, controller};
