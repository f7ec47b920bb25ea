//! Regular expressions as Go reads them, for an engine that reads character classes differently.

/// Rewrites an expression of Go's `regexp` for the `regex` crate. Both are RE2 in spirit, but inside `[…]` the crate
/// nests classes and has the operators `&&`, `--` and `~~`, which in Go are plain characters.
pub(super) fn translate(text: &str) -> String {
    let mut translated = String::with_capacity(text.len() + 8);
    let mut characters = text.chars().peekable();
    // Position within a class: `None` outside of one.
    let mut class: Option<usize> = None;
    while let Some(character) = characters.next() {
        let next = characters.peek().copied();
        match (character, class) {
            ('\\', position) => {
                translated.push(character);
                translated.extend(characters.next());
                class = position.map(|position| position + 1);
            }
            ('[', None) => {
                translated.push(character);
                class = Some(0);
            }
            // `[^`, and a bracket that is the first character, change nothing.
            ('^', Some(0)) => translated.push(character),
            (']', Some(0)) => {
                translated.push(character);
                class = Some(1);
            }
            (']', Some(_)) => {
                translated.push(character);
                class = None;
            }
            // A named class such as `[:alpha:]` is the same in both.
            ('[', Some(position)) if next == Some(':') => {
                translated.push(character);
                for inner in characters.by_ref() {
                    translated.push(inner);
                    if inner == ']' {
                        break;
                    }
                }
                class = Some(position + 1);
            }
            ('[', Some(position)) => {
                translated.push_str("\\[");
                class = Some(position + 1);
            }
            // A leading hyphen is a character, a later one begins a range that may end in a hyphen.
            ('-', Some(0)) if next == Some('-') => {
                translated.push_str("\\-");
                class = Some(1);
            }
            ('-', Some(position)) if next == Some('-') => {
                characters.next();
                translated.push_str("-\\-");
                class = Some(position + 2);
            }
            ('&' | '~', Some(position)) if next == Some(character) => {
                translated.push('\\');
                translated.push(character);
                class = Some(position + 1);
            }
            (_, position) => {
                translated.push(character);
                class = position.map(|position| position + 1);
            }
        }
    }
    translated
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::translate;

    #[test]
    fn brackets_within_classes_are_characters() {
        for (pattern, matching, other) in [
            (r#"^[^()<>@,;:\\"\/[\]?={} \t]+$"#, "name", "a[b"),
            ("^[a[]$", "[", "b"),
            ("^[]a]+$", "]a", "b"),
            ("^[^]a]+$", "b", "]"),
            ("^[[:alpha:]-]+$", "a-b", "1"),
            ("^[a&&b]+$", "a&b", "c"),
            ("^[~~x]+$", "~x", "y"),
            ("^[+--]+$", "+,-", "."),
            ("^[--/]+$", "-./", "+"),
            (r"^\[a\]$", "[a]", "a"),
            ("^a{1,3}$", "aaa", "aaaa"),
        ] {
            let regex = Regex::new(&translate(pattern)).unwrap_or_else(|error| panic!("{pattern}: {error}"));
            assert!(regex.is_match(matching), "{pattern} {matching}");
            assert!(!regex.is_match(other), "{pattern} {other}");
        }
    }

    #[test]
    fn expressions_without_classes_are_unchanged() {
        for pattern in ["", "^a.*$", r"\d+(\.\d+)?", r"a\\b", "[a-z]([-a-z0-9]*[a-z0-9])?"] {
            assert_eq!(translate(pattern), pattern);
        }
    }
}
