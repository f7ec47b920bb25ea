//! Variables: `$(params.url)` and its relatives, read by one parser and replaced in one pass.
//!
//! A [`Template`] is a text cut into what stays and what is a variable. A [`Scope`] knows values, and replaces what it
//! knows; everything else stays as written, since later passes, the entrypoint and the kubelet have variables of their
//! own. What a pass puts in is not read again by it. Which fields of a spec have variables is a list of [`Field`]s.

mod cel;
mod fields;
pub mod pipeline;
mod scope;
pub mod step_action;
pub mod task;
mod template;

pub use cel::with_literals;
pub use fields::{Error as FieldError, Field, apply, each_text, each_variable};
pub use scope::{Error, Scope};
pub use template::{Malformed, Piece, Selector, Template, Variable};
