//! Splits a text into tokens. Whether `-1` is a number or a minus before one depends on what came before, so signs are
//! tokens of their own here.

use std::ops::Range;

/// A piece of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// Letters and digits, at least one letter: an attribute, a keyword, or the name of a function.
    Name(&'a str),
    /// Letters and underscores, at least one underscore: only ever the name of a function.
    FunctionName(&'a str),
    Digits(&'a str),
    /// With the quotes and escapes as written.
    Text(&'a str),
    Symbol(&'static str),
    /// What no expression can contain, and why.
    Bad(&'static str),
    End,
}

/// Longer symbols first, since the first that fits is taken.
const SYMBOLS: [&str; 15] = [
    "!=", "<>", "<=", ">=", "(", ")", ",", "+", "-", "*", "/", "%", "=", "<", ">",
];

/// The token at `from`, white space skipped, and its place.
pub fn next(text: &str, from: usize) -> (Token<'_>, Range<usize>) {
    let rest = text.get(from..).unwrap_or_default();
    let trimmed = rest.trim_start_matches([' ', '\t', '\r', '\n']);
    let start = from + (rest.len() - trimmed.len());
    let (token, length) = first(trimmed);
    (token, start..start + length)
}

fn first(text: &str) -> (Token<'_>, usize) {
    let Some(character) = text.chars().next() else {
        return (Token::End, 0);
    };
    if character == '\'' || character == '"' {
        return quoted(text, character);
    }
    let word = text
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .next()
        .unwrap_or_default();
    if !word.is_empty() {
        return (named(word), word.len());
    }
    if let Some(symbol) = SYMBOLS.iter().find(|symbol| text.starts_with(**symbol)) {
        return (Token::Symbol(symbol), symbol.len());
    }
    (Token::Bad("unexpected character"), character.len_utf8())
}

fn named(word: &str) -> Token<'_> {
    if word.bytes().all(|byte| byte.is_ascii_digit()) {
        Token::Digits(word)
    } else if !word.contains('_') {
        Token::Name(word)
    } else if word.starts_with(|c: char| c.is_ascii_alphabetic())
        && word
            .bytes()
            .all(|byte| byte.is_ascii_alphabetic() || byte == b'_')
    {
        Token::FunctionName(word)
    } else {
        Token::Bad(
            "names of attributes have only letters and digits, those of functions only letters and underscores",
        )
    }
}

/// A quoted text. A backslash keeps the character after it from ending the text.
fn quoted(text: &str, quote: char) -> (Token<'_>, usize) {
    let mut escaped = false;
    for (index, character) in text.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if character == '\\' {
            escaped = true;
        } else if character == quote {
            let end = index + 1;
            return (Token::Text(text.get(..end).unwrap_or_default()), end);
        }
    }
    (Token::Bad("this text has no closing quote"), text.len())
}

/// The value of a [`Token::Text`]: without its quotes, and with each escaped quote plain. Other backslashes stay, since
/// the pattern of LIKE has a use for them.
pub fn unquote(raw: &str) -> String {
    let quote = raw.chars().next().unwrap_or('\'');
    let inner = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
    let mut value = String::with_capacity(inner.len());
    let mut characters = inner.chars().peekable();
    while let Some(character) = characters.next() {
        if character == '\\' {
            match characters.next_if(|next| *next == quote || *next == '\\') {
                // Two backslashes are one pair: the second does not escape what follows it.
                Some('\\') => value.push_str("\\\\"),
                Some(quote) => value.push(quote),
                None => value.push('\\'),
            }
        } else {
            value.push(character);
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Vec<Token<'_>> {
        let mut all = Vec::new();
        let mut at = 0;
        loop {
            let (token, span) = next(text, at);
            if token == Token::End {
                return all;
            }
            all.push(token);
            at = span.end;
        }
    }

    #[test]
    fn splits_a_text() {
        use Token::*;
        let table: &[(&str, &[Token<'_>])] = &[
            ("", &[]),
            (" \t\r\n", &[]),
            ("a1=12", &[Name("a1"), Symbol("="), Digits("12")]),
            ("1a<>-3", &[Name("1a"), Symbol("<>"), Symbol("-"), Digits("3")]),
            (
                "IS_INT(x)",
                &[FunctionName("IS_INT"), Symbol("("), Name("x"), Symbol(")")],
            ),
            (r"'a\'b' 'c'", &[Text(r"'a\'b'"), Text("'c'")]),
            (r#""it's""#, &[Text(r#""it's""#)]),
            ("'a", &[Bad("this text has no closing quote")]),
            ("§", &[Bad("unexpected character")]),
        ];
        for (text, expected) in table {
            assert_eq!(tokens(text), *expected, "{text}");
        }
        assert!(matches!(tokens("a_1")[..], [Bad(_)]));
        assert!(matches!(tokens("_a")[..], [Bad(_)]));
    }

    #[test]
    fn escapes() {
        for (raw, value) in [
            (r"'abc'", "abc"),
            (r"''", ""),
            (r#"'a"b\'c'"#, r#"a"b'c"#),
            (r#""a'b\"c""#, r#"a'b"c"#),
            (r"'a\%b\_c'", r"a\%b\_c"),
            (r"'a\c'", r"a\c"),
            (r"'\\'", r"\\"),
            (r#"'\"'"#, r#"\""#),
        ] {
            assert_eq!(unquote(raw), value, "{raw}");
        }
    }
}
