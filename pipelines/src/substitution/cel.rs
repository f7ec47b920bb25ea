//! Variables within an expression in CEL.
//!
//! What is put in must not become a part of the program: within a literal it is escaped, and elsewhere it is a literal
//! itself, unless it is a number or a truth value.

use std::iter::Peekable;
use std::str::Chars;

use super::scope::{Error, Scope};
use super::template::{Piece, Template};

/// Where in an expression one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Code,
    /// Up to the end of the line.
    Comment,
    Literal {
        quote: char,
        triple: bool,
        raw: bool,
    },
}

/// Replaces the variables in `expression`; those that stand for lists or objects stay as written.
///
/// # Errors
/// If an index is out of bounds.
pub(super) fn fill(scope: &Scope, expression: &str) -> Result<String, Error> {
    let mut filled = String::with_capacity(expression.len());
    each_piece(expression, &mut |at, piece| {
        let variable = match piece {
            Piece::Text(text) => {
                filled.push_str(text);
                return Ok(());
            }
            Piece::Variable(variable) => variable,
        };
        match (scope.text_of(variable)?, at) {
            (Some(value), At::Code) => filled.push_str(&as_code(value)),
            (Some(value), At::Literal { raw: false, .. }) => filled.push_str(&escaped(value)),
            // Nothing can be escaped there.
            (Some(value), At::Literal { .. }) if !value.contains(['\'', '"', '\n', '\r']) => {
                filled.push_str(value)
            }
            (_, _) => filled.push_str(variable.source),
        }
        Ok(())
    })?;
    Ok(filled)
}

/// The expression with every variable a literal, so that its form can be checked before there are values.
pub fn with_literals(expression: &str) -> String {
    let mut quoted = String::with_capacity(expression.len());
    let told: Result<(), std::convert::Infallible> = each_piece(expression, &mut |at, piece| {
        match piece {
            Piece::Text(text) => quoted.push_str(text),
            Piece::Variable(_) if at == At::Code => quoted.push_str("'x'"),
            Piece::Variable(_) => quoted.push('x'),
        }
        Ok(())
    });
    match told {
        Ok(()) => quoted,
    }
}

fn each_piece<E>(expression: &str, tell: &mut dyn FnMut(At, &Piece<'_>) -> Result<(), E>) -> Result<(), E> {
    let mut at = At::Code;
    for piece in Template::parse(expression).pieces() {
        tell(at, piece)?;
        if let Piece::Text(text) = piece {
            at = after(at, text);
        }
    }
    Ok(())
}

/// Where one is behind `text`.
fn after(mut at: At, text: &str) -> At {
    let mut chars = text.chars().peekable();
    let mut before = '\0';
    while let Some(char) = chars.next() {
        at = match at {
            At::Code if char == '/' && chars.peek() == Some(&'/') => At::Comment,
            At::Code if matches!(char, '\'' | '"') => {
                let raw = matches!(before, 'r' | 'R');
                let triple = two_more(&mut chars, char);
                At::Literal {
                    quote: char,
                    triple,
                    raw,
                }
            }
            At::Comment if char == '\n' => At::Code,
            At::Literal { raw: false, .. } if char == '\\' => {
                chars.next();
                at
            }
            At::Literal { quote, triple, .. } if char == quote && (!triple || two_more(&mut chars, char)) => {
                At::Code
            }
            at => at,
        };
        before = char;
    }
    at
}

/// Takes two more of the same, if they are next.
fn two_more(chars: &mut Peekable<Chars<'_>>, wanted: char) -> bool {
    let mut ahead = chars.clone();
    let found = ahead.next() == Some(wanted) && ahead.next() == Some(wanted);
    if found {
        *chars = ahead;
    }
    found
}

fn as_code(value: &str) -> String {
    let is_number = value.parse::<i64>().is_ok()
        || (value.parse::<f64>().is_ok_and(f64::is_finite) && value.contains('.'));
    match is_number || matches!(value, "true" | "false") {
        true => value.to_owned(),
        false => format!("'{}'", escaped(value)),
    }
}

fn escaped(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for char in value.chars() {
        match char {
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\\' | '\'' | '"' => escaped.extend(['\\', char]),
            char => escaped.push(char),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filled(expression: &str, value: &str) -> String {
        let mut scope = Scope::new();
        scope.set(&["params", "p"], value);
        fill(&scope, expression).unwrap()
    }

    #[test]
    fn values_stay_values_wherever_they_are_put() {
        for (expression, value, expected) in [
            ("'$(params.p)' == 'main'", "main", "'main' == 'main'"),
            ("$(params.p) == 'main'", "main", "'main' == 'main'"),
            ("$(params.p) > 3", "12", "12 > 3"),
            ("$(params.p) > 3.0", "-1.5", "-1.5 > 3.0"),
            ("$(params.p)", "true", "true"),
            ("$(params.p)", "1 == 1", "'1 == 1'"),
            (
                "'$(params.p)' == 'a'",
                "x' == 'x' || 'a",
                r"'x\' == \'x\' || \'a' == 'a'",
            ),
            (r#""$(params.p)""#, "a\\\"\n", r#""a\\\"\n""#),
            ("'''a'$(params.p)'''", "b", "'''a'b'''"),
            (r"'\'$(params.p)'", "b'", r"'\'b\''"),
            ("r'$(params.p)'", "a b", "r'a b'"),
            ("r'$(params.p)'", "a' + 'b", "r'$(params.p)'"),
            ("1 == 1 // it's\n && $(params.p)", "b", "1 == 1 // it's\n && 'b'"),
            (
                "$(params.q) == '$(params.q)'",
                "b",
                "$(params.q) == '$(params.q)'",
            ),
        ] {
            assert_eq!(filled(expression, value), expected, "{expression} {value}");
        }
    }

    #[test]
    fn the_form_can_be_checked_without_values() {
        assert_eq!(
            with_literals("'a$(params.p)' in ['b'] && $(tasks.t.results.r) == 'c'"),
            "'ax' in ['b'] && 'x' == 'c'"
        );
    }

    proptest! {
        #[test]
        fn no_value_gets_out_of_its_literal(value in "\\PC{0,20}", quote in "['\"]", around in "[a-z ]{0,4}") {
            let text = filled(&format!("{quote}{around}$(params.p){around}{quote}"), &value);
            prop_assert_eq!(after(At::Code, &text), At::Code);
            let inside: String = text.chars().take(text.chars().count() - 1).collect();
            let raw = false;
            let char = quote.chars().next().unwrap();
            // An empty literal may begin one of three quotes.
            prop_assume!(!inside[1..].is_empty());
            prop_assert_eq!(after(At::Code, &inside), At::Literal { quote: char, triple: false, raw });
        }
    }
}
