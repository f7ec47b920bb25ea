//! Template text to nodes.

use serde_json::Value;

use super::{Comparison, Filter, JsonPath, Node, Operand, ParseError, Path, Slice, Step};

/// Longest template.
const MAX_LENGTH: usize = 64 * 1024;

/// Deepest nesting of ranges and filters.
const MAX_DEPTH: usize = 32;

pub(super) fn template(text: &str) -> Result<JsonPath, ParseError> {
    let mut parser = Parser { text, position: 0 };
    if text.len() > MAX_LENGTH {
        return Err(parser.error(&format!("must not be longer than {MAX_LENGTH} bytes")));
    }
    let mut stack: Vec<(Path, Vec<Node>)> = Vec::new();
    let mut nodes = Vec::new();
    while !parser.rest().is_empty() {
        let Some(open) = parser.rest().find('{') else {
            nodes.push(Node::Text(parser.rest().to_owned()));
            break;
        };
        if open > 0 {
            nodes.push(Node::Text(parser.take(open).to_owned()));
        }
        parser.take(1);
        match parser.action()? {
            Action::Nodes(found) => nodes.extend(found),
            Action::Range(over) => {
                if stack.len() >= MAX_DEPTH {
                    return Err(parser.error("ranges nest too deep"));
                }
                stack.push((over, std::mem::take(&mut nodes)));
            }
            Action::End => {
                let Some((over, before)) = stack.pop() else {
                    return Err(parser.error("not in range, nothing to end"));
                };
                let body = std::mem::replace(&mut nodes, before);
                nodes.push(Node::Range { over, body });
            }
        }
    }
    if !stack.is_empty() {
        return Err(parser.error("the range is not closed by {end}"));
    }
    Ok(JsonPath { nodes })
}

enum Action {
    Nodes(Vec<Node>),
    Range(Path),
    End,
}

