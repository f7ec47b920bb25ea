//! Text formats of the field that several rooms read: quantities, Go durations, image references, JSONPath.

pub mod duration;
pub mod image;
pub mod jsonpath;
pub mod quantity;
