//! Texts with paths into an event in them: `refs $(body.ref) of $(header.X-GitHub-Event)`.
//!
//! What stands between `$(` and the `)` that belongs to it is a path in the dialect of Kubernetes, without braces and
//! with its first dot left out. `$$(` is text, and so is a `$(` that is never closed.

use formats::jsonpath::JsonPath;
use serde_json::Value;

/// Longest text that is read.
const LONGEST: usize = 64 * 1024;

/// What is wrong with an expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// It is none of the four.
    #[error("$({0}) must start with body, header, extensions or context")]
    Root(String),
    /// It is no path.
    #[error("$({expression}) is no path: {problem}")]
    Path {
        /// What stands between the parentheses.
        expression: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Nobody writes such a text by hand.
    #[error("a value has at most {LONGEST} bytes")]
    TooLong,
}

/// A text with paths in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    pieces: Vec<Piece>,
}

/// A part of such a text.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    /// It stands for itself.
    Text(String),
    /// It stands for something in the event.
    Path(Box<Path>),
}

/// Where in the event something is.
#[derive(Clone, Debug, PartialEq)]
pub struct Path {
    /// As it is written, with `$(` and `)`.
    pub source: String,
    /// Which part of the event.
    pub root: Root,
    /// The name, of a header.
    pub header: Option<String>,
    /// The rest of the path; the whole part without it.
    rest: Option<JsonPath>,
}

/// The parts of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// What was sent.
    Body,
    /// Its headers.
    Header,
    /// What interceptors added.
    Extensions,
    /// What the listener knows.
    Context,
}

impl Expression {
    /// Reads a text.
    ///
    /// # Errors
    /// If something between `$(` and `)` is no path into an event.
    pub fn parse(text: &str) -> Result<Self, ExpressionError> {
        if text.len() > LONGEST {
            return Err(ExpressionError::TooLong);
        }
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("$(") {
            let (before, from) = rest.split_at(at);
            plain.push_str(before);
            let inside = from.get(2..).unwrap_or_default();
            let escaped = plain.ends_with('$');
            match closing(inside).filter(|_| !escaped) {
                Some(end) => {
                    let (expression, after) = inside.split_at(end);
                    let path = Path::parse(expression)?;
                    if !plain.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut plain)));
                    }
                    pieces.push(Piece::Path(Box::new(path)));
                    rest = after.get(1..).unwrap_or_default();
                }
                None => {
                    plain.push_str("$(");
                    rest = inside;
                }
            }
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self { pieces })
    }

    /// The parts of the text, in order.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }
}

impl Path {
    fn parse(expression: &str) -> Result<Self, ExpressionError> {
        let trimmed = expression.trim();
        let dotted = trimmed.strip_prefix('.').unwrap_or(trimmed);
        let end = dotted
            .find(|letter: char| !letter.is_ascii_alphanumeric())
            .unwrap_or(dotted.len());
        let (root, rest) = dotted.split_at(end);
        let root = match root {
            "body" => Root::Body,
            "header" => Root::Header,
            "extensions" => Root::Extensions,
            "context" => Root::Context,
            _ => return Err(ExpressionError::Root(expression.to_owned())),
        };
        let problem = |problem: String| ExpressionError::Path {
            expression: expression.to_owned(),
            problem,
        };
        if !(rest.is_empty() || rest.starts_with('.') || rest.starts_with('[')) {
            return Err(problem(format!("{rest:?} does not belong there")));
        }
        let source = format!("$({expression})");
        let header = (root == Root::Header).then(|| header_name(rest)).flatten();
        let path = if rest.is_empty() || rest == "." || header.is_some() {
            None
        } else {
            let template = format!("{{{rest}}}");
            Some(JsonPath::parse(&template).map_err(|error| problem(error.to_string()))?)
        };
        Ok(Self {
            source,
            root,
            header,
            rest: path,
        })
    }

    /// Everything that the path leads to.
    pub fn find<'v>(&self, part: &'v Value) -> Vec<&'v Value> {
        match &self.rest {
            Some(path) => path.find(part),
            None => vec![part],
        }
    }
}

/// The name of a header from `.Name`, `['Name']` or `["Name"]`.
fn header_name(rest: &str) -> Option<String> {
    let quoted = |quote: &str| {
        rest.strip_prefix('[')?
            .strip_prefix(quote)?
            .strip_suffix(']')?
            .strip_suffix(quote)
    };
    let name = rest
        .strip_prefix('.')
        .or_else(|| quoted("'"))
        .or_else(|| quoted("\""))?;
    let good = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    good.then(|| name.to_owned())
}

/// Where the parenthesis is closed that was opened before `text`; those in quotes do not count.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    let mut quote = None;
    let mut escaped = false;
    for (at, letter) in text.char_indices() {
        if escaped {
            escaped = false;
            continue;
        }
        match (letter, quote) {
            ('\\', _) => escaped = true,
            (letter, Some(open)) if letter == open => quote = None,
            (_, Some(_)) => {}
            ('"' | '\'', None) => quote = Some(letter),
            ('(', None) => depth += 1,
            (')', None) if depth == 0 => return Some(at),
            (')', None) => depth -= 1,
            _ => {}
        }
    }
    None
}
