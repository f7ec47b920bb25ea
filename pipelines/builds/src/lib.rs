//! The pipeline that makes an image of a git repository or of an uploaded folder, without Docker.
//!
//! [`pipeline`] is a pure function of a [`Plan`]: one task, `build`, whose steps fetch the source, build the image and
//! push it. One task and not three: the steps share directories of their pod, so there is no volume to claim, and no
//! second pod to wait for. What they run is the program `builder` of the builder image; every value reaches it as an
//! environment variable or argument, none as a part of a script.
//!
//! [`PodRegistry`] is how the pods of builds reach and may use a registry that listens on the machine's loopback.

mod pipeline;
mod plan;
mod registry;

pub use pipeline::{TASK, TASK_RESULTS, pipeline};
pub use plan::{BuilderImage, Plan, PlanError, Settings, Source, Strategy};
pub use registry::{PodRegistry, SECRET, may};
