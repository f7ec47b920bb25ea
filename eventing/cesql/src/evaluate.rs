//! Evaluates expressions.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::compile::{Chain, Expression, In, Like, Node};
use crate::error::EvaluationError;
use crate::functions::Function;
use crate::syntax::{Operator, Precedence};
use crate::value::{MAX_WORK, Type, Value};

/// The attributes of an event, extensions included.
pub trait Attributes {
    /// The value of the attribute `name` (lower case); `None` if the event does not have it.
    fn attribute(&self, name: &str) -> Option<Value<'_>>;
}

impl<K: Ord + Borrow<str>> Attributes for BTreeMap<K, Value<'_>> {
    fn attribute(&self, name: &str) -> Option<Value<'_>> {
        self.get(name).map(Value::borrowed)
    }
}

/// The value of an expression, and all that went wrong on the way to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome<'a> {
    pub value: Value<'a>,
    pub errors: Vec<EvaluationError>,
}

impl Expression {
    /// The value for one event, with its errors.
    pub fn evaluate<'a, A: Attributes + ?Sized>(&'a self, attributes: &'a A) -> Outcome<'a> {
        let mut errors = Vec::new();
        let value = Evaluation {
            attributes,
            errors: &mut errors,
            left: MAX_WORK,
        }
        .node(&self.root)
        .unwrap_or_else(|value| value);
        Outcome { value, errors }
    }

    /// Whether the expression as a filter lets an event pass: it is true, and nothing went wrong. Stops at the first
    /// error.
    pub fn matches<A: Attributes + ?Sized>(&self, attributes: &A) -> bool {
        let outcome = Evaluation {
            attributes,
            errors: &mut (),
            left: MAX_WORK,
        }
        .node(&self.root);
        outcome == Ok(Value::Boolean(true))
    }
}

/// What becomes of errors.
trait Errors {
    /// Whether evaluation goes on after an error, to find the others.
    const COMPLETE: bool;
    fn add(&mut self, error: impl FnOnce() -> EvaluationError);
}

impl Errors for Vec<EvaluationError> {
    const COMPLETE: bool = true;
    fn add(&mut self, error: impl FnOnce() -> EvaluationError) {
        self.push(error());
    }
}

impl Errors for () {
    const COMPLETE: bool = false;
    fn add(&mut self, _: impl FnOnce() -> EvaluationError) {}
}

/// The value of an operation, or what stands for it when there was an error: the operations around it are not carried
/// out then.
type Result<'a> = std::result::Result<Value<'a>, Value<'a>>;

struct Evaluation<'a, 'e, A: ?Sized, E> {
    attributes: &'a A,
    errors: &'e mut E,
    /// What is left of [`MAX_WORK`]. Each value is an operand of one operation, which takes time by its length: so
    /// values pay when they come into being, and an operation only for what it does beyond that.
    left: usize,
}

