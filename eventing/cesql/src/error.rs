//! What can be wrong with an expression, and with one evaluation of it.

use std::ops::Range;

use crate::value::Type;

/// Why a text is not an expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} at column {column}")]
pub struct CompileError {
    pub kind: CompileErrorKind,
    /// What to change, without the place.
    pub message: String,
    /// The place in bytes of the text.
    pub span: Range<usize>,
    /// The place in characters, from 1.
    pub column: usize,
}

/// The class of a [`CompileError`], as the specification names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompileErrorKind {
    Parse,
    MissingFunction,
}

impl CompileError {
    pub(crate) fn new(kind: CompileErrorKind, text: &str, span: Range<usize>, message: String) -> Self {
        let column = text
            .char_indices()
            .take_while(|(index, _)| *index < span.start)
            .count()
            + 1;
        Self {
            kind,
            message,
            span,
            column,
        }
    }
}

/// What went wrong in one evaluation. It does not end the evaluation; a filter takes it for "no match".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    #[error("the event has no attribute {0:?}")]
    MissingAttribute(String),
    #[error("{value:?} cannot be cast to {target}")]
    Cast { value: String, target: Type },
    #[error("{0}")]
    Math(&'static str),
    #[error("{function}: {message}")]
    Function {
        function: &'static str,
        message: &'static str,
    },
    #[error("the event's texts are too long for this expression: it would take more than {0} steps")]
    TooMuchWork(usize),
}

/// The class of an [`EvaluationError`], as the specification names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvaluationErrorKind {
    MissingAttribute,
    Cast,
    Math,
    FunctionEvaluation,
    Generic,
}

impl EvaluationError {
    pub fn kind(&self) -> EvaluationErrorKind {
        match self {
            Self::MissingAttribute(_) => EvaluationErrorKind::MissingAttribute,
            Self::Cast { .. } => EvaluationErrorKind::Cast,
            Self::Math(_) => EvaluationErrorKind::Math,
            Self::Function { .. } => EvaluationErrorKind::FunctionEvaluation,
            Self::TooMuchWork(_) => EvaluationErrorKind::Generic,
        }
    }
}
