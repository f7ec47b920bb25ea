//! JSONPath in the Kubernetes dialect (`client-go/util/jsonpath`): `-o jsonpath=…`, printer columns, `kubectl wait`.
//!
//! A template is text with actions in braces: `{range .items[*]}{.metadata.name}{"\t"}{.status.phase}{"\n"}{end}`.
//! In an action stand a path, a quoted text, or `range … end`. Paths know fields (`.a`, `['a']`, `\.` for a dot in a
//! name), wildcards, recursion (`..a`), indices, slices and unions (`[0,-1]`, `[1:3]`, `['a','b']`) and filters
//! (`[?(@.type=="Ready")]`). What is missing is left out, as kubectl does.

mod eval;
mod parse;

use serde_json::Value;

/// Why a text is no JSONPath template.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("JSONPath {template:?}, position {position}: {problem}")]
pub struct ParseError {
    template: String,
    position: usize,
    problem: String,
}

/// Why a template cannot be rendered for a value.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum RenderError {
    /// An index is not in the list.
    #[error("array index out of bounds: index {index}, length {length}")]
    OutOfBounds {
        /// The index as written; negative ones count from the end.
        index: i64,
        /// Length of the list.
        length: usize,
    },
    /// The template visits more values, or prints more text, than any real use.
    #[error("the JSONPath template produces too much")]
    TooMuch,
}

/// A parsed template.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonPath {
    nodes: Vec<Node>,
}

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Text(String),
    Path(Path),
    Range { over: Path, body: Vec<Node> },
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Path {
    /// `$`: from the whole document, also inside a range or filter.
    from_root: bool,
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    Fields(Vec<String>),
    Wildcard,
    Recursive,
    Items(Vec<Slice>),
    Filter(Box<Filter>),
}

/// `[start:end:step]`; a plain index has only a start and says so.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Slice {
    start: Option<i64>,
    end: Option<i64>,
    step: Option<i64>,
    single: bool,
}

#[derive(Clone, Debug, PartialEq)]
struct Filter {
    left: Operand,
    /// Absent in `[?(@.a)]`, which asks whether there is one.
    comparison: Option<(Comparison, Operand)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Debug, PartialEq)]
enum Operand {
    Path(Path),
    Literal(Value),
}

impl JsonPath {
    /// Parses a template: text and actions in braces.
    ///
    /// # Errors
    /// If an action is not closed or not understood, or the template is too long or nests too deep.
    pub fn parse(template: &str) -> Result<Self, ParseError> {
        parse::template(template)
    }

    /// Parses a path that may come without braces and without a first dot, as in a printer column, `custom-columns`
    /// or `--sort-by`: `.spec.replicas`, `spec.replicas`, `{.spec.replicas}`.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_relaxed(path: &str) -> Result<Self, ParseError> {
        let trimmed = path.trim();
        if trimmed.starts_with('{') {
            return Self::parse(trimmed);
        }
        let dot = if trimmed.starts_with(['.', '[', '$', '@']) {
            ""
        } else {
            "."
        };
        Self::parse(&format!("{{{dot}{trimmed}}}"))
    }

    /// Every value that the paths of the template lead to, in order. Text is left out, as is what does not exist.
    #[must_use]
    pub fn find<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        eval::find(&self.nodes, value)
    }

    /// The template with the values in place of the actions: texts as they are, several values with a blank
    /// between, lists and objects as JSON.
    ///
    /// # Errors
    /// If an index is out of bounds or the result is too large.
    pub fn render(&self, value: &Value) -> Result<String, RenderError> {
        eval::render(&self.nodes, value)
    }
}

#[cfg(test)]
mod tests;
