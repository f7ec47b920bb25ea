//! Tables for the parts of a Route's reconcile. A whole KIngress is held by a golden file.

mod parts;
mod rollout;
