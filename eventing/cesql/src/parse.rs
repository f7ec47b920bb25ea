//! Text to syntax tree. A recursive descent: one function for each shape, one level of it for each pair of parentheses.

use std::ops::Range;

use crate::error::{CompileError, CompileErrorKind};
use crate::syntax::{Chain, Literal, Operator, Precedence, Syntax};
use crate::token::{self, Token};

/// Longest expression, in bytes.
pub const MAX_LENGTH: usize = 16 * 1024;

/// Deepest nesting of parentheses, calls, lists, NOT, minus signs, and LIKE or IN one after the other. A row of binary
/// operators is not deep, however long.
pub const MAX_DEPTH: usize = 64;

impl Syntax {
    /// # Errors
    /// If `text` is no expression, or exceeds [`MAX_LENGTH`] or [`MAX_DEPTH`].
    pub fn parse(text: &str) -> Result<Self, CompileError> {
        if text.len() > MAX_LENGTH {
            let message = format!(
                "the expression has {} bytes, and may have {MAX_LENGTH}; it is cut",
                text.len()
            );
            return Err(error(text, MAX_LENGTH..text.len(), message));
        }
        let mut parser = Parser::new(text);
        let expression = parser.chain(Precedence::Logic, 0)?;
        match parser.token {
            Token::End => Ok(expression),
            _ => Err(parser.unexpected("the end or an operator")),
        }
    }
}

