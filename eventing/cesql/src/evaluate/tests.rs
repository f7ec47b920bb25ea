use proptest::prelude::*;

use super::*;
use crate::error::EvaluationErrorKind::{self, Cast, FunctionEvaluation, Math, MissingAttribute};

fn event() -> BTreeMap<&'static str, Value<'static>> {
    BTreeMap::from([
        ("type", "order".into()),
        ("subject", "anna".into()),
        ("count", 7.into()),
        ("urgent", true.into()),
        ("number", "12".into()),
        ("empty", "".into()),
    ])
}

fn outcome(text: &str) -> (Value<'static>, Vec<EvaluationErrorKind>) {
    let expression = Expression::compile(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let event = event();
    let outcome = expression.evaluate(&event);
    let value = match outcome.value {
        Value::String(text) => text.into_owned().into(),
        Value::Integer(number) => number.into(),
        Value::Boolean(truth) => truth.into(),
    };
    let kinds = outcome
        .errors
        .iter()
        .map(EvaluationError::kind)
        .collect::<Vec<_>>();
    let passes = kinds.is_empty() && value == Value::Boolean(true);
    assert_eq!(expression.matches(&event), passes, "{text} as a filter");
    (value, kinds)
}

#[test]
fn values_and_errors() {
    let table: &[(&str, Value<'_>, &[EvaluationErrorKind])] = &[
        ("type = 'order' AND subject LIKE 'a%'", true.into(), &[]),
        ("count", 7.into(), &[]),
        ("missing", false.into(), &[MissingAttribute]),
        ("missing = 'x'", false.into(), &[MissingAttribute]),
        ("missing != 'x'", false.into(), &[MissingAttribute]),
        ("missing LIKE '%'", false.into(), &[MissingAttribute]),
        ("missing NOT IN (1)", false.into(), &[MissingAttribute]),
        ("1 / missing", 0.into(), &[MissingAttribute]),
        ("UPPER(missing)", "".into(), &[MissingAttribute]),
        (
            "missing = other",
            false.into(),
            &[MissingAttribute, MissingAttribute],
        ),
        ("EXISTS missing", false.into(), &[]),
        ("EXISTS empty", true.into(), &[]),
        // Even where the event says otherwise.
        (
            "EXISTS id AND EXISTS SOURCE AND EXISTS type AND EXISTS specversion",
            true.into(),
            &[],
        ),
        // The type of the right operand decides.
        ("number = 12", true.into(), &[]),
        ("12 = number", true.into(), &[]),
        ("'012' = 12", true.into(), &[]),
        ("12 = '012'", false.into(), &[]),
        ("count = '7'", true.into(), &[]),
        ("urgent = 'true'", true.into(), &[]),
        ("urgent = 'TRUE'", false.into(), &[]),
        ("'x' = 1", false.into(), &[Cast]),
        ("'x' != 1", false.into(), &[Cast]),
        // The type of the left operand decides.
        ("count IN ('7')", true.into(), &[]),
        ("count IN ('7', 'x')", true.into(), &[]),
        ("count IN ('x', '7')", false.into(), &[Cast]),
        ("'7' IN (07)", true.into(), &[]),
        ("count NOT IN (1, 2)", true.into(), &[]),
        ("'a' < 'b'", false.into(), &[Cast, Cast]),
        ("urgent > 0", true.into(), &[]),
        ("3 = 3 = TRUE", true.into(), &[]),
        // From left to right, though AND would bind tighter elsewhere.
        ("TRUE OR TRUE AND FALSE", false.into(), &[]),
        ("TRUE XOR TRUE XOR TRUE", true.into(), &[]),
        ("TRUE OR missing", true.into(), &[]),
        ("FALSE AND missing", false.into(), &[]),
        ("FALSE AND missing OR TRUE", true.into(), &[]),
        ("missing OR TRUE", false.into(), &[MissingAttribute]),
        ("NOT (missing = 'x')", false.into(), &[MissingAttribute]),
        ("TRUE XOR missing", false.into(), &[MissingAttribute]),
        ("NOT 'x'", false.into(), &[Cast]),
        ("NOT 10", false.into(), &[]),
        ("7 AND TRUE", true.into(), &[]),
        ("2147483647 + 1", 0.into(), &[Math]),
        ("-2147483648 / -1", 0.into(), &[Math]),
        ("-2147483648 % -1", 0.into(), &[]),
        ("- -2147483648", 0.into(), &[Math]),
        ("-7 / 2", (-3).into(), &[]),
        ("-7 % 2", (-1).into(), &[]),
        ("1 / 0 + 1", 0.into(), &[Math]),
        ("10 - 2 - 3", 5.into(), &[]),
        ("LEFT('abc', -2)", "abc".into(), &[FunctionEvaluation]),
        ("LENGTH(LEFT('abc', -2))", 0.into(), &[FunctionEvaluation]),
        ("INT('x')", 0.into(), &[Cast]),
        ("IS_INT('x')", false.into(), &[]),
        ("IS_INT(number) AND IS_INT(urgent)", true.into(), &[]),
        ("IS_BOOL('yes')", false.into(), &[]),
        ("IS_BOOL('False')", true.into(), &[]),
        (
            "CONCAT(type, '-', count, '-', urgent)",
            "order-7-true".into(),
            &[],
        ),
        ("CONCAT(a, b)", "".into(), &[MissingAttribute, MissingAttribute]),
        ("STRING(-5)", "-5".into(), &[]),
        ("ABS('-5')", 5.into(), &[]),
        ("'it\\'s' = \"it's\"", true.into(), &[]),
    ];
    for (text, value, errors) in table {
        assert_eq!(outcome(text), (value.clone(), errors.to_vec()), "{text}");
    }
}

#[test]
fn errors_say_what_to_change() {
    let table = [
        ("missing = 1", "the event has no attribute \"missing\""),
        ("subject + 1", "\"anna\" cannot be cast to Integer"),
        ("5 % 0", "division by zero"),
        (
            "SUBSTRING(subject, 9)",
            "SUBSTRING: the position is outside of the text",
        ),
    ];
    for (text, message) in table {
        let expression = Expression::compile(text).unwrap();
        assert_eq!(expression.evaluate(&event()).errors[0].to_string(), message);
    }
}

#[test]
fn no_event_makes_an_evaluation_long() {
    let row = |one: &str, between: &str| vec![one; 500].join(between);
    // Each place of the text is compared with all of the pattern: some 10^9 steps.
    let searching = format!("subject LIKE '%{}b%'", "a_".repeat(1000));
    let copying = row("LENGTH(UPPER(subject)) > 0", " AND ");
    let joining = format!("CONCAT_WS(subject, {}) = ''", row("''", ", "));
    let reading = row("subject = type", " OR ");
    let table = [
        (searching.as_str(), 1_000, false),
        (&searching, 1 << 20, true),
        (&copying, 1_000, false),
        (&copying, 1 << 20, true),
        (&joining, 1_000, false),
        (&reading, 1_000, false),
        (&reading, 1 << 20, true),
        ("subject LIKE '%b_b%' AND LENGTH(subject) > 0", 1 << 20, false),
        // The comparison with a text of the expression is as long as that.
        (&row("subject = 'x'", " OR "), 1 << 20, false),
    ];
    for (text, length, too_much) in table {
        let expression = Expression::compile(text).unwrap();
        let event = BTreeMap::from([("subject", Value::from("a".repeat(length))), ("type", "t".into())]);
        let errors = expression.evaluate(&event).errors;
        let refused = errors.contains(&EvaluationError::TooMuchWork(MAX_WORK));
        assert_eq!(
            refused,
            too_much,
            "{:.40} of {length}: {:?}",
            text,
            errors.first()
        );
        assert!(!(too_much && expression.matches(&event)));
    }
}

#[test]
fn the_deepest_expressions_fit_a_small_stack() {
    let deep = |open: &str, close: &str| {
        format!(
            "{}1{}",
            open.repeat(crate::MAX_DEPTH),
            close.repeat(crate::MAX_DEPTH)
        )
    };
    let row = vec!["count = 1"; 1000].join(" OR ");
    let texts = [
        deep("ABS(", ")"),
        deep("(0 + 1 * ", ")"),
        deep("1 IN (1 < 2 AND ", ")"),
        deep("", " IN (1)"),
        row,
    ];
    let run = move || {
        for text in &texts {
            let expression = Expression::compile(text).unwrap();
            let _ = expression.evaluate(&event());
            assert!(expression.clone().to_string() == *text);
            assert!(crate::Syntax::parse(text).unwrap().to_string().len() <= 2 * text.len());
        }
    };
    // Half of what the workers of the runtime have, without optimisation.
    std::thread::Builder::new()
        .stack_size(1024 * 1024)
        .spawn(run)
        .unwrap()
        .join()
        .unwrap();
}

proptest! {
    #[test]
    fn both_ways_to_evaluate_agree(text in "((NOT |- )?(count|type|missing|1|'x'|'7'|TRUE|INT\\('x'\\)) (=|<|\\+|AND|OR|XOR|/|%) ){0,6}count( LIKE '7%'| NOT IN \\(1, 7\\))?") {
        outcome(&text);
    }
}