struct Parser<'a> {
    text: &'a str,
    position: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.position..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let taken = self.rest().get(..bytes).unwrap_or_default();
        self.position += taken.len();
        taken
    }

    fn skip_blanks(&mut self) {
        let rest = self.rest();
        self.position += rest.len() - rest.trim_start().len();
    }

    /// Skips `token` if it comes next.
    fn accept(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.position += token.len();
        }
        found
    }

    fn expect(&mut self, token: &str) -> Result<(), ParseError> {
        self.skip_blanks();
        if self.accept(token) {
            Ok(())
        } else {
            Err(self.error(&format!("expected {token:?}")))
        }
    }

    fn error(&self, problem: &str) -> ParseError {
        let template = self.text.chars().take(200).collect();
        ParseError {
            template,
            position: self.position,
            problem: problem.to_owned(),
        }
    }

    /// After the opening brace, up to and with the closing one.
    fn action(&mut self) -> Result<Action, ParseError> {
        self.skip_blanks();
        if self.keyword("end") {
            self.expect("}")?;
            return Ok(Action::End);
        }
        if self.keyword("range") {
            self.skip_blanks();
            let over = self.path(0)?;
            self.expect("}")?;
            return Ok(Action::Range(over));
        }
        let mut nodes = Vec::new();
        loop {
            self.skip_blanks();
            match self.peek() {
                None => return Err(self.error("unclosed action")),
                Some('}') => {
                    self.take(1);
                    return Ok(Action::Nodes(nodes));
                }
                Some('"' | '\'') => nodes.push(Node::Text(self.quoted()?)),
                Some(_) => nodes.push(Node::Path(self.path(0)?)),
            }
        }
    }

    /// A word of the language, not the start of a longer one.
    fn keyword(&mut self, word: &str) -> bool {
        let follows = self.rest().strip_prefix(word).map(|rest| rest.chars().next());
        let whole = matches!(follows, Some(None | Some('}' | ' ' | '\t' | '\n' | '\r')));
        if whole {
            self.position += word.len();
        }
        whole
    }

    fn path(&mut self, depth: usize) -> Result<Path, ParseError> {
        let start = self.position;
        let mut path = Path {
            from_root: self.accept("$"),
            steps: Vec::new(),
        };
        if !path.from_root {
            self.accept("@");
        }
        loop {
            if self.accept("..") {
                path.steps.push(Step::Recursive);
                if !matches!(self.peek(), Some('[' | '.')) {
                    self.field(&mut path)?;
                }
            } else if self.accept(".") {
                // A dot alone, or before a bracket, is the value itself.
                if self.peek().is_some_and(|next| !ends_name(next)) {
                    self.field(&mut path)?;
                }
            } else if self.accept("[") {
                path.steps.push(self.bracket(depth)?);
            } else if self.position == start && self.peek().is_some_and(|next| !ends_name(next)) {
                // `{metadata.name}`: the first dot may be left out.
                self.field(&mut path)?;
            } else {
                break;
            }
        }
        if self.position == start {
            return Err(self.error("expected a path"));
        }
        Ok(path)
    }

    fn field(&mut self, path: &mut Path) -> Result<(), ParseError> {
        let mut name = String::new();
        while let Some(next) = self.peek() {
            if next == '\\' {
                self.take(1);
                let Some(escaped) = self.peek() else {
                    return Err(self.error("unclosed escape"));
                };
                name.push(escaped);
                self.take(escaped.len_utf8());
            } else if ends_name(next) {
                break;
            } else {
                name.push(next);
                self.take(next.len_utf8());
            }
        }
        if name.is_empty() {
            return Err(self.error("expected the name of a field"));
        }
        path.steps.push(if name == "*" {
            Step::Wildcard
        } else {
            Step::Field(name)
        });
        Ok(())
    }

    /// After `[`, up to and with `]`.
    fn bracket(&mut self, depth: usize) -> Result<Step, ParseError> {
        self.skip_blanks();
        if self.accept("*") {
            self.expect("]")?;
            return Ok(Step::Wildcard);
        }
        if self.accept("?(") {
            if depth >= MAX_DEPTH {
                return Err(self.error("filters nest too deep"));
            }
            let filter = self.filter(depth + 1)?;
            self.expect(")")?;
            self.expect("]")?;
            return Ok(Step::Filter(Box::new(filter)));
        }
        if matches!(self.peek(), Some('\'' | '"')) {
            let mut names = vec![self.quoted()?];
            self.skip_blanks();
            while self.accept(",") {
                self.skip_blanks();
                names.push(self.quoted()?);
                self.skip_blanks();
            }
            self.expect("]")?;
            return Ok(match (names.len(), names.pop()) {
                (1, Some(only)) => Step::Field(only),
                (_, last) => Step::Fields(names.into_iter().chain(last).collect()),
            });
        }
        let mut slices = vec![self.slice()?];
        while self.accept(",") {
            slices.push(self.slice()?);
        }
        self.expect("]")?;
        Ok(Step::Items(slices))
    }

    fn slice(&mut self) -> Result<Slice, ParseError> {
        let start = self.integer()?;
        let single = !self.accept(":");
        if single {
            if start.is_none() {
                return Err(self.error("expected an index, a slice, a quoted name, * or ?(…)"));
            }
            return Ok(Slice {
                start,
                end: None,
                step: None,
                single,
            });
        }
        let end = self.integer()?;
        let step = if self.accept(":") { self.integer()? } else { None };
        if step.is_some_and(|step| step <= 0) {
            return Err(self.error("the step of a slice must be greater than 0"));
        }
        Ok(Slice {
            start,
            end,
            step,
            single,
        })
    }

    fn integer(&mut self) -> Result<Option<i64>, ParseError> {
        self.skip_blanks();
        let rest = self.rest();
        let length = rest
            .find(|ch: char| !ch.is_ascii_digit() && ch != '-')
            .unwrap_or(rest.len());
        let digits = self.take(length);
        self.skip_blanks();
        if digits.is_empty() {
            return Ok(None);
        }
        digits
            .parse()
            .map(Some)
            .map_err(|_| self.error("the index is not an integer"))
    }

    fn filter(&mut self, depth: usize) -> Result<Filter, ParseError> {
        const COMPARISONS: [(&str, Comparison); 6] = [
            ("==", Comparison::Equal),
            ("!=", Comparison::NotEqual),
            ("<=", Comparison::LessOrEqual),
            (">=", Comparison::GreaterOrEqual),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ];
        let left = self.operand(depth)?;
        self.skip_blanks();
        let found = COMPARISONS.iter().find(|(token, _)| self.accept(token));
        let comparison = match found {
            Some((_, comparison)) => Some((*comparison, self.operand(depth)?)),
            None => None,
        };
        Ok(Filter { left, comparison })
    }

    fn operand(&mut self, depth: usize) -> Result<Operand, ParseError> {
        self.skip_blanks();
        match self.peek() {
            Some('"' | '\'') => Ok(Operand::Literal(Value::String(self.quoted()?))),
            Some('@' | '$' | '.') => Ok(Operand::Path(self.path(depth)?)),
            _ => {
                let rest = self.rest();
                let length = rest.find([')', '=', '!', '<', '>', ' ']).unwrap_or(rest.len());
                let word = rest.get(..length).unwrap_or_default();
                let literal = match word {
                    "true" => Value::Bool(true),
                    "false" => Value::Bool(false),
                    "null" | "nil" => Value::Null,
                    number => match serde_json::from_str::<Value>(number) {
                        Ok(literal @ Value::Number(_)) => literal,
                        _ => return Err(self.error("expected @, a quoted text, a number, true or false")),
                    },
                };
                self.position += length;
                Ok(Operand::Literal(literal))
            }
        }
    }

    /// A text in single or double quotes, with the escapes of Go.
    fn quoted(&mut self) -> Result<String, ParseError> {
        let Some(quote @ ('"' | '\'')) = self.peek() else {
            return Err(self.error("expected a quoted text"));
        };
        self.take(1);
        let mut text = String::new();
        while let Some(next) = self.peek() {
            self.take(next.len_utf8());
            if next == quote {
                return Ok(text);
            }
            if next != '\\' {
                text.push(next);
                continue;
            }
            let Some(escaped) = self.peek() else { break };
            self.take(escaped.len_utf8());
            text.push(match escaped {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                '0' => '\0',
                other => other,
            });
        }
        Err(self.error("unterminated quoted text"))
    }
}

/// What cannot be in a field name unless escaped.
fn ends_name(ch: char) -> bool {
    ch.is_whitespace()
        || matches!(
            ch,
            '.' | '[' | ']' | '{' | '}' | '(' | ')' | ',' | '=' | '!' | '<' | '>' | '"' | '\'' | '|'
        )
}
