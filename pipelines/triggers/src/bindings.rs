//! Bindings: the params that an event gives.

mod expression;

use std::collections::BTreeMap;

use crds::triggers::BindingParam;
use serde_json::{Value, json};

use crate::event::{Seen, canonical};

pub use expression::{Expression, ExpressionError, Path, Piece, Root};

/// Why an event gives no params.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BindingError {
    /// Two bindings, or two params of one, have the same name.
    #[error("the param {0:?} comes from two bindings")]
    Twice(String),
    /// An expression is none.
    #[error("the param {name:?}: {error}")]
    Expression {
        /// Name of the param.
        name: String,
        /// What is wrong with it.
        error: ExpressionError,
    },
}

/// What an event gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// The params.
    pub params: BTreeMap<String, String>,
    /// Params that are bound to what the event does not have, by name, with the expression.
    pub missing: BTreeMap<String, String>,
}

/// The params of an event.
///
/// # Errors
/// If a name is there twice, or an expression cannot be read.
pub fn resolve<'a>(
    params: impl IntoIterator<Item = &'a BindingParam>,
    event: &Seen,
) -> Result<Given, BindingError> {
    let mut given = Given::default();
    for param in params {
        let name = param.name.clone();
        if given.params.contains_key(&name) || given.missing.contains_key(&name) {
            return Err(BindingError::Twice(name));
        }
        let expression = Expression::parse(&param.value).map_err(|error| BindingError::Expression {
            name: name.clone(),
            error,
        })?;
        match value(&expression, event) {
            Ok(value) => given.params.insert(name, value),
            Err(missing) => given.missing.insert(name, missing),
        };
    }
    Ok(given)
}

/// The text with what the event has in place of the paths.
///
/// What comes from the event is marked where it could be read as a variable: `$(` becomes `$$(`, also where its end
/// meets the text around it.
///
/// # Errors
/// The path that leads to nothing.
fn value(expression: &Expression, event: &Seen) -> Result<String, String> {
    let mut out = String::new();
    let mut tainted = false;
    for piece in expression.pieces() {
        match piece {
            Piece::Text(text) => {
                if tainted {
                    separate(&mut out, text);
                }
                out.push_str(text);
                tainted = false;
            }
            Piece::Path(path) => {
                let found = look_up(path, event).ok_or_else(|| path.source.clone())?;
                let escaped = escape(&found);
                separate(&mut out, &escaped);
                out.push_str(&escaped);
                tainted = true;
            }
        }
    }
    Ok(out)
}

/// Keeps a `$` at the end of `out` and a `(` at the start of `next` from becoming a variable.
pub(crate) fn separate(out: &mut String, next: &str) {
    if next.starts_with('(') && out.ends_with('$') && !out.ends_with("$$") {
        out.push('$');
    }
}

/// A text in which nothing is a variable any more.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("$(") {
        let (before, after) = rest.split_at(at);
        out.push_str(before);
        // However many dollars stand before it, what is read as a variable is one of them: two more make it none.
        if !out.ends_with('$') {
            out.push('$');
        }
        out.push_str("$(");
        rest = after.get(2..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// The text of what a path leads to.
fn look_up(path: &Path, event: &Seen) -> Option<String> {
    match path.root {
        Root::Body => text_of(&path.find(&event.body)),
        Root::Extensions => text_of(&path.find(&Value::Object(event.extensions.clone()))),
        Root::Context => text_of(&path.find(&json!({"eventID": event.id}))),
        Root::Header => match &path.header {
            Some(name) => {
                let values: Vec<&str> = event
                    .headers
                    .get_all(canonical(name))
                    .iter()
                    .filter_map(|value| value.to_str().ok())
                    .collect();
                (!values.is_empty()).then(|| values.join(","))
            }
            None => text_of(&path.find(&json!(event.header_lists()))),
        },
    }
}

/// A text as it is, everything else as JSON; several values are a list. None if there is none.
fn text_of(found: &[&Value]) -> Option<String> {
    match found {
        [] => None,
        [Value::String(text)] => Some(text.clone()),
        [only] => Some(only.to_string()),
        several => Some(json!(several).to_string()),
    }
}

#[cfg(test)]
pub(crate) mod tests;
