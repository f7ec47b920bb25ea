//! The form that is evaluated: functions found, patterns cut, literals read.

use std::fmt;

use crate::error::{CompileError, CompileErrorKind};
use crate::functions::Function;
use crate::like::Pattern;
use crate::syntax::{Literal, Operator, Syntax};
use crate::token::unquote;
use crate::value::Value;

/// Attributes that every event has.
const REQUIRED: [&str; 4] = ["id", "source", "specversion", "type"];

/// An expression, ready to be evaluated by any number of threads.
#[derive(Clone, Debug)]
pub struct Expression {
    text: Box<str>,
    pub(crate) root: Node,
}

/// One operation.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    Value(Value<'static>),
    Attribute(Box<str>),
    Exists(Box<str>),
    Not(Box<Node>),
    Negate(Box<Node>),
    Like(Box<Like>),
    In(Box<In>),
    Call(Function, Box<[Node]>),
    Chain(Box<Chain>),
    /// `attribute = 'text'`, which is what most filters consist of.
    Same {
        attribute: Box<str>,
        text: Box<str>,
    },
}

#[derive(Clone, Debug)]
pub(crate) struct Like {
    pub operand: Node,
    pub negated: bool,
    pub pattern: Pattern,
}

#[derive(Clone, Debug)]
pub(crate) struct In {
    pub operand: Node,
    pub negated: bool,
    pub elements: Box<[Node]>,
}

#[derive(Clone, Debug)]
pub(crate) struct Chain {
    pub first: Node,
    pub rest: Box<[(Operator, Node)]>,
}

impl Expression {
    /// # Errors
    /// If `text` is no expression, calls a function that does not exist, or is too long or too deep.
    pub fn compile(text: &str) -> Result<Self, CompileError> {
        let syntax = Syntax::parse(text)?;
        Ok(Self {
            root: node(text, &syntax)?,
            text: text.into(),
        })
    }

    /// What was compiled.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl std::str::FromStr for Expression {
    type Err = CompileError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::compile(text)
    }
}

fn node(text: &str, syntax: &Syntax) -> Result<Node, CompileError> {
    let boxed = |syntax: &Syntax| node(text, syntax).map(Box::new);
    let all = |list: &[Syntax]| list.iter().map(|one| node(text, one)).collect::<Result<_, _>>();
    Ok(match syntax {
        Syntax::Attribute(name) => Node::Attribute(name.as_str().into()),
        Syntax::Literal(Literal::Boolean(truth)) => Node::Value(Value::Boolean(*truth)),
        Syntax::Literal(Literal::Integer(number)) => Node::Value(Value::Integer(*number)),
        Syntax::Literal(Literal::String(raw)) => Node::Value(unquote(raw).into()),
        Syntax::Exists(name) if REQUIRED.contains(&name.as_str()) => Node::Value(Value::Boolean(true)),
        Syntax::Exists(name) => Node::Exists(name.as_str().into()),
        Syntax::Not(operand) => Node::Not(boxed(operand)?),
        Syntax::Negate(operand) => Node::Negate(boxed(operand)?),
        Syntax::Like {
            operand,
            negated,
            pattern,
        } => Node::Like(Box::new(Like {
            operand: node(text, operand)?,
            negated: *negated,
            pattern: Pattern::new(&unquote(pattern)),
        })),
        Syntax::In {
            operand,
            negated,
            elements,
        } => Node::In(Box::new(In {
            operand: node(text, operand)?,
            negated: *negated,
            elements: all(elements)?,
        })),
        Syntax::Call {
            function,
            arguments,
            span,
        } => match Function::find(function, arguments.len()) {
            Ok(function) => Node::Call(function, all(arguments)?),
            Err(message) => {
                let kind = CompileErrorKind::MissingFunction;
                return Err(CompileError::new(kind, text, span.clone(), message));
            }
        },
        Syntax::Chain(chain) => {
            let first = node(text, &chain.first)?;
            let rest: Box<[_]> = chain
                .rest
                .iter()
                .map(|(operator, right)| Ok((*operator, node(text, right)?)))
                .collect::<Result<_, CompileError>>()?;
            match (first, &*rest) {
                (Node::Attribute(attribute), [(Operator::Equal, Node::Value(Value::String(value)))]) => {
                    Node::Same {
                        attribute,
                        text: value.as_ref().into(),
                    }
                }
                (first, _) => Node::Chain(Box::new(Chain { first, rest })),
            }
        }
    })
}
