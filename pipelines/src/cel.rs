//! Conditions in CEL: bounded, as they come from whoever may create a Pipeline, and hold what events brought.

use expressions::Allowance;
use kube_cel::cel::common::ast::{EntryExpr, Expr, IdedExpr};
use kube_cel::cel::parser::{Expression, Parser};
use kube_cel::cel::{Context, Value};

/// Bytes of an expression with everything put in.
pub const LONGEST: usize = 4096;
/// Steps that loops may take, by a rough bound: what is in an expression, once for each level of its loops.
const WORK: usize = 1 << 20;
/// Turns of loops, and bytes that patterns look at. In the end this is what bounds the work, but only when an expression
/// is evaluated; [`WORK`] says so before that, and bounds what is put together besides.
const ALLOWED: u64 = 1 << 22;
/// The evaluator recurses as deep as an expression is long.
const STACK: usize = 256 << 20;

/// An expression that says neither yes nor no.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the CEL expression is {0} bytes long, and {LONGEST} are allowed")]
    TooLong(usize),
    #[error("the CEL expression {0:?} loops over too much: use fewer macros, or fewer of them in each other")]
    TooMuch(String),
    #[error("the CEL expression {expression:?} is not valid: {why}")]
    Invalid { expression: String, why: String },
    #[error("the CEL expression {expression:?} cannot be evaluated: {why}")]
    Failed { expression: String, why: String },
    #[error("the CEL expression {0:?} must be true or false")]
    NotBoolean(String),
}

/// Is this an expression?
///
/// # Errors
/// [`Error::TooLong`], [`Error::TooMuch`], [`Error::Invalid`].
pub fn check(expression: &str) -> Result<(), Error> {
    on_a_stack(expression, |expression| parsed(expression).map(drop))
}

/// Does it hold?
///
/// # Errors
/// If it is no expression, cannot be evaluated, or is something else than true or false.
pub fn holds(expression: &str) -> Result<bool, Error> {
    on_a_stack(expression, |expression| {
        let mut parsed = parsed(expression)?;
        expressions::count(&mut parsed);
        let mut context = Context::default();
        Allowance::new(ALLOWED).register(&mut context);
        match Value::resolve(&parsed, &context) {
            Ok(Value::Bool(holds)) => Ok(holds),
            Ok(_) => Err(Error::NotBoolean(expression.to_owned())),
            Err(error) => Err(Error::Failed {
                expression: expression.to_owned(),
                why: error.to_string(),
            }),
        }
    })
}

fn parsed(expression: &str) -> Result<Expression, Error> {
    let parsed = Parser::default()
        .parse(expression)
        .map_err(|error| Error::Invalid {
            expression: expression.to_owned(),
            why: error.to_string(),
        })?;
    // With n bytes and c loops at most (n / (c + 1)) ^ (c + 1) things can be looked at.
    let loops = loops(&parsed);
    let each = expression.len() / (loops + 1) + 1;
    let work = u32::try_from(loops + 1)
        .ok()
        .and_then(|power| each.checked_pow(power))
        .filter(|work| *work <= WORK);
    match work {
        Some(_) => Ok(parsed),
        None => Err(Error::TooMuch(expression.to_owned())),
    }
}

/// How many loops there are. Those beside each other count as if they were in each other: one may go over what another
/// made.
fn loops(expression: &IdedExpr) -> usize {
    match &expression.expr {
        Expr::Call(call) => {
            let target = call.target.as_deref().map_or(0, loops);
            target + call.args.iter().map(loops).sum::<usize>()
        }
        Expr::Comprehension(found) => {
            let parts = [
                &found.iter_range,
                &found.accu_init,
                &found.loop_cond,
                &found.loop_step,
                &found.result,
            ];
            1 + parts.into_iter().map(loops).sum::<usize>()
        }
        Expr::List(list) => list.elements.iter().map(loops).sum(),
        Expr::Map(map) => map.entries.iter().map(|entry| of_entry(&entry.expr)).sum(),
        Expr::Struct(made) => made.entries.iter().map(|entry| of_entry(&entry.expr)).sum(),
        Expr::Select(select) => loops(&select.operand),
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => 0,
    }
}

