//! The filters of triggers and policies, compiled once and asked for each event.
//!
//! What cannot be compiled is refused as a whole: no part of a filter is ever skipped, since a skipped part would let
//! events pass that nobody asked for.

mod attributes;
mod compile;
mod filter;

pub use compile::{FilterError, MAX_DEPTH, problems};
pub use filter::Filter;
