#![no_main]

use std::collections::BTreeMap;

use cesql::{Expression, Syntax, Value};
use libfuzzer_sys::fuzz_target;

// What is printed means what was read; a filter passes what evaluates to true without an error, and nothing else.
fuzz_target!(|text: &str| {
    let event = BTreeMap::from([
        ("type", Value::from("x")),
        ("subject", Value::from("a_ü")),
        ("a", Value::from(-7)),
        ("b", Value::from(true)),
    ]);
    let Ok(syntax) = Syntax::parse(text) else {
        assert!(Expression::compile(text).is_err());
        return;
    };
    let printed = syntax.to_string();
    // The printed form may be longer, by blanks, than what is allowed.
    if printed.len() > cesql::MAX_LENGTH {
        return;
    }
    assert_eq!(
        Syntax::parse(&printed).map(|again| again.to_string()).as_deref(),
        Ok(printed.as_str())
    );
    if let Ok(expression) = Expression::compile(text) {
        let outcome = expression.evaluate(&event);
        let passes = outcome.errors.is_empty() && outcome.value == Value::Boolean(true);
        assert_eq!(expression.matches(&event), passes);
        let again = Expression::compile(&printed).map(|again| again.evaluate(&event) == outcome);
        assert_eq!(again, Ok(true));
    }
});
