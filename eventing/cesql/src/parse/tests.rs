use proptest::prelude::*;

use super::*;

fn printed(text: &str) -> String {
    match Syntax::parse(text) {
        Ok(tree) => tree.to_string(),
        Err(error) => format!("! {error}"),
    }
}

#[test]
fn precedence() {
    // What is printed has only the parentheses that are needed, so the operand of each operator can be seen by
    // adding them: both columns must be the same tree.
    let table = [
        ("NOT a AND b", "(NOT a) AND b"),
        ("NOT a = b", "(NOT a) = b"),
        ("NOT a LIKE 'x'", "(NOT a) LIKE 'x'"),
        ("NOT EXISTS a", "NOT (EXISTS a)"),
        ("NOT a IN (1)", "(NOT a) IN (1)"),
        ("- a * b", "(- a) * b"),
        ("2 * 3 IN (6)", "2 * (3 IN (6))"),
        ("a + b * c - d", "a + (b * c) - d"),
        ("a < b + c", "a < (b + c)"),
        ("a = b AND c = d", "(a = b) AND (c = d)"),
        ("EXISTS a LIKE 'tr%'", "(EXISTS a) LIKE 'tr%'"),
        ("4 -1", "4 - 1"),
        ("4-1", "4 - 1"),
        ("4 + -1", "4 + (-1)"),
        ("ABS(a) + 1", "(ABS(a)) + 1"),
    ];
    for (text, same) in table {
        assert_eq!(printed(text), printed(same), "{text}");
        assert!(!printed(text).starts_with('!'), "{}", printed(text));
    }
}

#[test]
fn what_is_printed() {
    let table = [
        ("a or b and c", "a OR b AND c"),
        ("(a or b) and c", "(a OR b) AND c"),
        ("a or (b and c)", "a OR (b AND c)"),
        ("((a))", "a"),
        ("SOURCE", "source"),
        ("int('1')", "INT('1')"),
        ("--10", "- -10"),
        ("- 10", "- 10"),
        ("-2147483648", "-2147483648"),
        ("+7", "7"),
        ("a not like 'x'", "a NOT LIKE 'x'"),
        ("a in (1, 'b', c)", "a IN (1, 'b', c)"),
        ("(a + b) * c", "(a + b) * c"),
        ("NOT (a AND b)", "NOT (a AND b)"),
        ("CONCAT()", "CONCAT()"),
        ("c1d2e3 <> 1", "c1d2e3 != 1"),
        ("exists 12", "EXISTS 12"),
    ];
    for (text, expected) in table {
        assert_eq!(printed(text), expected, "{text}");
    }
}

#[test]
fn errors_say_what_and_where() {
    let table = [
        (
            "",
            "! expected an attribute, a value, a function or a parenthesis, found the end at column 1",
        ),
        (
            "a =",
            "! expected an attribute, a value, a function or a parenthesis, found the end at column 4",
        ),
        ("a b", "! expected the end or an operator, found b at column 3"),
        (
            "x LIKE 123",
            "! expected a pattern in quotes after LIKE, found 123 at column 8",
        ),
        ("a NOT b", "! expected LIKE or IN after NOT, found b at column 7"),
        (
            "a IN ()",
            "! expected an attribute, a value, a function or a parenthesis, found ) at column 7",
        ),
        (
            "a IN 3",
            "! expected a list in parentheses after IN, found 3 at column 6",
        ),
        (
            "ABS(",
            "! expected an attribute, a value, a function or a parenthesis, found the end at column 5",
        ),
        (
            "ABS(1",
            "! expected a comma or the closing parenthesis, found the end at column 6",
        ),
        (
            "(1",
            "! expected an operator or the closing parenthesis, found the end at column 3",
        ),
        ("'ä' = 'b", "! this text has no closing quote: 'b at column 7"),
        (
            "'a''b'",
            "! a quote within a text is written with a backslash before it at column 4",
        ),
        ("a && b", "! unexpected character: & at column 3"),
        (
            "2147483648",
            "! 2147483648 does not fit an integer of 32 bits at column 1",
        ),
        (
            "+ a",
            "! expected digits right after the sign +, found a at column 3",
        ),
        (
            "EXISTS 'a'",
            "! expected the name of an attribute after EXISTS, found 'a' at column 8",
        ),
        (
            "IS_INT",
            "! expected the arguments of the function in parentheses, found the end at column 7",
        ),
        (
            "and",
            "! expected an attribute, a value, a function or a parenthesis, found and at column 1",
        ),
        (
            "a_1",
            "! names of attributes have only letters and digits, those of functions only letters and underscores: a_1 at column 1",
        ),
    ];
    for (text, expected) in table {
        assert_eq!(printed(text), expected, "{text}");
    }
}