impl<'a, A: Attributes + ?Sized, E: Errors> Evaluation<'a, '_, A, E> {
    fn node(&mut self, node: &'a Node) -> Result<'a> {
        match node {
            Node::Value(value) => Ok(value.borrowed()),
            // Alone it has no enclosing operation, and the specification then asks for a Boolean.
            Node::Attribute(name) => self.attribute(name).ok_or(Value::Boolean(false)),
            Node::Exists(name) => Ok(Value::Boolean(self.attributes.attribute(name).is_some())),
            // No longer than the expression's own text is compared.
            Node::Same { attribute, text } => match self.present(attribute) {
                Some(Value::String(value)) => Ok(Value::Boolean(*value == **text)),
                Some(other) => Ok(Value::Boolean(*other.into_text() == **text)),
                None => Err(Value::Boolean(false)),
            },
            Node::Not(operand) => match self.boolean(operand) {
                Some(truth) => Ok(Value::Boolean(!truth)),
                None => Err(Value::Boolean(false)),
            },
            Node::Negate(operand) => match self.integer(operand) {
                Some(number) => self.checked(number.checked_neg()),
                None => Err(Value::Integer(0)),
            },
            Node::Like(like) => self.like(like),
            Node::In(list) => self.is_in(list),
            Node::Call(function, arguments) => self.call(*function, arguments),
            Node::Chain(chain) => match chain.rest.first().map(|(operator, _)| operator.precedence()) {
                Some(Precedence::Logic) => self.logic(chain),
                Some(Precedence::Comparison) => self.comparison(chain),
                _ => self.arithmetic(chain),
            },
        }
    }

    fn attribute(&mut self, name: &str) -> Option<Value<'a>> {
        let value = self.present(name)?;
        self.pay(value.length()).then_some(value)
    }

    /// Whether there is work left for so many steps.
    fn pay(&mut self, steps: usize) -> bool {
        let left = self.left.checked_sub(steps);
        self.left = left.unwrap_or(0);
        if left.is_none() {
            self.errors.add(|| EvaluationError::TooMuchWork(MAX_WORK));
        }
        left.is_some()
    }

    fn present(&mut self, name: &str) -> Option<Value<'a>> {
        let value = self.attributes.attribute(name);
        if value.is_none() {
            self.errors
                .add(|| EvaluationError::MissingAttribute(name.to_owned()));
        }
        value
    }

    fn cast(&mut self, value: Value<'a>, target: Type) -> Option<Value<'a>> {
        if value.type_of() == target {
            return Some(value);
        }
        // Only texts can fail, and a failed cast is rare enough for a copy.
        let text = match &value {
            Value::String(text) => Some(text.clone()),
            _ => None,
        };
        let cast = value.cast(target);
        if cast.is_none() {
            self.errors.add(|| EvaluationError::Cast {
                value: text.unwrap_or_default().chars().take(64).collect(),
                target,
            });
        }
        cast
    }

    /// The value of an operand as `target`; `None` after an error.
    fn operand(&mut self, node: &'a Node, target: Type) -> Option<Value<'a>> {
        let value = self.node(node).ok()?;
        self.cast(value, target)
    }

    fn boolean(&mut self, node: &'a Node) -> Option<bool> {
        self.operand(node, Type::Boolean)?.to_boolean()
    }

    fn integer(&mut self, node: &'a Node) -> Option<i32> {
        self.operand(node, Type::Integer)?.to_integer()
    }

    fn checked(&mut self, result: Option<i32>) -> Result<'a> {
        result.map(Value::Integer).ok_or_else(|| {
            self.errors
                .add(|| EvaluationError::Math("the result does not fit an integer of 32 bits"));
            Value::Integer(0)
        })
    }

    fn like(&mut self, like: &'a Like) -> Result<'a> {
        match self.operand(&like.operand, Type::String) {
            Some(Value::String(text)) if self.pay(like.pattern.steps(text.len())) => {
                Ok(Value::Boolean(like.pattern.matches(&text) != like.negated))
            }
            _ => Err(Value::Boolean(false)),
        }
    }

    /// Elements are compared until one is equal.
    fn is_in(&mut self, list: &'a In) -> Result<'a> {
        let Ok(wanted) = self.node(&list.operand) else {
            return Err(Value::Boolean(false));
        };
        for element in &list.elements {
            match self.operand(element, wanted.type_of()) {
                Some(value) if value == wanted => return Ok(Value::Boolean(!list.negated)),
                Some(_) => {}
                None => return Err(Value::Boolean(false)),
            }
        }
        Ok(Value::Boolean(list.negated))
    }

    fn call(&mut self, function: Function, nodes: &'a [Node]) -> Result<'a> {
        let mut arguments = Vec::with_capacity(nodes.len());
        for (index, node) in nodes.iter().enumerate() {
            let value = self.node(node).ok();
            let value = match (value, function.parameter(index)) {
                (Some(value), Some(target)) => self.cast(value, target),
                (value, _) => value,
            };
            match value {
                Some(value) => arguments.push(value),
                None if E::COMPLETE => {}
                None => break,
            }
        }
        if arguments.len() < nodes.len() {
            return Err(function.result().zero());
        }
        let (value, error) = function.call(&arguments);
        match error {
            None if self.pay(value.length()) => Ok(value),
            None => Err(function.result().zero()),
            Some(error) => {
                self.errors.add(|| error);
                Err(value)
            }
        }
    }

    /// From left to right; a right operand that cannot change the result is not evaluated.
    fn logic(&mut self, chain: &'a Chain) -> Result<'a> {
        let mut truth = self.boolean(&chain.first).ok_or(Value::Boolean(false))?;
        for (operator, right) in &chain.rest {
            truth = match (operator, truth) {
                (Operator::And, false) => false,
                (Operator::Or, true) => true,
                (operator, left) => {
                    let right = self.boolean(right).ok_or(Value::Boolean(false))?;
                    if *operator == Operator::Xor {
                        left != right
                    } else {
                        right
                    }
                }
            };
        }
        Ok(Value::Boolean(truth))
    }

    fn comparison(&mut self, chain: &'a Chain) -> Result<'a> {
        let mut left = self.node(&chain.first).ok();
        for (operator, right) in &chain.rest {
            if left.is_none() && !E::COMPLETE {
                break;
            }
            let right = self.node(right).ok();
            left = match (left, right) {
                (Some(left), Some(right)) => self.compare(*operator, left, right).map(Value::Boolean),
                _ => None,
            };
        }
        left.ok_or(Value::Boolean(false))
    }

    fn compare(&mut self, operator: Operator, left: Value<'a>, right: Value<'a>) -> Option<bool> {
        if matches!(operator, Operator::Equal | Operator::NotEqual) {
            let equal = self.cast(left, right.type_of())? == right;
            return Some(equal == (operator == Operator::Equal));
        }
        let left = self.cast(left, Type::Integer);
        let right = self.cast(right, Type::Integer);
        let order = left?.to_integer()?.cmp(&right?.to_integer()?);
        Some(match operator {
            Operator::Less => order == Ordering::Less,
            Operator::LessOrEqual => order != Ordering::Greater,
            Operator::Greater => order == Ordering::Greater,
            _ => order != Ordering::Less,
        })
    }

    fn arithmetic(&mut self, chain: &'a Chain) -> Result<'a> {
        let mut left = self.integer(&chain.first);
        for (operator, right) in &chain.rest {
            if left.is_none() && !E::COMPLETE {
                break;
            }
            let right = self.integer(right);
            left = match (left, right) {
                (Some(left), Some(right)) => self.calculate(*operator, left, right),
                _ => None,
            };
        }
        left.map(Value::Integer).ok_or(Value::Integer(0))
    }

    fn calculate(&mut self, operator: Operator, left: i32, right: i32) -> Option<i32> {
        let result = match operator {
            Operator::Add => left.checked_add(right),
            Operator::Subtract => left.checked_sub(right),
            Operator::Multiply => left.checked_mul(right),
            _ if right == 0 => {
                self.errors.add(|| EvaluationError::Math("division by zero"));
                return None;
            }
            Operator::Divide => left.checked_div(right),
            // Its only overflow, of the smallest number by -1, has the remainder 0.
            _ => Some(left.wrapping_rem(right)),
        };
        self.checked(result).ok()?.to_integer()
    }
}

#[cfg(test)]
mod tests;
