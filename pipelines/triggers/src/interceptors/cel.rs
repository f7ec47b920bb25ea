//! `cel`: a filter, and overlays that add what expressions make of the event.
//!
//! Expressions nest as deep as they are long, so they run on threads of their own with deep stacks, a few at a time.
//! Loops and patterns end when the time is over; what cannot be broken off all the same is given up on, and its thread
//! counts as taken until it ends.

mod functions;
mod loose;
mod values;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use expressions::Allowance;
use kube_cel::KubeCelExt as _;
use kube_cel::cel::parser::{Expression, Parser};
use kube_cel::cel::{Context, Value as Cel};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::{Semaphore, oneshot};

use super::Verdict;
use crate::event::Seen;

pub use functions::CompareSecret;

/// Longest expression.
const LONGEST: usize = 4 * 1024;
/// Signs that may be operators, in strings or not: sums and paths nest without parentheses, a level for each.
const MOST_OPERATORS: usize = 512;
/// Bytes of stack for as many: what is not used takes no memory.
const STACK: usize = 256 << 20;
/// How deep parentheses and prefixes may nest: the parser is recursive.
const DEEPEST: usize = 48;
/// Time that an interceptor's expressions may take together.
const LIMIT: Duration = Duration::from_secs(2);
/// Turns of loops, and bytes of the values that are looked at or made, of all expressions of an interceptor.
const ALLOWED: u64 = 1 << 26;
/// Interceptors that are evaluated at a time.
const THREADS: usize = 4;

/// What it is told.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Params {
    /// The event stops unless this is true.
    pub filter: String,
    /// What is added.
    pub overlays: Vec<Overlay>,
}

/// Something that is added.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Overlay {
    /// Its place in the extensions; dots lead deeper.
    pub key: String,
    /// What it is.
    pub expression: String,
}

/// The threads that expressions run on.
#[derive(Clone, Debug)]
pub struct Evaluator {
    threads: Arc<Semaphore>,
    /// Threads that go on though nobody waits for them any more.
    given_up: Arc<AtomicUsize>,
    limit: Duration,
}

impl Default for Evaluator {
    fn default() -> Self {
        Self {
            threads: Arc::new(Semaphore::new(THREADS)),
            given_up: Arc::default(),
            limit: LIMIT,
        }
    }
}

impl Evaluator {
    /// Will no thread be free, because what runs there does not end?
    pub fn is_stuck(&self) -> bool {
        self.given_up.load(Ordering::Relaxed) >= THREADS
    }

    /// Looks at an event on a thread of its own, once one is free: how long that may take is for the caller to say.
    pub async fn check(&self, params: Params, event: Seen, compare: CompareSecret) -> Verdict {
        let Ok(permit) = self.threads.clone().acquire_owned().await else {
            return Verdict::Fail("no expression is evaluated any more".to_owned());
        };
        let (told, mut verdict) = oneshot::channel();
        // Loops end when nobody waits for them any more.
        let allowance = Allowance::until(ALLOWED, Instant::now() + self.limit);
        let runtime = tokio::runtime::Handle::current();
        let started = std::thread::Builder::new()
            .name("cel".to_owned())
            .stack_size(STACK)
            .spawn(move || {
                let _permit = permit;
                // What compares secrets waits for the API.
                let _runtime = runtime.enter();
                // Nobody may be waiting any more.
                let _ = told.send(check(&params, &event, compare, &allowance));
            });
        if let Err(error) = started {
            return Verdict::Fail(format!("no thread can be started: {error}"));
        }
        match tokio::time::timeout(self.limit, &mut verdict).await {
            Ok(Ok(verdict)) => verdict,
            Ok(Err(_)) => Verdict::Stop("an expression cannot be evaluated".to_owned()),
            Err(_) => {
                let given_up = self.given_up.clone();
                given_up.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(async move {
                    let _ = verdict.await;
                    given_up.fetch_sub(1, Ordering::Relaxed);
                });
                Verdict::Fail(format!("the expressions did not end within {:?}", self.limit))
            }
        }
    }
}

