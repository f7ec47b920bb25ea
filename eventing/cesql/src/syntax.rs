//! The syntax tree, and its text.

use std::fmt;
use std::ops::Range;

/// An expression as it was written. [`fmt::Display`] prints it with the parentheses it needs and no others; what it
/// prints reads back as the same tree.
#[derive(Clone, Debug)]
pub enum Syntax {
    /// Its name in lower case.
    Attribute(String),
    Literal(Literal),
    Exists(String),
    Not(Box<Syntax>),
    Negate(Box<Syntax>),
    Like {
        operand: Box<Syntax>,
        negated: bool,
        /// The pattern as written, with its quotes.
        pattern: String,
    },
    In {
        operand: Box<Syntax>,
        negated: bool,
        elements: Vec<Syntax>,
    },
    /// Its name in upper case.
    Call {
        function: String,
        arguments: Vec<Syntax>,
        span: Range<usize>,
    },
    /// Operators of one precedence, from left to right.
    Chain(Box<Chain>),
}

/// Operands of binary operators of one precedence. A list and not a tree, so that a long row of ORs is not deep.
#[derive(Clone, Debug)]
pub struct Chain {
    pub first: Syntax,
    /// At least one.
    pub rest: Vec<(Operator, Syntax)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Literal {
    Boolean(bool),
    Integer(i32),
    /// As written, with its quotes.
    String(String),
}

/// A binary operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    And,
    Or,
    Xor,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// How tightly an operation binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Precedence {
    Logic,
    Comparison,
    Sum,
    Product,
    /// LIKE and IN, which follow their operand.
    Postfix,
    /// NOT and the minus sign.
    Prefix,
    Primary,
}

impl Precedence {
    /// That of the operands of a binary operator of this precedence.
    pub fn tighter(self) -> Self {
        match self {
            Self::Logic => Self::Comparison,
            Self::Comparison => Self::Sum,
            Self::Sum => Self::Product,
            Self::Product => Self::Postfix,
            Self::Postfix => Self::Prefix,
            Self::Prefix | Self::Primary => Self::Primary,
        }
    }
}

impl Operator {
    pub(crate) fn precedence(self) -> Precedence {
        match self {
            Self::And | Self::Or | Self::Xor => Precedence::Logic,
            Self::Equal
            | Self::NotEqual
            | Self::Less
            | Self::LessOrEqual
            | Self::Greater
            | Self::GreaterOrEqual => Precedence::Comparison,
            Self::Add | Self::Subtract => Precedence::Sum,
            Self::Multiply | Self::Divide | Self::Remainder => Precedence::Product,
        }
    }
}

impl Syntax {
    fn precedence(&self) -> Precedence {
        match self {
            Self::Attribute(_) | Self::Literal(_) | Self::Exists(_) | Self::Call { .. } => {
                Precedence::Primary
            }
            Self::Not(_) | Self::Negate(_) => Precedence::Prefix,
            Self::Like { .. } | Self::In { .. } => Precedence::Postfix,
            Self::Chain(chain) => chain
                .rest
                .first()
                .map_or(Precedence::Primary, |(operator, _)| operator.precedence()),
        }
    }

    /// Prints the operand of an operation that takes nothing looser than `least` without parentheses.
    fn operand(&self, formatter: &mut fmt::Formatter<'_>, least: Precedence) -> fmt::Result {
        if self.precedence() < least {
            write!(formatter, "({self})")
        } else {
            write!(formatter, "{self}")
        }
    }
}

impl fmt::Display for Syntax {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attribute(name) => formatter.write_str(name),
            Self::Literal(Literal::Boolean(true)) => formatter.write_str("TRUE"),
            Self::Literal(Literal::Boolean(false)) => formatter.write_str("FALSE"),
            Self::Literal(Literal::Integer(number)) => write!(formatter, "{number}"),
            Self::Literal(Literal::String(raw)) => formatter.write_str(raw),
            Self::Exists(name) => write!(formatter, "EXISTS {name}"),
            Self::Not(operand) => {
                formatter.write_str("NOT ")?;
                operand.operand(formatter, Precedence::Prefix)
            }
            // The space keeps the minus of an operation apart from that of a number.
            Self::Negate(operand) => {
                formatter.write_str("- ")?;
                operand.operand(formatter, Precedence::Prefix)
            }
            Self::Like {
                operand,
                negated,
                pattern,
            } => {
                operand.operand(formatter, Precedence::Postfix)?;
                write!(formatter, "{} LIKE {pattern}", not(*negated))
            }
            Self::In {
                operand,
                negated,
                elements,
            } => {
                operand.operand(formatter, Precedence::Postfix)?;
                write!(formatter, "{} IN (", not(*negated))?;
                list(formatter, elements)?;
                formatter.write_str(")")
            }
            Self::Call {
                function, arguments, ..
            } => {
                write!(formatter, "{function}(")?;
                list(formatter, arguments)?;
                formatter.write_str(")")
            }
            Self::Chain(chain) => {
                let operand = self.precedence().tighter();
                chain.first.operand(formatter, operand)?;
                for (operator, right) in &chain.rest {
                    write!(formatter, " {operator} ")?;
                    right.operand(formatter, operand)?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::And => "AND",
            Self::Or => "OR",
            Self::Xor => "XOR",
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
        })
    }
}

fn not(negated: bool) -> &'static str {
    if negated { " NOT" } else { "" }
}

fn list(formatter: &mut fmt::Formatter<'_>, all: &[Syntax]) -> fmt::Result {
    for (index, one) in all.iter().enumerate() {
        if index > 0 {
            formatter.write_str(", ")?;
        }
        write!(formatter, "{one}")?;
    }
    Ok(())
}
