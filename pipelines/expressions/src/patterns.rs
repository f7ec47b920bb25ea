//! Functions that use regular expressions: each pattern is read once, and may not grow large.

use std::collections::HashMap;
use std::sync::Arc;

use kube_cel::cel::extractors::{Arguments, This};
use kube_cel::cel::{Context, ExecutionError, Value};
use regex::{Regex, RegexBuilder};

use crate::Allowance;

/// What it costs to read a pattern, compared with a turn of a loop.
pub(crate) const NEW: u64 = 1 << 16;
/// Bytes that a pattern may take once it is compiled.
const LARGEST: usize = 1 << 20;
/// Patterns that are remembered in one evaluation.
const MOST: usize = 64;

/// Patterns that were read.
pub(crate) type Patterns = HashMap<String, Regex>;

type Made = Result<Value, ExecutionError>;

fn error(function: &str, problem: impl std::fmt::Display) -> ExecutionError {
    ExecutionError::FunctionError {
        function: function.to_owned(),
        message: problem.to_string(),
    }
}

impl Allowance {
    /// A pattern, to be compared with a text of so many bytes. `function` is who asks, for the error.
    ///
    /// # Errors
    /// If it is no pattern, is too large, or more is spent than is left.
    pub fn pattern(&self, function: &str, pattern: &str, bytes: usize) -> Result<Regex, ExecutionError> {
        self.spend(u64::try_from(bytes).unwrap_or(u64::MAX))?;
        if let Some(known) = self.patterns().lock().get(pattern) {
            return Ok(known.clone());
        }
        self.spend(NEW)?;
        let compiled = RegexBuilder::new(pattern)
            .size_limit(LARGEST)
            .dfa_size_limit(LARGEST)
            .build()
            .map_err(|problem| error(function, format!("{pattern:?} is no pattern: {problem}")))?;
        let mut known = self.patterns().lock();
        if known.len() < MOST {
            known.insert(pattern.to_owned(), compiled.clone());
        }
        Ok(compiled)
    }
}

pub(crate) fn register(context: &mut Context<'_>, allowance: &Allowance) {
    let spent = allowance.clone();
    context.add_function(
        "matches",
        move |This(text): This<Arc<String>>, pattern: Arc<String>| -> Made {
            let pattern = spent.pattern("matches", &pattern, text.len())?;
            Ok(Value::Bool(pattern.is_match(&text)))
        },
    );
    let spent = allowance.clone();
    context.add_function(
        "find",
        move |This(text): This<Arc<String>>, pattern: Arc<String>| -> Made {
            let pattern = spent.pattern("find", &pattern, text.len())?;
            let found = pattern.find(&text).map_or("", |found| found.as_str());
            Ok(Value::String(Arc::new(found.to_owned())))
        },
    );
    let spent = allowance.clone();
    context.add_function(
        "findAll",
        move |This(text): This<Arc<String>>, Arguments(rest): Arguments| find_all(&spent, &text, &rest),
    );
}

fn find_all(allowance: &Allowance, text: &str, rest: &[Value]) -> Made {
    let (pattern, most) = match rest {
        [Value::String(pattern)] => (pattern, usize::MAX),
        [Value::String(pattern), Value::Int(most)] => (pattern, usize::try_from(*most).unwrap_or(usize::MAX)),
        _ => {
            return Err(error(
                "findAll",
                "it needs a pattern, and may be told how many to find",
            ));
        }
    };
    let pattern = allowance.pattern("findAll", pattern, text.len())?;
    let found = pattern.find_iter(text).take(most);
    let found = found.map(|found| Value::String(Arc::new(found.as_str().to_owned())));
    Ok(Value::List(Arc::new(found.collect())))
}
