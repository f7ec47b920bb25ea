//! Tables for the parts of a revision's reconcile. The whole Deployment is held by a golden file.

mod containers;
mod status;
