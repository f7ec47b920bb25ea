//! What the autoscaler knows of the load: windows over time, and the reports that fill them.

pub mod collection;
pub mod window;