/// Looks at an event. Takes as long as its expressions do, and they end when they have spent what is allowed.
pub fn check(params: &Params, event: &Seen, compare: CompareSecret, allowance: &Allowance) -> Verdict {
    let mut context = Context::default();
    context.register_all();
    allowance.register(&mut context);
    allowance.register_texts(&mut context);
    functions::register(&mut context, compare, allowance);
    loose::register(&mut context);
    context.add_variable_from_value("body", values::to_cel(&event.body));
    context.add_variable_from_value("header", values::to_cel(&json!(event.header_lists())));
    context.add_variable_from_value(
        "extensions",
        values::to_cel(&Value::Object(event.extensions.clone())),
    );
    context.add_variable_from_value("requestURL", Cel::String(Arc::new(event.url.clone())));
    if !params.filter.is_empty() {
        match evaluate(&params.filter, &context) {
            Ok(Cel::Bool(true)) => {}
            Ok(Cel::Bool(false)) => {
                return Verdict::Stop(format!("expression {} did not return true", params.filter));
            }
            Ok(_) => return Verdict::Stop(format!("expression {} is neither true nor false", params.filter)),
            Err(problem) => return Verdict::Stop(problem),
        }
    }
    let mut extensions = Map::new();
    for overlay in &params.overlays {
        let value = match evaluate(&overlay.expression, &context) {
            Ok(value) => values::to_json(&value),
            Err(problem) => return Verdict::Stop(problem),
        };
        let Some(value) = value else {
            return Verdict::Stop(format!(
                "expression {} gives what JSON has no words for",
                overlay.expression
            ));
        };
        if let Err(problem) = put(&mut extensions, &overlay.key, value) {
            return Verdict::Stop(problem);
        }
    }
    // Extensions are merged by their first names alone, so what others have put beside an overlay is taken along.
    for (name, value) in &mut extensions {
        if let (Some(Value::Object(old)), Value::Object(new)) = (event.extensions.get(name), value) {
            merge(new, old);
        }
    }
    Verdict::Continue(extensions)
}

/// Adds to `new` what only `old` has.
fn merge(new: &mut Map<String, Value>, old: &Map<String, Value>) {
    for (name, value) in old {
        match (new.get_mut(name), value) {
            (None, value) => {
                new.insert(name.clone(), value.clone());
            }
            (Some(Value::Object(new)), Value::Object(old)) => merge(new, old),
            (Some(_), _) => {}
        }
    }
}

fn evaluate(expression: &str, context: &Context<'_>) -> Result<Cel, String> {
    let mut parsed = parse(expression)?;
    loose::loosen(&mut parsed);
    expressions::count(&mut parsed);
    Cel::resolve(&parsed, context)
        .map_err(|error| format!("expression {expression} cannot be evaluated: {error}"))
}

fn parse(expression: &str) -> Result<Expression, String> {
    if expression.len() > LONGEST {
        return Err(format!("an expression has more than {LONGEST} bytes"));
    }
    if operators(expression) > MOST_OPERATORS {
        return Err(format!("an expression has more than {MOST_OPERATORS} operators"));
    }
    if depth(expression) > DEEPEST {
        return Err(format!("an expression nests deeper than {DEEPEST}"));
    }
    Parser::default()
        .parse(expression)
        .map_err(|error| format!("expression {expression} cannot be read: {error}"))
}

/// How many operators an expression has at most.
fn operators(expression: &str) -> usize {
    let signs = expression.matches(|letter: char| letter.is_ascii_punctuation() && !"_,'\"".contains(letter));
    signs.count() + expression.matches("in").count()
}

/// How deep an expression nests at most: by parentheses, and by what stands before, or between, what is nested without
/// them.
fn depth(expression: &str) -> usize {
    let (mut open, mut deepest, mut prefixes, mut branches) = (0usize, 0usize, 0usize, 0usize);
    for letter in expression.chars() {
        match letter {
            '(' | '[' | '{' => open += 1,
            ')' | ']' | '}' => open = open.saturating_sub(1),
            '!' | '-' => prefixes += 1,
            '?' => branches += 1,
            letter if letter.is_whitespace() => {}
            _ => prefixes = 0,
        }
        deepest = deepest.max(open + prefixes + branches);
    }
    deepest
}

/// Puts a value where a key with dots leads.
fn put(map: &mut Map<String, Value>, key: &str, value: Value) -> Result<(), String> {
    match key.split_once('.') {
        None if key.is_empty() => Err("an overlay has no key".to_owned()),
        None => {
            map.insert(key.to_owned(), value);
            Ok(())
        }
        Some((first, rest)) => match map
            .entry(first.to_owned())
            .or_insert_with(|| Value::Object(Map::new()))
        {
            Value::Object(inner) => put(inner, rest, value),
            _ => Err(format!(
                "the overlay {key:?} leads into another one that is no object"
            )),
        },
    }
}

#[cfg(test)]
mod tests;