fn of_entry(entry: &EntryExpr) -> usize {
    match entry {
        EntryExpr::StructField(field) => loops(&field.value),
        EntryExpr::MapEntry(entry) => loops(&entry.key) + loops(&entry.value),
    }
}

/// Runs `work` where there is room for deep recursion.
fn on_a_stack<T: Send>(
    expression: &str,
    work: impl FnOnce(&str) -> Result<T, Error> + Send,
) -> Result<T, Error> {
    if expression.len() > LONGEST {
        return Err(Error::TooLong(expression.len()));
    }
    let failed = |why: &str| Error::Failed {
        expression: expression.to_owned(),
        why: why.to_owned(),
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("cel".to_owned())
            .stack_size(STACK);
        match thread.spawn_scoped(scope, || work(expression)) {
            // The evaluator has panicked on input before.
            Ok(running) => running
                .join()
                .unwrap_or_else(|_| Err(failed("the evaluator gave up"))),
            Err(error) => Err(failed(&error.to_string())),
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn expressions_are_decided() {
        for (expression, expected) in [
            ("true", Ok(true)),
            ("'main' == 'main' && 2 > 1", Ok(true)),
            ("'x' in ['a', 'b']", Ok(false)),
            ("'release-1.2'.matches('^release-[0-9.]+$')", Ok(true)),
            ("'abc'.startsWith('ab') ? size('abc') == 3 : false", Ok(true)),
            ("['a', 'b'].exists(x, x == 'b')", Ok(true)),
            ("'text'", Err("must be true or false")),
            ("1 / 0 == 1", Err("cannot be evaluated")),
            ("unknown == 1", Err("cannot be evaluated")),
            ("1 ==", Err("is not valid")),
            ("", Err("is not valid")),
        ] {
            match (holds(expression), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{expression}"),
                (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{error}"),
                (found, expected) => panic!("{expression}: {found:?} is not {expected:?}"),
            }
        }
    }

    #[test]
    fn what_would_take_long_is_refused() {
        assert_eq!(
            holds(&format!("'{}' == ''", "x".repeat(LONGEST))),
            Err(Error::TooLong(LONGEST + 8))
        );
        let list = format!("[{}]", vec!["1"; 200].join(","));
        let nested = format!("{list}.all(a, {list}.all(b, {list}.all(c, a + b + c > 0)))");
        assert!(matches!(holds(&nested), Err(Error::TooMuch(_))));
        let doubled = format!("size(['x']{}) > 0", ".map(a, a + a + a + a)".repeat(40));
        assert!(matches!(holds(&doubled), Err(Error::TooMuch(_))));
        // A pattern for each turn is more than all else together.
        let list: Vec<String> = (0..300).map(|number| number.to_string()).collect();
        let patterns = format!(
            "[{}].exists(a, 'x'.matches('^\\\\w{{9}}' + string(a)))",
            list.join(",")
        );
        assert!(matches!(holds(&patterns), Err(Error::Failed { why, .. }) if why.contains("too much")));
    }

    #[test]
    fn what_is_deep_does_not_overflow() {
        for (open, middle, close) in [
            ("(", "true", ")"),
            ("!", "true", ""),
            ("[", "1", "]"),
            ("-", "1", ""),
        ] {
            let count = (LONGEST - 4) / (open.len() + close.len());
            let _ = holds(&format!("{}{middle}{}", open.repeat(count), close.repeat(count)));
        }
        for repeated in ["1+", "1 + ", "true && ", "true ? true : ", "'a' == 'a' == "] {
            let _ = holds(&format!("{}1", repeated.repeat((LONGEST - 1) / repeated.len())));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_text_has_an_answer(text in "(\\PC|'a'|true|&&|==|\\(|\\)|\\[|\\]|\\.map\\(x, x\\)|[0-9]| ){0,30}") {
            let _ = holds(&text);
        }
    }
}