#[test]
fn length_and_depth_are_bounded() {
    let row = vec!["a = 1"; 1500].join(" OR ");
    assert!(Syntax::parse(&row).is_ok());
    assert!(Syntax::parse(&" ".repeat(MAX_LENGTH + 1)).is_err());
    let nested = |open: &str, close: &str, depth: usize| {
        Syntax::parse(&format!("{}1{}", open.repeat(depth), close.repeat(depth))).is_ok()
    };
    for (open, close) in [
        ("(", ")"),
        ("NOT ", ""),
        ("- ", ""),
        ("ABS(", ")"),
        ("1 IN (", ")"),
        ("", " LIKE 'a'"),
    ] {
        assert!(nested(open, close, MAX_DEPTH), "{open}{close}");
        assert!(!nested(open, close, MAX_DEPTH + 1), "{open}{close}");
    }
}

/// Texts made of what expressions are made of.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a",
        "b1",
        "(",
        ")",
        ",",
        "'x'",
        "\"y\"",
        "'%_\\%'",
        "1",
        "-",
        "+",
        "*",
        "/",
        "%",
        "=",
        "<>",
        "<",
        ">=",
        "AND",
        "or",
        "XOR",
        "NOT",
        "LIKE",
        "IN",
        "EXISTS",
        "true",
        "FALSE",
        "ABS",
        "IS_INT",
        "CONCAT",
        " ",
        "9999999999",
        "\\",
        "'",
        "ü",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.join(" "))
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        let _ = Syntax::parse(&text);
    }

    #[test]
    fn what_is_printed_reads_back(text in pieces()) {
        if let Ok(tree) = Syntax::parse(&text) {
            prop_assert_eq!(printed(&tree.to_string()), tree.to_string());
        }
    }

    #[test]
    fn trees_read_back(tree in tree()) {
        prop_assert_eq!(printed(&tree.to_string()), tree.to_string());
    }
}

/// Well-formed trees, which random texts seldom are.
fn tree() -> impl Strategy<Value = Syntax> {
    let leaf = prop_oneof![
        "[a-z]{1,3}[0-9]{0,2}x".prop_map(Syntax::Attribute),
        any::<bool>().prop_map(|truth| Syntax::Literal(Literal::Boolean(truth))),
        any::<i32>().prop_map(|number| Syntax::Literal(Literal::Integer(number))),
        "'([a-z%_\"ü]|\\\\.)*'".prop_map(|raw| Syntax::Literal(Literal::String(raw))),
        "[a-z]{1,3}x".prop_map(Syntax::Exists),
    ];
    leaf.prop_recursive(5, 40, 4, |inner| {
        let boxed = inner.clone().prop_map(Box::new);
        let several = prop::collection::vec(inner.clone(), 1..4);
        let operators = prop::sample::select(vec![
            vec![Operator::And, Operator::Or, Operator::Xor],
            vec![
                Operator::Equal,
                Operator::NotEqual,
                Operator::Less,
                Operator::GreaterOrEqual,
            ],
            vec![Operator::Add, Operator::Subtract],
            vec![Operator::Multiply, Operator::Divide, Operator::Remainder],
        ]);
        let chain = (
            operators,
            inner,
            prop::collection::vec((any::<prop::sample::Index>(), several.clone()), 1..4),
        )
            .prop_map(|(operators, first, rest)| {
                let rest = rest
                    .into_iter()
                    .filter_map(|(index, mut some)| Some((*index.get(&operators), some.pop()?)))
                    .collect();
                Syntax::Chain(Box::new(Chain { first, rest }))
            });
        prop_oneof![
            boxed.clone().prop_map(Syntax::Not),
            boxed.clone().prop_map(Syntax::Negate),
            (boxed.clone(), any::<bool>()).prop_map(|(operand, negated)| Syntax::Like {
                operand,
                negated,
                pattern: "'a%'".to_owned()
            }),
            (boxed, any::<bool>(), several.clone()).prop_map(|(operand, negated, elements)| Syntax::In {
                operand,
                negated,
                elements
            }),
            several.prop_map(|arguments| Syntax::Call {
                function: "CONCAT".to_owned(),
                arguments,
                span: 0..0
            }),
            chain,
        ]
    })
}