/// The text and the token to be read next.
struct Parser<'a> {
    text: &'a str,
    token: Token<'a>,
    span: Range<usize>,
    /// Depth of the deepest node read so far in the innermost operand that is being read.
    reached: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Self {
        let (token, span) = token::next(text, 0);
        Self {
            text,
            token,
            span,
            reached: 0,
        }
    }

    fn advance(&mut self) {
        (self.token, self.span) = token::next(self.text, self.span.end);
    }

    fn unexpected(&self, wanted: &str) -> CompileError {
        let found = self.text.get(self.span.clone()).unwrap_or_default();
        let message = match self.token {
            Token::Bad(reason) => format!("{reason}: {found}"),
            Token::End => format!("expected {wanted}, found the end"),
            _ => format!("expected {wanted}, found {found}"),
        };
        error(self.text, self.span.clone(), message)
    }

    fn symbol(&mut self, symbol: &str, wanted: &str) -> Result<(), CompileError> {
        if self.token == Token::Symbol(symbol_of(symbol)) {
            self.advance();
            Ok(())
        } else {
            Err(self.unexpected(wanted))
        }
    }

    fn is_keyword(&self, keyword: &str) -> bool {
        matches!(self.token, Token::Name(name) if name.eq_ignore_ascii_case(keyword))
    }

    fn deeper(&mut self, depth: usize) -> Result<usize, CompileError> {
        if depth < MAX_DEPTH {
            self.reached = self.reached.max(depth + 1);
            return Ok(depth + 1);
        }
        let message = format!("the expression is nested more than {MAX_DEPTH} levels deep");
        Err(error(self.text, self.span.clone(), message))
    }

    /// Operands with operators of `precedence` between them.
    fn chain(&mut self, precedence: Precedence, depth: usize) -> Result<Syntax, CompileError> {
        let first = self.operand(precedence, depth)?;
        let mut rest = Vec::new();
        while let Some(operator) = self.operator().filter(|o| o.precedence() == precedence) {
            self.advance();
            rest.push((operator, self.operand(precedence, depth)?));
        }
        Ok(if rest.is_empty() {
            first
        } else {
            Syntax::Chain(Box::new(Chain { first, rest }))
        })
    }

    /// What stands between the operators of `precedence`.
    fn operand(&mut self, precedence: Precedence, depth: usize) -> Result<Syntax, CompileError> {
        match precedence.tighter() {
            Precedence::Postfix => self.postfix(depth),
            tighter => self.chain(tighter, depth),
        }
    }

    fn operator(&self) -> Option<Operator> {
        Some(match self.token {
            Token::Symbol("=") => Operator::Equal,
            Token::Symbol("!=" | "<>") => Operator::NotEqual,
            Token::Symbol("<") => Operator::Less,
            Token::Symbol("<=") => Operator::LessOrEqual,
            Token::Symbol(">") => Operator::Greater,
            Token::Symbol(">=") => Operator::GreaterOrEqual,
            Token::Symbol("+") => Operator::Add,
            Token::Symbol("-") => Operator::Subtract,
            Token::Symbol("*") => Operator::Multiply,
            Token::Symbol("/") => Operator::Divide,
            Token::Symbol("%") => Operator::Remainder,
            _ if self.is_keyword("and") => Operator::And,
            _ if self.is_keyword("or") => Operator::Or,
            _ if self.is_keyword("xor") => Operator::Xor,
            _ => return None,
        })
    }

    /// An operand with the LIKEs and INs after it.
    fn postfix(&mut self, depth: usize) -> Result<Syntax, CompileError> {
        let outer = std::mem::replace(&mut self.reached, depth);
        let mut operand = self.prefix(depth)?;
        loop {
            let inner = self.reached;
            let negated = self.is_keyword("not");
            if negated {
                self.advance();
            }
            if self.is_keyword("like") {
                self.advance();
                let Token::Text(raw) = self.token else {
                    return Err(self.unexpected("a pattern in quotes after LIKE"));
                };
                self.advance();
                operand = Syntax::Like {
                    operand: Box::new(operand),
                    negated,
                    pattern: raw.to_owned(),
                };
            } else if self.is_keyword("in") {
                self.advance();
                let depth = self.deeper(depth)?;
                self.symbol("(", "a list in parentheses after IN")?;
                operand = Syntax::In {
                    operand: Box::new(operand),
                    negated,
                    elements: self.list(depth)?,
                };
            } else if negated {
                return Err(self.unexpected("LIKE or IN after NOT"));
            } else {
                self.reached = self.reached.max(outer);
                return Ok(operand);
            }
            // What came before is one level deeper now, under the new operation.
            self.deeper(inner)?;
        }
    }

    fn prefix(&mut self, depth: usize) -> Result<Syntax, CompileError> {
        if self.is_keyword("not") {
            let depth = self.deeper(depth)?;
            self.advance();
            return Ok(Syntax::Not(Box::new(self.prefix(depth)?)));
        }
        if let Token::Symbol(sign @ ("-" | "+")) = self.token {
            let start = self.span.clone();
            self.advance();
            // A sign right before digits belongs to the number: there is no other way to write the smallest one.
            if let Token::Digits(digits) = self.token
                && self.span.start == start.end
            {
                let span = start.start..self.span.end;
                self.advance();
                return self.integer(&format!("{sign}{digits}"), span);
            }
            if sign == "+" {
                return Err(self.unexpected("digits right after the sign +"));
            }
            let depth = self.deeper(depth)?;
            return Ok(Syntax::Negate(Box::new(self.prefix(depth)?)));
        }
        self.primary(depth)
    }

    fn primary(&mut self, depth: usize) -> Result<Syntax, CompileError> {
        let (token, span) = (self.token, self.span.clone());
        match token {
            Token::Symbol("(") => {
                let depth = self.deeper(depth)?;
                self.advance();
                let inner = self.chain(Precedence::Logic, depth)?;
                self.symbol(")", "an operator or the closing parenthesis")?;
                Ok(inner)
            }
            Token::Digits(digits) => {
                self.advance();
                self.integer(digits, span)
            }
            Token::Text(raw) => {
                self.advance();
                if matches!(self.token, Token::Text(_)) && self.span.start == span.end {
                    let message = "a quote within a text is written with a backslash before it".to_owned();
                    return Err(error(self.text, self.span.clone(), message));
                }
                Ok(Syntax::Literal(Literal::String(raw.to_owned())))
            }
            Token::FunctionName(name) => {
                self.advance();
                if self.token != Token::Symbol("(") {
                    return Err(self.unexpected("the arguments of the function in parentheses"));
                }
                self.call(name, span, depth)
            }
            Token::Name(name) => self.named(name, span, depth),
            _ => Err(self.unexpected("an attribute, a value, a function or a parenthesis")),
        }
    }

    fn named(&mut self, name: &'a str, span: Range<usize>, depth: usize) -> Result<Syntax, CompileError> {
        let lower = name.to_ascii_lowercase();
        match lower.as_str() {
            "true" | "false" => {
                self.advance();
                return Ok(Syntax::Literal(Literal::Boolean(lower == "true")));
            }
            "exists" => {
                self.advance();
                return match self.token {
                    Token::Name(name) if !is_reserved(name) => {
                        self.advance();
                        Ok(Syntax::Exists(name.to_ascii_lowercase()))
                    }
                    // Digits alone are a legal name of an attribute, and here nothing else can be meant.
                    Token::Digits(name) => {
                        self.advance();
                        Ok(Syntax::Exists(name.to_owned()))
                    }
                    _ => Err(self.unexpected("the name of an attribute after EXISTS")),
                };
            }
            _ if is_reserved(name) => {
                return Err(self.unexpected("an attribute, a value, a function or a parenthesis"));
            }
            _ => {}
        }
        self.advance();
        if self.token == Token::Symbol("(") {
            self.call(name, span, depth)
        } else {
            Ok(Syntax::Attribute(lower))
        }
    }

    /// The arguments of a function, from the opening parenthesis.
    fn call(&mut self, name: &str, span: Range<usize>, depth: usize) -> Result<Syntax, CompileError> {
        let depth = self.deeper(depth)?;
        self.advance();
        let arguments = if self.token == Token::Symbol(")") {
            self.advance();
            Vec::new()
        } else {
            self.list(depth)?
        };
        Ok(Syntax::Call {
            function: name.to_ascii_uppercase(),
            arguments,
            span,
        })
    }

    /// Expressions with commas between them, and the closing parenthesis.
    fn list(&mut self, depth: usize) -> Result<Vec<Syntax>, CompileError> {
        let mut all = vec![self.chain(Precedence::Logic, depth)?];
        while self.token == Token::Symbol(",") {
            self.advance();
            all.push(self.chain(Precedence::Logic, depth)?);
        }
        self.symbol(")", "a comma or the closing parenthesis")?;
        Ok(all)
    }

    fn integer(&self, text: &str, span: Range<usize>) -> Result<Syntax, CompileError> {
        match text.parse() {
            Ok(number) => Ok(Syntax::Literal(Literal::Integer(number))),
            Err(_) => {
                let message = format!("{text} does not fit an integer of 32 bits");
                Err(error(self.text, span, message))
            }
        }
    }
}

fn is_reserved(name: &str) -> bool {
    ["and", "or", "xor", "not", "like", "in", "exists", "true", "false"]
        .iter()
        .any(|word| name.eq_ignore_ascii_case(word))
}

/// The one spelling of a symbol that tokens carry.
fn symbol_of(symbol: &str) -> &'static str {
    match symbol {
        "(" => "(",
        _ => ")",
    }
}

fn error(text: &str, span: Range<usize>, message: String) -> CompileError {
    CompileError::new(CompileErrorKind::Parse, text, span, message)
}

#[cfg(test)]
mod tests;
