//! CloudEvents SQL 1.0: expressions over the attributes of an event, compiled once and evaluated often.
//!
//! ```
//! use std::collections::BTreeMap;
//!
//! use cesql::{Expression, Value};
//!
//! let expression = Expression::compile("type = 'order' AND subject LIKE 'a%'")?;
//! let event = BTreeMap::from([("type", Value::from("order")), ("subject", Value::from("anna"))]);
//! assert!(expression.matches(&event));
//! # Ok::<(), cesql::CompileError>(())
//! ```
//!
//! Every operation has a value and a list of errors. An operation whose operand has an error is not carried out: its
//! value is the zero value of its type, beside that error. Expressions are bounded in length and depth, strings that
//! they make in length, and evaluations in their work, so that no expression can exhaust the stack, the memory or the
//! time of who evaluates it, whatever the event.

mod compile;
mod error;
mod evaluate;
mod functions;
mod like;
mod parse;
mod syntax;
mod token;
mod value;

pub use compile::Expression;
pub use error::{CompileError, CompileErrorKind, EvaluationError, EvaluationErrorKind};
pub use evaluate::{Attributes, Outcome};
pub use parse::{MAX_DEPTH, MAX_LENGTH};
pub use syntax::{Chain, Literal, Operator, Syntax};
pub use value::{MAX_STRING, MAX_WORK, Type, Value};
