//! Label and field selectors: the grammar of query parameters and the JSON form in specs.

mod field;
mod label;
mod lexer;

pub use field::{FieldOperator, FieldRequirement, FieldSelector};
pub use label::{LabelSelector, Operator, Requirement};

/// Why a selector is refused. Answered as 400 (query parameter) or 422 (part of an object).
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SelectorError {
    /// The text breaks the grammar.
    #[error("unable to parse requirement: {0}")]
    Syntax(String),
    /// A key, operator or value is not allowed.
    #[error("{0}")]
    Invalid(String),
}
